"""Agreement of two masks: fraction of equal voxels, and Dice per label.

    python compare_masks.py A.nii.gz B.nii.gz
"""

import json
import sys

import numpy as np
import SimpleITK as sitk


def compare(first: str, second: str) -> dict:
    a, b = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (first, second))
    assert a.shape == b.shape, (a.shape, b.shape)
    dice = {}
    for label in np.union1d(np.unique(a), np.unique(b)):
        if label != 0:
            total = int((a == label).sum()) + int((b == label).sum())
            dice[int(label)] = 2 * int(((a == label) & (b == label)).sum()) / total
    return {"equal": float((a == b).mean()), "dice": dice}


if __name__ == "__main__":
    print(json.dumps(compare(*sys.argv[1:3])))
