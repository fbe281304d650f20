#!/usr/bin/env python3
"""Compares what is read of series with what dcm2niix writes of them: the same voxels, and affines to 1e-4.

    pip install -r requirements.txt
    cargo build --release -p nephrite-dicom --example series
    python3 compare.py --program target/release/examples/series [--series FOLDER ...]

Series are made in all 48 ways that slices, rows and columns can follow an axis (CT, 2-D MR, 3-D MR), and in random oblique planes;
FOLDERs with one series each are compared besides, with dicom2nifti as well. Ends with an error if anything differs.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import dicom2nifti
import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
SHAPE = (5, 6, 4)  # slices, rows, columns
MAX_AFFINE_DIFFERENCE = 1e-4


def make_series(folder: Path, row, column, step, *, modality: str, acquisition: str | None, spacing, origin, seed: int) -> None:
    """Writes a series of random pixels; directions and `step`, from slice to slice, in LPS millimeters."""
    pixels = np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype("<i2")
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(SHAPE[0]):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID = CT if modality == "CT" else MR
        image.SOPInstanceUID = generate_uid()
        image.SeriesInstanceUID, image.StudyInstanceUID, image.FrameOfReferenceUID = series, study, frame
        image.Modality, image.Manufacturer, image.PatientID, image.PatientName = modality, "ACME", "x", "x"
        image.StudyDate, image.StudyTime, image.SeriesNumber, image.InstanceNumber = "20200101", "100000", 1, k + 1
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        if acquisition:
            image.MRAcquisitionType = acquisition
        image.Rows, image.Columns, image.SamplesPerPixel = SHAPE[1], SHAPE[2], 1
        image.PhotometricInterpretation = "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.PixelSpacing = [float(mm) for mm in spacing]
        image.SliceThickness = float(np.linalg.norm(step))
        image.ImageOrientationPatient = [float(cosine) for cosine in (*row, *column)]
        image.ImagePositionPatient = [float(at) for at in np.asarray(origin) + k * np.asarray(step)]
        image.PixelData = pixels[k].tobytes()
        image.save_as(folder / f"{k:03d}.dcm", enforce_file_format=True)


def axis_aligned():
    """Directions of row, column and slices for all 48 ways."""
    axes = np.eye(3)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield [sign * axes[axis] for sign, axis in zip(signs, order)]


def difference(ours: Path, theirs: Path) -> str | None:
    """What differs between two NIfTI files."""
    a, b = nibabel.load(ours), nibabel.load(theirs)
    if a.shape != b.shape or not np.array_equal(a.get_fdata(), b.get_fdata()):
        return "voxels differ"
    worst = np.abs(a.affine - b.affine).max()
    return None if worst <= MAX_AFFINE_DIFFERENCE else f"affines differ by {worst}"


def compare(program: Path, folder: Path, scratch: Path, with_dicom2nifti: bool) -> list[str]:
    """What differs from the peers."""
    ours = scratch / "ours.nii"
    run = subprocess.run([program, folder, "-", ours], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return [run.stderr.strip()]
    dcm2niix = Path(sys.executable).parent / "dcm2niix"
    command = [dcm2niix, "-z", "n", "-b", "n", "-f", "theirs", "-o", scratch, folder]
    subprocess.run(command, capture_output=True, check=True)
    found = [("dcm2niix", difference(ours, scratch / "theirs.nii"))]
    if with_dicom2nifti:
        dicom2nifti.dicom_series_to_nifti(folder, scratch / "other.nii")
        found.append(("dicom2nifti", difference(ours, scratch / "other.nii")))
    return [f"{peer}: {what}" for peer, what in found if what]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--series", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    compared, wrong = 0, []

    def check(name: str, folder: Path, with_dicom2nifti: bool = False) -> None:
        nonlocal compared
        with tempfile.TemporaryDirectory() as scratch:
            found = compare(arguments.program.resolve(), folder, Path(scratch), with_dicom2nifti)
        compared += 1
        wrong.extend(f"{name}: {what}" for what in found)

    kinds = [("CT", None), ("MR", "2D"), ("MR", "3D")]
    straight = [(row, column, 3 * way, (1.5, 2.5), (10, 20, 30)) for row, column, way in axis_aligned()]
    random = np.random.default_rng(1)
    oblique = []
    for _ in range(40):
        row, column, way = np.round(np.linalg.qr(random.normal(size=(3, 3)))[0], 6)
        spacing, origin = np.round(random.uniform(0.5, 2, 2), 4), np.round(100 * random.normal(size=3), 3)
        oblique.append((row, column, random.uniform(1, 5) * way, spacing, origin))
    for seed, (row, column, step, spacing, origin) in enumerate(straight + oblique):
        for modality, acquisition in kinds:
            with tempfile.TemporaryDirectory() as folder:
                place = {"spacing": spacing, "origin": origin, "seed": seed}
                make_series(Path(folder), row, column, step, modality=modality, acquisition=acquisition, **place)
                check(f"{modality} {acquisition} {row} {column} {step}", Path(folder))
    for folder in arguments.series:
        check(str(folder), folder, with_dicom2nifti=True)
    print("\n".join(wrong))
    print(f"{compared - len(wrong)} of {compared} series are as the peers have them")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
