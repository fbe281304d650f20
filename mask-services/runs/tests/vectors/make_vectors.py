"""Writes vectors.json: small label maps and what connected-components-3d, fill_voids and scipy make of them.

    python -m venv VENV && VENV/bin/pip install -r requirements.txt && VENV/bin/python make_vectors.py
"""

import json
from pathlib import Path

import cc3d
import fill_voids
import numpy as np
from scipy import ndimage


def label_maps():
    rng = np.random.default_rng(7)
    yield "noise", (2.0, 0.75, 1.25), rng.choice(4, (6, 8, 9), p=[0.5, 0.3, 0.1, 0.1])
    yield "dense noise", (1.0, 1.0, 1.0), rng.choice(3, (5, 7, 8), p=[0.2, 0.4, 0.4])
    smooth = ndimage.gaussian_filter(rng.normal(size=(9, 11, 14)), 1.2)
    yield "blobs", (3.0, 0.5, 0.75), np.digitize(smooth, np.quantile(smooth, [0.6, 0.8]))
    z, y, x = np.indices((9, 10, 11))
    distance = np.hypot(np.hypot(z - 4, y - 4.5), x - 5)
    shells = np.where(distance < 4.4, 1, 0) - np.where(distance < 2.9, 1, 0) + np.where(distance < 1.2, 2, 0)
    shells[4, 4, 8:10] = 0  # not closed in this slice, nor in the volume
    shells[8, 9, 10] = 3
    yield "open shell", (1.5, 1.0, 0.8), shells
    closed = np.where(distance < 4.4, 1, 0) - np.where(distance < 2.9, 1, 0)
    yield "closed shell", (0.5, 0.5, 0.5), closed
    yield "full", (1.0, 2.0, 3.0), np.ones((3, 4, 5), int)
    one = np.zeros((4, 5, 6), int)
    one[3, 0, 5] = 2
    yield "one voxel", (5.0, 0.7, 0.7), one
    yield "empty", (1.0, 1.0, 1.0), np.zeros((2, 3, 4), int)


def text(labels):
    return "".join(str(int(label)) for label in np.asarray(labels).ravel())


def largest(labels, k, connectivity):
    """The k largest of every label; cc3d alone does not say which of equal ones it takes."""
    out = np.zeros_like(labels)
    for label in np.unique(labels[labels > 0]):
        parts, n = cc3d.connected_components((labels == label), connectivity=connectivity, return_N=True)
        sizes = [(-int((parts == part).sum()), int(np.flatnonzero(parts == part)[0]), part) for part in range(1, n + 1)]
        for _, _, part in sorted(sizes)[:k]:
            out[parts == part] = label
    return out


def statistics(labels):
    found = cc3d.statistics(labels)
    boxes = found["bounding_boxes"]
    return [
        {
            "label": int(label),
            "voxels": int(found["voxel_counts"][label]),
            "centroid": [float(index) for index in found["centroids"][label]],
            "box": [[int(axis.start), int(axis.stop)] for axis in boxes[label]],
        }
        for label in np.unique(labels[labels > 0])
    ]


def case(name, spacing, labels):
    labels = np.ascontiguousarray(labels).astype(np.uint8)
    inside = labels > 0
    out = {"name": name, "shape": labels.shape, "spacing": spacing, "labels": text(labels)}
    out["components"] = {
        str(n): cc3d.connected_components(labels, connectivity=n).ravel().tolist() for n in (6, 18, 26)
    }
    out["dust"] = {str(n): text(cc3d.dust(labels, threshold=4, connectivity=n)) for n in (6, 18, 26)}
    out["largest"] = {str(k): text(largest(labels, k, 26)) for k in (1, 2)}
    out["statistics"] = statistics(labels)
    out["fill_volume"] = text(fill_voids.fill(inside))
    assert (fill_voids.fill(inside) == ndimage.binary_fill_holes(inside)).all()
    out["fill_slices"] = text(np.stack([ndimage.binary_fill_holes(plane) for plane in inside]))
    out["grow"], out["shrink"] = {}, {}
    for radius in (0.5, 1.0, 1.6, 3.0, 100.0):
        if inside.any():
            out["grow"][str(radius)] = text(ndimage.distance_transform_edt(~inside, sampling=spacing) <= radius)
        if not inside.all():
            out["shrink"][str(radius)] = text(ndimage.distance_transform_edt(inside, sampling=spacing) > radius)
    return out


if __name__ == "__main__":
    cases = [json.dumps(case(*given)) for given in label_maps()]
    Path(__file__).with_name("vectors.json").write_text("[\n" + ",\n".join(cases) + "\n]\n")
