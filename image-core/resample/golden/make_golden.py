"""Writes the golden cases that tests/golden.rs compares with, from the libraries that nnU-Net calls.

    pip install nnunetv2==2.8.1 batchgenerators==0.25.5 scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6 torch==2.15.0
    python make_golden.py

Inputs are not stored: both sides compute them from the shape and the seed (see `noise`). Outputs are stored as
base64 of little-endian f64, f32 or i8 in C order, one JSON file per family.
"""

import base64
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from skimage.transform import resize

PINNED = {
    "nnunetv2": "2.8.1",
    "batchgenerators": "0.25.5",
    "scikit-image": "0.26.0",
    "scipy": "1.17.1",
    "numpy": "2.4.6",
    "torch": "2.15.0",
}
HERE = Path(__file__).parent


def noise(shape, seed):
    """Whole numbers in -1000 .. 1000 from a 64-bit linear congruential generator; no rounding anywhere."""
    state = np.uint64(seed)
    values = np.empty(int(np.prod(shape)), dtype=np.int64)
    with np.errstate(over="ignore"):
        for i in range(values.size):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            values[i] = int(state >> np.uint64(33)) % 2001 - 1000
    return values.reshape(shape)


def label_noise(shape, seed):
    """Blocky labels -1 .. 3: a coarse random grid repeated, with single voxels flipped."""
    coarse = noise([(n + 1) // 2 for n in shape], seed) % 5 - 1
    for axis, n in enumerate(shape):
        coarse = np.take(np.repeat(coarse, 2, axis=axis), range(n), axis=axis)
    flips = noise(shape, seed + 1)
    return np.where(flips > 800, flips % 5 - 1, coarse)


def stored(array, dtype):
    array = np.ascontiguousarray(array)
    kept = array.astype(dtype)
    assert np.array_equal(kept.astype(array.dtype), array, equal_nan=True), "not stored exactly"
    return base64.b64encode(kept.tobytes()).decode()


def separate(data, to, axis, order, order_z, is_seg=False):
    return resample_data_or_seg(
        data[None].astype(np.float64), to, is_seg=is_seg, axis=axis, order=order,
        do_separate_z=axis is not None, order_z=order_z)[0]


def torch_resize(data, to, axis, **kwargs):
    spacing = [1.0, 1.0, 1.0]
    if axis is not None:
        spacing[axis] = 5.0
    return resample_torch_fornnunet(data[None].astype(np.float32), to, spacing, spacing, num_threads=1, **kwargs)[0]


def write(name, cases):
    versions = {package: version(package) for package in PINNED}
    assert versions == PINNED, versions
    text = json.dumps({"made_by": versions, "cases": cases}, indent=1)
    (HERE / f"{name}.json").write_text(text + "\n")
    print(name, len(cases), "cases", len(text), "bytes")


SHAPES = [  # odd sizes, up and down, some axes unchanged, thin ones
    ([5, 7, 6], [8, 4, 9]),
    ([9, 6, 11], [4, 9, 5]),
    ([1, 13, 10], [1, 7, 17]),
    ([6, 5, 7], [6, 8, 3]),
    ([4, 33, 5], [7, 33, 5]),
    ([3, 2, 35], [5, 3, 40]),
]
SEPARATE = [([5, 7, 6], [8, 4, 9]), ([9, 6, 8], [4, 9, 5]), ([7, 5, 6], [7, 8, 4]), ([6, 5, 7], [3, 5, 7])]
SEG_SHAPES = SHAPES[:4] + [([6, 6, 6], [12, 3, 12]), ([6, 7, 8], [18, 21, 4])]


def data_cases():
    for i, (shape, to) in enumerate(SHAPES):
        data = noise(shape, i).astype(np.float64)
        for order in (0, 1, 3):
            out = resize(data, to, order, mode="edge", anti_aliasing=False, clip=True)
            yield dict(shape=shape, to=to, seed=i, order=order, axis=None, order_z=0, out=stored(out, "<f8"))
    for i, (shape, to) in enumerate(SEPARATE):
        data = noise(shape, 100 + i).astype(np.float64)
        for axis in range(3):
            for order, order_z in ((3, 0), (1, 0), (3, 1), (3, 3), (0, 1)):
                out = separate(data, to, axis, order, order_z)
                yield dict(shape=shape, to=to, seed=100 + i, order=order, axis=axis, order_z=order_z,
                           out=stored(out, "<f8"))


def torch_cases():
    for i, (shape, to) in enumerate(SHAPES + SEPARATE):
        for axis in (None, 0, 1, 2):
            out = torch_resize(noise(shape, 200 + i), to, axis)
            yield dict(shape=shape, to=to, seed=200 + i, axis=axis, out=stored(out, "<f4"))


def label_cases():
    for i, (shape, to) in enumerate(SEG_SHAPES):
        labels = label_noise(shape, 300 + i)
        for axis in (None, 0, 1, 2):
            for order, order_z in ((0, 0), (1, 0), (3, 0), (1, 1), (1, 3)):
                if axis is None and order_z > 0:
                    continue
                out = separate(labels, to, axis, order, order_z, is_seg=True)
                yield dict(shape=shape, to=to, seed=300 + i, rule="batchgenerators", order=order, axis=axis,
                           order_z=order_z, out=stored(out, "<i1"))
            for rule, lean in (("torch", False), ("torch_memory_efficient", True)):
                out = torch_resize(labels, to, axis, is_seg=True, memefficient_seg_resampling=lean)
                yield dict(shape=shape, to=to, seed=300 + i, rule=rule, order=1, axis=axis, order_z=0,
                           out=stored(out, "<i1"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    write("data", list(data_cases()))
    write("torch", list(torch_cases()))
    write("labels", list(label_cases()))
