#!/usr/bin/env python3
"""Fetches the pinned ONNX Runtime and unpacks its shared libraries.

    python3 fetch.py --flavor cpu|cuda|openvino --out build/onnxruntime

makes `OUT/FLAVOR/libonnxruntime.so` with what it needs beside it. pip fetches the wheel named in
`requirements-FLAVOR.txt` and checks its hash; nothing of Python is needed when nephrite runs. Does nothing when the
pinned wheel has been unpacked already.
"""

import argparse
import fnmatch
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAMP = "WHEEL_SHA256"
# One wheel file, whatever Python runs this script.
WHEEL_TAGS = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--platform", "manylinux_2_28_x86_64"]
NOTICES = ["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"]
# The wheels hold several copies of a library under several names; these are the names that the others load.
LIBRARIES = {
    "cpu": ["libonnxruntime.so.*", "libonnxruntime_providers_shared.so"],
    "cuda": [
        "libonnxruntime.so.*",
        "libonnxruntime_providers_shared.so",
        "libonnxruntime_providers_cuda.so",
    ],
    "openvino": [
        "libonnxruntime.so.*",
        "libonnxruntime_providers_shared.so",
        "libonnxruntime_providers_openvino.so",
        "libopenvino.so.2541",
        "libopenvino_onnx_frontend.so.2541",
        "libopenvino_intel_cpu_plugin.so",
        "libtbb.so.12",
    ],
}


def pinned_hash(requirements: Path) -> str:
    """The one hash that the requirements file allows."""
    (digest,) = re.findall(r"--hash=sha256:([0-9a-f]{64})", requirements.read_text())
    return digest


def is_complete(folder: Path, flavor: str, digest: str) -> bool:
    """Whether `folder` holds all libraries of the wheel with this hash."""
    stamp = folder / STAMP
    return (
        stamp.is_file()
        and stamp.read_text().strip() == digest
        and (folder / "libonnxruntime.so").is_file()
        and all(any(folder.glob(pattern)) for pattern in LIBRARIES[flavor])
    )


def download(requirements: Path, folder: Path) -> Path:
    """Lets pip fetch the wheel into `folder`, hash checked."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", *WHEEL_TAGS, "--dest", str(folder), "-r", str(requirements)]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"onnxruntime: pip could not fetch what {requirements.name} pins (is pip installed, and a registry in reach?)")
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack(wheel: Path, flavor: str, folder: Path) -> None:
    """Copies the wanted libraries, under their file names alone, so that no member can leave `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for pattern in LIBRARIES[flavor]:
            members = [n for n in names if fnmatch.fnmatchcase(n, f"onnxruntime/capi/{pattern}")]
            if not members:
                sys.exit(f"onnxruntime: {wheel.name} holds no {pattern}")
            for member in members:
                with archive.open(member) as source, open(folder / Path(member).name, "wb") as target:
                    shutil.copyfileobj(source, target)
        for notice in NOTICES:
            (folder / Path(notice).name).write_bytes(archive.read(notice))
    (versioned,) = folder.glob("libonnxruntime.so.*")
    (folder / "libonnxruntime.so").symlink_to(versioned.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flavor", choices=sorted(LIBRARIES), required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    flavor, folder = arguments.flavor, arguments.out / arguments.flavor
    requirements = HERE / f"requirements-{flavor}.txt"
    digest = pinned_hash(requirements)
    if is_complete(folder, flavor, digest):
        return
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit("onnxruntime: only Linux on x86-64 is pinned; install ONNX Runtime yourself and set ORT_DYLIB_PATH")

    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.out, prefix=".fetch-") as scratch:
        fetched = Path(scratch) / flavor
        fetched.mkdir()
        unpack(download(requirements, Path(scratch)), flavor, fetched)
        (fetched / STAMP).write_text(digest + "\n")
        # Complete or not there at all: the folder gets its name last.
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)
    print(f"onnxruntime: {flavor} is in {folder}")


if __name__ == "__main__":
    main()
