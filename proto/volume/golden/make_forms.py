"""Where SimpleITK and nibabel put the voxels of a file: every combination of forms, codes and pixdim, into forms.json.

    pip install SimpleITK==2.5.7 nibabel==5.4.2 numpy
    python make_forms.py

Every file is NIfTI-1 with 4 x 3 x 2 voxels of int16. `forms.json` holds the fields by name, `outcomes` (null where the
reader fails, "not finite", or spacing x, y, z and the three rows of the affine in RAS+), and for every combination, in the
order of the product of `sforms`, `sform_codes`, `qforms`, `qform_codes`, `pixdims`, the outcomes of SimpleITKIO,
SimpleITKIOWithReorient, NibabelIO and NibabelIOWithReorient.
"""

import itertools
import json
import logging
import math
import pathlib
import struct
import tempfile
import warnings

import nibabel
import numpy as np
import SimpleITK as sitk

NAN, INF = float("nan"), float("inf")
COS, SIN = math.cos(0.3), math.sin(0.3)

SFORMS = {
    "straight": [[2, 0, 0, 5], [0, 3, 0, 6], [0, 0, 4, 7]],
    "turned": [[0, -3, 0, 5], [2, 0, 0, 6], [0, 0, -4, 7]],
    "oblique": [[2 * COS, -3 * SIN, 0, 5], [2 * SIN, 3 * COS, 0, 6], [0, 0, 4, 7]],
    "scaled": [[1, 0, 0, 5], [0, 1, 0, 6], [0, 0, 1, 7]],
    "sheared": [[2, 1, 0, 5], [0, 3, 0, 6], [0, 0, 4, 7]],
    "hardly_sheared": [[2, 3e-5, 0, 5], [0, 3, 0, 6], [0, 0, 4, 7]],
    "zero": [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    "flat": [[2, 0, 0, 5], [0, 3, 0, 6], [0, 0, 0, 7]],
    "parallel": [[2, 2, 0, 5], [0, 0, 0, 6], [0, 0, 4, 7]],
    "nan_offset": [[2, 0, 0, NAN], [0, 3, 0, 6], [0, 0, 4, 7]],
    "nan_step": [[NAN, 0, 0, 5], [0, 3, 0, 6], [0, 0, 4, 7]],
    "nan_corner": [[2, NAN, 0, 5], [0, 3, 0, 6], [0, 0, 4, 7]],
    "inf_step": [[2, 0, 0, 5], [0, INF, 0, 6], [0, 0, 4, 7]],
}
QFORMS = {
    "straight": [0, 0, 0, 1, 2, 3],
    "half_turn": [0, 0, 1, 1, 2, 3],
    "oblique": [0.1, 0.2, 0.3, 1, 2, 3],
    "same": [0, 0, 0, 5, 6, 7],
    "long": [0.8, 0.8, 0.8, 1, 2, 3],
    "nan": [0, NAN, 0, 1, 2, 3],
    "inf_offset": [0, 0, 0, 1, INF, 3],
}
PIXDIMS = {
    "plain": [1, 2, 3, 4],
    "mirrored": [-1, 2, 3, 4],
    "no_qfac": [0, 2, 3, 4],
    "negative": [1, -2, 3, 4],
    "zero": [1, 2, 0, 4],
    "nan": [1, 2, 3, NAN],
}
SFORM_CODES = [0, 1, 2, 9]
QFORM_CODES = [0, 1, 9]


def file_bytes(sform, sform_code, qform, qform_code, pixdim):
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 4, 3, 2, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, *pixdim, 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2
    struct.pack_into("<2h", header, 252, qform_code, sform_code)
    struct.pack_into("<6f", header, 256, *qform)
    struct.pack_into("<12f", header, 280, *[value for row in sform for value in row])
    header[344:348] = b"n+1\0"
    return bytes(header) + bytes(range(48))


def with_itk(path, reorient):
    image = sitk.ReadImage(path)
    if reorient:
        image = sitk.DICOMOrient(image, "RAS")
    rows = np.zeros((3, 4))
    rows[:, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    rows[:, 3] = image.GetOrigin()
    rows[:2] *= -1  # LPS to RAS
    return image.GetSpacing(), rows


def with_nibabel(path, reorient):
    image = nibabel.load(path)
    if reorient:
        image = image.as_reoriented(nibabel.io_orientation(image.affine))
    image.get_fdata()
    return image.header.get_zooms(), image.affine[:3]


def outcome(read, path, reorient):
    try:
        spacing, rows = read(path, reorient)
    except Exception:  # whatever the libraries raise on broken files
        return None
    values = [float(value) for value in [*spacing, *np.asarray(rows).ravel()]]
    if not all(map(math.isfinite, values)):
        return "not finite"
    return [round(value, 9) + 0.0 for value in values]


def text(value):
    """JSON has no NaN."""
    return value if math.isfinite(value) else str(value)


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    sitk.ProcessObject_SetGlobalWarningDisplay(False)
    outcomes, numbers, cases = [], {}, []
    readers = [(read, reorient) for read in (with_itk, with_nibabel) for reorient in (False, True)]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.nii"
        for case in itertools.product(
            SFORMS.values(), SFORM_CODES, QFORMS.values(), QFORM_CODES, PIXDIMS.values()
        ):
            path.write_bytes(file_bytes(*case))
            found = [outcome(read, str(path), reorient) for read, reorient in readers]
            for one in found:
                if str(one) not in numbers:
                    numbers[str(one)] = len(outcomes)
                    outcomes.append(one)
            cases.append([numbers[str(one)] for one in found])
    per_line = len(QFORM_CODES) * len(PIXDIMS)
    lines = [json.dumps(cases[i : i + per_line])[1:-1] for i in range(0, len(cases), per_line)]
    fields = {
        "sforms": {name: [[text(v) for v in row] for row in rows] for name, rows in SFORMS.items()},
        "sform_codes": SFORM_CODES,
        "qforms": {name: [text(v) for v in values] for name, values in QFORMS.items()},
        "qform_codes": QFORM_CODES,
        "pixdims": {name: [text(v) for v in values] for name, values in PIXDIMS.items()},
    }
    parts = [f'"{name}": {json.dumps(value)}' for name, value in fields.items()]
    parts.append('"outcomes": [\n' + ",\n".join(map(json.dumps, outcomes)) + "\n]")
    parts.append('"cases": [\n' + ",\n".join(lines) + "\n]")
    target = pathlib.Path(__file__).with_name("forms.json")
    target.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
