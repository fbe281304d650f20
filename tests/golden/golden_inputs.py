"""Seeded synthetic scans for the golden cases, written as NIfTI. Arrays are [z, y, x]; spacings are in the same order."""

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter


def smooth_noise(rng, shape, sigma):
    """Noise of zero mean and unit deviation, correlated over about `sigma` voxels."""
    noise = gaussian_filter(rng.standard_normal(shape), sigma, mode="nearest")
    return (noise - noise.mean()) / noise.std()


def ellipsoid(shape, radius=0.85, offset=(0.0, 0.0, 0.0)):
    """True inside an ellipsoid that fills `radius` of the array."""
    axes = np.ogrid[tuple(slice(-1, 1, complex(0, n)) if n > 1 else slice(0, 1) for n in shape)]
    return sum(((a - o) / radius) ** 2 for a, o in zip(axes, offset)) < 1


def ct(rng, shape, sigma=2.0, radius=0.9):
    """A CT-like scan: air of -1000 around a body of soft tissue with bright and dark organs, int16."""
    body = 40 + 110 * smooth_noise(rng, shape, sigma)
    return np.where(ellipsoid(shape, radius), body, -1000).round().astype(np.int16)


def ct_in_zero_border(rng, shape, border, sigma=2.0):
    """A CT-like scan surrounded by voxels of value 0, which nnU-Net crops away."""
    out = np.zeros(shape, np.int16)
    inner = tuple(slice(low, n - high) for n, (low, high) in zip(shape, border))
    values = ct(rng, tuple(s.stop - s.start for s in inner), sigma)
    values[values == 0] = 1
    out[inner] = values
    return out


def mr(rng, shape, sigma=2.0, radius=0.9, mean=300, deviation=80):
    """An MR-like scan: positive values in an ellipsoid, 0 outside, int16."""
    values = np.maximum(mean + deviation * smooth_noise(rng, shape, sigma), 5)
    return np.where(ellipsoid(shape, radius), values, 0).round().astype(np.int16)


def mr_with_holes(rng, shape):
    """An MR-like scan whose non-zero mask has a closed cavity, an open tunnel and a cavity that meets it diagonally."""
    image = mr(rng, shape, radius=0.97)
    z, y, x = (n // 2 for n in shape)
    image[z - 2 : z + 3, y - 6 : y - 2, x - 6 : x - 1] = 0  # closed: nnU-Net fills it
    image[z - 3 : z + 1, y + 2 : y + 5, x:] = 0  # open to the border in +x: stays
    # a cavity that touches the tunnel over an edge only: 6-connectivity fills it
    image[z + 1 : z + 5, y + 5 : y + 8, x : x + 4] = 0
    return image


def blobs(rng, shape, labels, sigma=3.0):
    """A label map of smooth shapes, uint8."""
    fields = np.stack([smooth_noise(rng, shape, sigma) for _ in labels])
    best = fields.argmax(0)
    return np.where(fields.max(0) > 0.9, np.asarray(labels)[best], 0).astype(np.uint8)


def write_itk(path: Path, array, spacing, origin=(3.5, -7.25, 11.0), direction=None):
    """Writes `array` as SimpleITK does; `spacing` is in array order."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing[::-1]])
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), True)


def permuted_affine(spacing_xyz):
    """Voxel axes that run to anterior, inferior and left, turned by six degrees about the patient's long axis."""
    turn = np.deg2rad(6.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
    axes = np.array([[0, 0, -1.0], [1.0, 0, 0], [0, -1.0, 0]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ axes @ np.diag(spacing_xyz)
    affine[:3, 3] = (-31.0, 12.5, 40.0)
    return affine


def write_nibabel(path: Path, array, affine, slope=None, inter=None):
    """Writes stored voxels `array` ([z, y, x]) with both forms set and, if given, a slope and intercept."""
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    image.header.set_xyzt_units("mm")
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, str(path))
