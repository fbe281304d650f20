"""How far logits are from those in double precision: `python compare_logits.py REFERENCE.f64 N_CLASSES LOGITS.f32...`

Prints a JSON object per file: the largest difference, as a share of the spread of the reference; the root of the mean square
of differences, likewise; and the share of voxels with the same largest class as the first file.
"""

import json
import sys

import numpy as np


def main(reference: str, n_classes: str, *files: str) -> None:
    exact = np.fromfile(reference, "<f8").reshape(int(n_classes), -1)
    spread = exact.max() - exact.min()
    first = np.fromfile(files[0], "<f4").reshape(exact.shape).argmax(0)
    found = []
    for file in files:
        logits = np.fromfile(file, "<f4").reshape(exact.shape)
        difference = logits - exact
        found.append({
            "largest": float(np.abs(difference).max() / spread), "rms": float(np.sqrt(np.mean(difference**2)) / spread),
            "same_class_as_first": float(np.mean(logits.argmax(0) == first)),
        })
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
