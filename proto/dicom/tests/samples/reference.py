#!/usr/bin/env python3
"""Writes `pixels.json`: the stored pixels of every gray image of the samples, as pydicom 3.0.2 and GDCM decode them.

    pip install pydicom==3.0.2 python-gdcm==3.2.6 pylibjpeg pylibjpeg-openjpeg pylibjpeg-libjpeg numpy
    python3 fetch.py --out build/dicom-samples && python3 reference.py build/dicom-samples

Of each file: SHA-256 of all pixels as 32-bit little-endian integers, frame by frame, row by row; or null where pydicom gives none.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import pydicom

HERE = Path(__file__).resolve().parent


def digest(path: Path) -> str | None:
    """SHA-256 of the pixels; `None` if there is no decoder for them, or they are not all there."""
    try:
        pixels = pydicom.dcmread(path).pixel_array
    except Exception as error:  # noqa: BLE001 whatever pydicom raises, it gives no pixels
        print(f"{path.name}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
        return None
    return hashlib.sha256(pixels.astype("<i4").tobytes()).hexdigest()


def main() -> None:
    warnings.simplefilter("ignore")
    samples = Path(sys.argv[1])
    found = {}
    for path in sorted(samples.glob("*/*.dcm")):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except Exception:  # noqa: BLE001 no DICOM file: nothing to compare
            continue
        if header.get("Rows") and header.get("SamplesPerPixel", 1) == 1:
            found[str(path.relative_to(samples))] = digest(path)
    (HERE / "pixels.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
