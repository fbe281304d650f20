"""Compares two golden folders by content: containers may differ in bytes (compressors, times), values may not."""

import json
import pickle
from pathlib import Path

import nibabel
import numpy as np
import torch

LABELS_DIFFERENT = 1e-4  # share of voxels: other processors round convolutions otherwise
LOGITS_DIFFERENCE = 2e-2  # absolute, half precision sums
VALUES_DIFFERENCE = 1e-5  # absolute, single precision


def compare_json(a: Path, b: Path):
    return [] if json.loads(a.read_text()) == json.loads(b.read_text()) else ["content differs"]


def compare_nifti(a: Path, b: Path):
    first, second = nibabel.load(a), nibabel.load(b)
    if first.header.binaryblock != second.header.binaryblock:
        return ["header differs"]
    x, y = np.asanyarray(first.dataobj), np.asanyarray(second.dataobj)
    share = float(((x != y) & ~(np.isnan(x) & np.isnan(y))).mean())
    allowed = LABELS_DIFFERENT if "labels" in a.name else 0.0
    return [f"{share:.2%} of the voxels differ"] if share > allowed else []


def compare_npz(a: Path, b: Path):
    with np.load(a) as first, np.load(b) as second:
        if set(first.files) != set(second.files):
            return [f"members {first.files} and {second.files}"]
        out = []
        for key in first.files:
            x, y = first[key], second[key]
            if x.shape != y.shape or x.dtype != y.dtype:
                out.append(f"{key}: {x.dtype}{x.shape} and {y.dtype}{y.shape}")
            elif key == "labels":
                if (x != y).mean() > LABELS_DIFFERENT:
                    out.append(f"{key}: {(x != y).mean():.2%} of the voxels differ")
            else:
                limit = LOGITS_DIFFERENCE if x.dtype == np.float16 else VALUES_DIFFERENCE if x.dtype == np.float32 else 0
                largest = float(np.abs(x.astype(np.float64) - y.astype(np.float64)).max())
                if not largest <= limit:
                    out.append(f"{key}: largest difference {largest}")
        return out


def compare_checkpoint(a: Path, b: Path):
    first, second = (torch.load(p, map_location="cpu", weights_only=False) for p in (a, b))
    if list(first) != list(second) or list(first["network_weights"]) != list(second["network_weights"]):
        return ["keys differ"]
    pairs = zip(first["network_weights"].values(), second["network_weights"].values())
    same = all(x.shape == y.shape and torch.allclose(x.double(), y.double(), rtol=0, atol=1e-2) for x, y in pairs)
    return [] if same else ["weights differ"]


def compare_pickle(a: Path, b: Path):
    return [] if pickle.loads(a.read_bytes()) == pickle.loads(b.read_bytes()) else ["content differs"]


COMPARISONS = {".json": compare_json, ".gz": compare_nifti, ".npz": compare_npz, ".pth": compare_checkpoint, ".pkl": compare_pickle}


def compare_trees(old: Path, new: Path):
    """Every difference, one line each."""
    names = {p.relative_to(root) for root in (old, new) for d in ("models", "cases") for p in (root / d).rglob("*") if p.is_file()}
    out = []
    for name in sorted(names):
        if not (old / name).exists() or not (new / name).exists():
            out.append(f"{name}: only in one of the two")
        else:
            out += [f"{name}: {line}" for line in COMPARISONS[name.suffix](old / name, new / name)]
    return out
