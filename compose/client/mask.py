"""EncodedMask to label ids: the decoder of proto/mask-codec/FORMAT.md, with what a reader of foreign data checks.

A message that is cut, contradicts itself, or is too large raises ValueError.
"""

import io
import zlib

import numpy as np

RUNS_DEFLATE = 1
MAX_VOXELS = 2**30
MAX_RUNS = 2**26


def decode(mask):
    """Label ids, uint16 [z, y, x], and voxels by id."""
    check_head(mask)
    shape = mask.geometry.shape
    ids = np.zeros((shape.z, shape.y, shape.x), "u2")
    if mask.HasField("box"):
        paint(mask, inside(ids, mask.box))
    voxels = sum(np.bincount(plane.ravel(), minlength=65536) for plane in ids)
    check_labels(mask.labels, voxels)
    return ids, voxels


def check_head(mask):
    """Refuses what is not known, and what would be too large, before anything is allocated."""
    shape = mask.geometry.shape
    if mask.encoding != RUNS_DEFLATE:
        raise ValueError(f"encoding {mask.encoding} is not known")
    if mask.label_bytes not in (1, 2):
        raise ValueError(f"labels of {mask.label_bytes} bytes, expected 1 or 2")
    if not 0 < shape.x * shape.y * shape.z <= MAX_VOXELS:
        raise ValueError(f"{shape.x} x {shape.y} x {shape.z} voxels, at most {MAX_VOXELS} are taken")
    if mask.n_runs > MAX_RUNS:
        raise ValueError(f"{mask.n_runs} runs, at most {MAX_RUNS} are taken")
    if not mask.HasField("box") and (mask.n_runs or mask.payload):
        raise ValueError("a mask without a box has no runs")


def inside(ids, box):
    """The voxels of a box."""
    starts, ends = (box.z_start, box.y_start, box.x_start), (box.z_end, box.y_end, box.x_end)
    if not all(start < end <= n for start, end, n in zip(starts, ends, ids.shape)):
        raise ValueError(f"box {starts} to {ends} (z, y, x) does not lie within {ids.shape}")
    return ids[tuple(map(slice, starts, ends))]


def inflate(mask, n_planes):
    """The payload, which inflates to what its runs can take, no further."""
    limit = 4 * n_planes + 2 * ((mask.n_runs + 7) // 8) + (5 + mask.label_bytes) * mask.n_runs
    stream = zlib.decompressobj(-15)
    try:
        raw = stream.decompress(mask.payload, limit + 1)
    except zlib.error as error:
        raise ValueError(f"the payload does not inflate: {error}") from error
    if len(raw) > limit or not stream.eof or stream.unused_data:
        raise ValueError("the payload is not one stream of the size that its runs take")
    if zlib.crc32(raw) != mask.checksum:
        raise ValueError("the checksum of the payload is wrong")
    return raw


def read(raw, n_planes, n_runs, label_bytes):
    """The parts of a payload: counts of boundaries, cut, new, labels of the new ones, moves."""
    stream = io.BytesIO(raw)
    take = lambda kind, n: np.frombuffer(stream.read(int(n) * np.dtype(kind).itemsize), kind, int(n))
    flags = lambda n: np.unpackbits(take("u1", (n + 7) // 8), count=n_runs) == 1
    counts = take("<u4", n_planes).astype(int)
    if counts.sum() != n_runs:
        raise ValueError(f"planes hold {counts.sum()} runs, expected {n_runs}")
    cut, new = flags(n_runs - counts[-1]), flags(n_runs)
    labels = take(f"<u{label_bytes}", new.sum())
    moves = take("u1", n_runs).astype(int)
    moves[moves == 255] = take("<u4", (moves == 255).sum())
    if stream.read():
        raise ValueError("the payload is longer than its runs")
    return counts, cut, new, labels, (moves >> 1) ^ -(moves & 1)


def paint(mask, planes):
    """Follows the boundaries from plane to plane."""
    raw = inflate(mask, len(planes))
    counts, cut, new, new_ids, moves = read(raw, len(planes), mask.n_runs, mask.label_bytes)
    ids = np.zeros(len(new), "u2")
    ids[new] = new_ids
    ends = counts.cumsum()
    kept, kept_ids = ends[:0], ids[:0]
    for plane, here in zip(planes, map(slice, ends - counts, ends)):
        old, run = ~new[here], moves[here].cumsum()
        if old.sum() != len(kept):
            raise ValueError("a plane keeps more or fewer boundaries than it has places for")
        starts = run + np.append(0, kept + moves[here][old] - run[old])[old.cumsum()]
        ids[here][old] = kept_ids
        lengths = np.diff(starts, prepend=0, append=plane.size)  # a negative one is refused by repeat
        plane[:] = np.repeat(np.append(0, ids[here]), lengths).reshape(plane.shape)
        kept, kept_ids = starts[~cut[here]], ids[here][~cut[here]]


def check_labels(labels, voxels):
    """What is read without inflating must be true."""
    stated = {label.id: label.voxels for label in labels}
    for found in np.flatnonzero(voxels[1:]) + 1:
        if int(found) not in stated:
            raise ValueError(f"label {found} is not in the table")
    for label, n in stated.items():
        if label not in range(1, 65536) or voxels[label] != n:
            raise ValueError(f"label {label} does not have the {n} voxels that the table says")


def voxel_ml(mask):
    """Milliliters of one voxel: of the affine, which a sheared grid's spacing does not tell."""
    return abs(np.linalg.det(np.reshape(mask.geometry.affine, (4, 4))[:3, :3])) / 1000


def save(file, mask, ids):
    """Writes a .npz: `ids` [z, y, x], `affine` (voxel x, y, z to world mm, RAS+), `label_ids` and `label_names`."""
    labels = [(label.id, label.name) for label in mask.labels]
    with open(file, "wb") as out:
        np.savez_compressed(
            out,
            ids=ids,
            affine=np.reshape(mask.geometry.affine, (4, 4)),
            label_ids=np.array([label for label, _ in labels], "u2"),
            label_names=np.array([name for _, name in labels], "U"),
        )
