"""Times the peers once on the label map in a folder, and compares their results with those that mask-bench left there.

    python peer_masks.py DIR REPEATS [--check]

Prints milliseconds per repeat and, with --check, whether the results are equal (components up to renumbering).
"""

import json
import sys
import time
from pathlib import Path

import cc3d
import crackle
import fastremap
import fill_voids
import numpy as np


def timed(repeats, work):
    result, times = work(), []  # the first is not counted
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append((time.perf_counter() - start) * 1e3)
    return times, result


def read(path, kind, shape):
    return np.fromfile(path, kind).reshape(shape).T  # x, y, z in Fortran order: what the peers like best


def same_partition(a, b):
    """Equal up to renumbering: each number of one goes with one of the other."""
    pairs = fastremap.unique((a.astype(np.uint64) << 32 | b.astype(np.uint64)).ravel(order="K"))
    return len(pairs) == len(np.unique(pairs >> 32)) == len(np.unique(pairs & 0xFFFFFFFF))


def main():
    folder, repeats = Path(sys.argv[1]), int(sys.argv[2])
    about = json.loads((folder / "map.json").read_text())
    shape, one, dust = about["shape_zyx"], about["one_label"], about["dust_voxels"]
    labels = read(folder / "labels.u8", np.uint8, shape)
    single = labels == one
    out = {}
    out["encode_dense"], packed = timed(repeats, lambda: crackle.compress(labels))
    out["encoded_bytes"] = len(packed)
    out["decode_dense"], _ = timed(repeats, lambda: crackle.decompress(packed))
    out["components"], parts = timed(repeats, lambda: cc3d.connected_components(labels, connectivity=26))
    out["dust"], dusted = timed(repeats, lambda: cc3d.dust(labels, threshold=dust, connectivity=26))
    out["statistics"], rows = timed(repeats, lambda: cc3d.statistics(labels))
    out["keep_largest"], largest = timed(repeats, lambda: cc3d.largest_k(single, k=1, connectivity=26))
    out["fill_holes"], filled = timed(repeats, lambda: fill_voids.fill(single))
    if "--check" in sys.argv:
        ours = json.loads((folder / "ours.json").read_text())["statistics_rows"]
        statistics = len(ours) == np.count_nonzero(rows["voxel_counts"][1:])
        for row in ours:
            label = row["label"]
            box = rows["bounding_boxes"][label]
            statistics &= int(rows["voxel_counts"][label]) == row["voxels"]
            statistics &= np.allclose(rows["centroids"][label][::-1], row["centroid"], rtol=0, atol=1e-3)  # theirs is f32
            statistics &= [[s.start for s in box][::-1], [s.stop for s in box][::-1]] == [row["start"], row["end"]]
        out["equal"] = {
            "components": bool(same_partition(parts, read(folder / "components.u32", np.uint32, shape))),
            "dust": bool(np.array_equal(dusted, read(folder / "dust.u8", np.uint8, shape))),
            "statistics": bool(statistics),
            "keep_largest": bool(np.array_equal(largest != 0, read(folder / "largest.u8", np.uint8, shape) != 0)),
            "fill_holes": bool(np.array_equal(filled, read(folder / "filled.u8", np.uint8, shape) != 0)),
        }
    print(json.dumps(out))


main()
