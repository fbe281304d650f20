"""The decoder of proto/mask-codec/FORMAT.md: numpy and nothing else.

It believes what the message states; `nephrite_plugin.decode` checks that before and after.
"""

import io
import zlib

import numpy as np


def decode(mask, raw=None):
    """Label ids [z, y, x] of an EncodedMask. A payload that contradicts itself raises ValueError."""
    shape, box = mask.geometry.shape, mask.box
    labels = np.zeros((shape.z, shape.y, shape.x), f"u{mask.label_bytes}")
    if not mask.payload:
        return labels
    inside = labels[box.z_start : box.z_end, box.y_start : box.y_end, box.x_start : box.x_end]
    stream = io.BytesIO(zlib.decompress(mask.payload, -15) if raw is None else raw)
    take = lambda kind, n: np.frombuffer(stream.read(int(n) * np.dtype(kind).itemsize), kind, int(n))
    counts = take("<u4", len(inside)).astype(int)
    ends, total = counts.cumsum(), counts.sum()
    cut = np.unpackbits(take("u1", (total - counts[-1] + 7) // 8), count=total) == 1
    new = np.unpackbits(take("u1", (total + 7) // 8), count=total) == 1
    ids = np.zeros(total, labels.dtype)
    ids[new] = take(f"<u{mask.label_bytes}", new.sum())
    moves = take("u1", total).astype(int)
    moves[moves == 255] = take("<u4", (moves == 255).sum())
    if stream.read():
        raise ValueError("bytes are left over")
    moves = (moves >> 1) ^ -(moves & 1)
    kept, kept_ids = ends[:0], ids[:0]
    for plane, here in zip(inside, map(slice, ends - counts, ends)):
        old, run = ~new[here], moves[here].cumsum()
        if old.sum() != len(kept):
            raise ValueError("a plane keeps more or fewer boundaries than it has places for")
        starts = run + np.append(0, kept + moves[here][old] - run[old])[old.cumsum()]
        ids[here][old] = kept_ids
        lengths = np.diff(starts, prepend=0, append=plane.size)
        plane[:] = np.repeat(np.append(0, ids[here]), lengths).reshape(plane.shape)
        kept, kept_ids = starts[~cut[here]], ids[here][~cut[here]]
    return labels
