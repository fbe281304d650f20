#!/usr/bin/env python3
"""Fetches the pinned NVRTC, NVIDIA's compiler of kernels, which needs no card.

    python3 fetch.py --out build/nvrtc

makes `OUT/libnvrtc.so.13` with what it needs beside it. pip fetches the wheel named in `requirements-MACHINE.txt` and checks its
hash. Does nothing when the pinned wheel has been unpacked already.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from pinned_wheel import Wheel, fetch, wheel_for_this_machine  # noqa: E402

NAME = "nvrtc"
WHEELS = {
    "x86_64": Wheel(HERE / "requirements-x86_64.txt", ["--platform", "manylinux_2_12_x86_64"]),
    "aarch64": Wheel(HERE / "requirements-aarch64.txt", ["--platform", "manylinux_2_17_aarch64"]),
}
FILES = ["nvidia/cu13/lib/libnvrtc.so.13", "nvidia/cu13/lib/libnvrtc-builtins.so.*", "*.dist-info/licenses/License.txt"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    wheel = wheel_for_this_machine(NAME, WHEELS, "install CUDA 13 yourself, or set NEPHRITE_CUDA_LIBRARIES")
    fetch(NAME, wheel, FILES, folder)


if __name__ == "__main__":
    main()
