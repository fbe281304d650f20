"""Native files out of a pinned wheel of the Python package index, for the `fetch.py` of what tests and programs load.

A requirements file names one version and the one hash that is allowed; pip fetches the wheel and checks it. Nothing of Python is
needed to use what was unpacked.
"""

import fnmatch
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

STAMP = "WHEEL_SHA256"


@dataclass(frozen=True)
class Wheel:
    """A wheel for one kind of machine."""

    requirements: Path
    # One wheel file, whatever Python runs this: pip's `--platform` and what goes with it.
    tags: list[str]

    def sha256(self) -> str:
        """The one hash that the requirements file allows."""
        (digest,) = re.findall(r"--hash=sha256:([0-9a-f]{64})", self.requirements.read_text())
        return digest


def wheel_for_this_machine(name: str, wheels: dict[str, Wheel], otherwise: str) -> Wheel:
    """That of this processor; ends the program, with a word about what to do `otherwise`, if none is pinned."""
    if sys.platform != "linux" or platform.machine() not in wheels:
        sys.exit(f"{name}: only Linux on {' and '.join(wheels)} is pinned; {otherwise}")
    return wheels[platform.machine()]


def is_complete(folder: Path, wheel: Wheel, patterns: list[str]) -> bool:
    """Whether `folder` holds the files of this wheel that `patterns` name."""
    stamp = folder / STAMP
    return (
        stamp.is_file()
        and stamp.read_text().strip() == wheel.sha256()
        and all(any(folder.glob(Path(pattern).name)) for pattern in patterns)
    )


def download(name: str, wheel: Wheel, folder: Path) -> Path:
    """Lets pip fetch the wheel into `folder`, hash checked."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", *wheel.tags, "--dest", str(folder), "-r", str(wheel.requirements)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"{name}: pip could not fetch what {wheel.requirements.name} pins (is pip installed, and a registry in reach?)")
    (file,) = folder.glob("*.whl")
    return file


def unpack(name: str, file: Path, patterns: list[str], folder: Path) -> None:
    """Copies what `patterns` match, under the file names alone, so that no member can leave `folder`."""
    with zipfile.ZipFile(file) as archive:
        for pattern in patterns:
            members = [member for member in archive.namelist() if fnmatch.fnmatchcase(member, pattern)]
            if not members:
                sys.exit(f"{name}: {file.name} holds no {pattern}")
            for member in members:
                # `x`: two members of one name are an error
                with archive.open(member) as source, open(folder / Path(member).name, "xb") as target:
                    shutil.copyfileobj(source, target)


def fetch(name: str, wheel: Wheel, patterns: list[str], folder: Path, finish: Callable[[Path], None] = lambda _: None) -> None:
    """Makes `folder` with the members of the wheel that `patterns` match; `finish` completes it before it gets its name.

    Does nothing when it has been made of this wheel already.
    """
    if is_complete(folder, wheel, patterns):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        fetched = Path(scratch) / "fetched"
        fetched.mkdir()
        unpack(name, download(name, wheel, Path(scratch)), patterns, fetched)
        finish(fetched)
        (fetched / STAMP).write_text(wheel.sha256() + "\n")
        # Complete or not there at all: the folder gets its name last.
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)
    print(f"{name}: in {folder}")
