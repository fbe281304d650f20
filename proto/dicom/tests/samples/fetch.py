#!/usr/bin/env python3
"""Fetches the pinned wheels of pydicom, pydicom-data and pynetdicom, whose DICOM files the tests read.

    python3 fetch.py --out build/dicom-samples

makes a folder for each wheel in OUT. pip fetches the wheels named in `requirements-*.txt` and checks their hashes. Does nothing when
the pinned wheels have been unpacked already.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[3] / "image-core"))

from pinned_wheel import Wheel, fetch  # noqa: E402

FILES = {
    "pydicom": ["pydicom/data/test_files/*.dcm", "pydicom-*/licenses/LICENSE"],
    "pydicom-data": ["data_store/data/*.dcm"],
    "pynetdicom": ["pynetdicom/tests/dicom_files/*.dcm"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out
    for name, patterns in FILES.items():
        fetch(name, Wheel(HERE / f"requirements-{name}.txt", []), patterns, folder / name)


if __name__ == "__main__":
    main()
