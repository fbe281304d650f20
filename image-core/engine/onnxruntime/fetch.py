#!/usr/bin/env python3
"""Fetches the pinned ONNX Runtime and unpacks its shared libraries.

    python3 fetch.py --flavor cpu|cuda|openvino --out build/onnxruntime

makes `OUT/FLAVOR/libonnxruntime.so` with what it needs beside it. pip fetches the wheel named in
`requirements-FLAVOR.txt` and checks its hash; nothing of Python is needed when nephrite runs. Does nothing when the
pinned wheel has been unpacked already.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from pinned_wheel import Wheel, fetch, wheel_for_this_machine  # noqa: E402

NAME = "onnxruntime"
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


def link_unversioned(folder: Path) -> None:
    """Programs load the library under its name without a version."""
    (versioned,) = folder.glob("libonnxruntime.so.*")
    (folder / "libonnxruntime.so").symlink_to(versioned.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flavor", choices=sorted(LIBRARIES), required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    flavor = arguments.flavor
    wheels = {"x86_64": Wheel(HERE / f"requirements-{flavor}.txt", WHEEL_TAGS)}
    wheel = wheel_for_this_machine(NAME, wheels, "install ONNX Runtime yourself and set ORT_DYLIB_PATH")
    files = [f"onnxruntime/capi/{library}" for library in LIBRARIES[flavor]] + NOTICES
    fetch(NAME, wheel, files, arguments.out / flavor, link_unversioned)


if __name__ == "__main__":
    main()
