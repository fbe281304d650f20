"""What other programs make of nephrite's DICOM objects; run by `tests/peers/main.rs`, which writes them.

    python validate.py FOLDER        # with the packages of peers.txt

Each folder beneath FOLDER holds a series (`source/`), the mask of it as NIfTI, and segmentations, structure sets and a report.
Validators (dicom3tools) may find no error; readers (highdicom, pydicom, dcmqi, plastimatch, dcmrtstruct2nii) must find
the voxels of the NIfTI file, by their places in the patient.
"""

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import highdicom
import numpy
import pydicom
import SimpleITK as sitk

# dcmrtstruct2nii calls it by the name that it had before pydicom 3.
pydicom.read_file = pydicom.dcmread
BIN = Path(sys.executable).parent
COPIED = ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID"]
COPIED += ["AccessionNumber", "ReferringPhysicianName", "SpecificCharacterSet", "FrameOfReferenceUID"]
NAMES = ["kidney_left", "tumor", "lymph node ä"]
SEGMENTATIONS = ["seg.dcm", "labelmap.dcm", "labelmap_rle.dcm"]
# With a grid of its own, and of images that were compressed with loss.
OTHERS = ["seg_own.dcm", "seg_lossy.dcm"]
STRUCTURE_SETS = ["rtstruct.dcm", "rtstruct_xor.dcm"]
failures = []


def check(ok: bool, what: str) -> None:
    print(("ok      " if ok else "FAILED  ") + what)
    if not ok:
        failures.append(what)


def run(*command) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace", check=False)


def on_grid(image: sitk.Image, grid: sitk.Image) -> numpy.ndarray:
    """The labels of an image at the voxels of a grid, by place."""
    return sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0))


def plain(name: str) -> str:
    """What all programs leave of a name: ASCII letters. Some write others as bytes of the wrong character set."""
    return "".join(letter for letter in name if letter.isascii() and letter.isalpha())


def read_masks(folder: str, prefix: str, case: "Case") -> dict[str, numpy.ndarray]:
    """Files of one region each, by the plain names that they have; SimpleITK ends the process at names that are not UTF-8."""
    masks = {}
    for file in sorted(Path(folder).glob(f"{prefix}*.nii.gz")):
        name = plain(file.name.removesuffix(".nii.gz").removeprefix(prefix))
        renamed = file.rename(file.with_name(f"{name}.read.nii.gz"))
        masks[name] = on_grid(sitk.ReadImage(str(renamed)), case.grid) > 0
    return masks


def dice(a: numpy.ndarray, b: numpy.ndarray) -> float:
    return 2.0 * numpy.count_nonzero(a & b) / max(1, numpy.count_nonzero(a) + numpy.count_nonzero(b))


class Case:
    def __init__(self, folder: Path):
        self.folder = folder
        reader = sitk.ImageSeriesReader()
        files = reader.GetGDCMSeriesFileNames(str(folder / "source"))
        reader.SetFileNames(files)
        self.grid = reader.Execute()
        self.source = [pydicom.dcmread(file) for file in files]
        # Our mask came through NIfTI: the same patient, another library, another layout.
        self.expected = on_grid(sitk.ReadImage(str(folder / "mask.nii.gz")), self.grid)
        image = sitk.GetArrayFromImage(self.grid)
        check(numpy.array_equal(self.expected > 0, image > 0), f"{folder.name}: NIfTI and series agree")

    def path(self, name: str) -> Path:
        return self.folder / name

    def named(self, name: str) -> str:
        return f"{self.folder.name}/{name}"


def validators(case: Case) -> None:
    objects = SEGMENTATIONS + OTHERS + STRUCTURE_SETS + ["sr.dcm"]
    for name in objects:
        said = run(BIN / "dciodvfy", "-new", case.path(name))
        lines = (said.stdout + said.stderr).splitlines()
        errors = [line for line in lines if line.startswith("Error")]
        warnings = [line for line in lines if line.startswith("Warning")]
        check(not errors, f"{case.named(name)}: dciodvfy ({len(warnings)} warnings)")
        for line in errors[:8] + sorted(set(warnings))[:8]:
            print(f"          {line}")
    said = run(BIN / "dcentvfy", *sorted(case.path("source").glob("*.dcm")), *(case.path(name) for name in objects))
    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
    # A structure set refers to its study by a class that nobody stores any more.
    study = case.source[0].StudyInstanceUID
    errors = [line for line in errors if f"Missing SOPInstanceUID that was referenced - {study} for" not in line]
    check(not errors, f"{case.folder.name}: dcentvfy of source and objects together")
    for line in errors[:8]:
        print(f"          {line}")


def copied(case: Case) -> None:
    for name in SEGMENTATIONS + OTHERS + STRUCTURE_SETS + ["sr.dcm"]:
        found = pydicom.dcmread(case.path(name), stop_before_pixels=True)
        tags = [tag for tag in COPIED if not (tag == "FrameOfReferenceUID" and name == "sr.dcm")]
        # Read again: values that somebody looked at are no longer bytes.
        source = pydicom.dcmread(case.source[0].filename, stop_before_pixels=True)
        same = all(found.get_item(tag).value == source.get_item(tag).value for tag in tags)
        check(same, f"{case.named(name)}: pydicom finds the bytes of patient and study")


def by_highdicom(case: Case) -> None:
    for name in SEGMENTATIONS + OTHERS:
        seg = highdicom.seg.segread(case.path(name))
        labels = [seg.get_segment_description(number).SegmentLabel for number in seg.segment_numbers if number != 0]
        check(labels == NAMES, f"{case.named(name)}: highdicom finds the labels")
        if name != "seg_own.dcm":
            uids = [image.SOPInstanceUID for image in case.source]
            found = seg.get_pixels_by_source_instance(uids, combine_segments=True, ignore_spatial_locations=False,
                                                      assert_missing_frames_are_empty=True)
            check(numpy.array_equal(found, case.expected), f"{case.named(name)}: highdicom finds the voxels by source image")
        volume = seg.get_volume(combine_segments=True)
        grid = volume.affine  # LPS, of (slice, row, column)
        image = sitk.GetImageFromArray(numpy.asarray(volume.array))
        columns = [grid[:3, axis] for axis in (2, 1, 0)]
        image.SetSpacing([float(numpy.linalg.norm(column)) for column in columns])
        image.SetDirection(numpy.stack([c / numpy.linalg.norm(c) for c in columns], axis=1).flatten().tolist())
        image.SetOrigin(grid[:3, 3].tolist())
        found = on_grid(image, case.grid)
        check(numpy.array_equal(found, case.expected), f"{case.named(name)}: highdicom finds the voxels by place")


def by_pydicom(case: Case) -> None:
    for name in SEGMENTATIONS:
        found = pydicom.dcmread(case.path(name))
        pixels = found.pixel_array.reshape(-1, found.Rows, found.Columns)
        order = {image.SOPInstanceUID: k for k, image in enumerate(case.source)}
        volume = numpy.zeros_like(case.expected)
        for frame, group in zip(pixels, found.PerFrameFunctionalGroupsSequence, strict=True):
            k = order[group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
            if found.SegmentationType == "BINARY":
                frame = frame * group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            volume[k] += frame.astype(volume.dtype)
        check(numpy.array_equal(volume, case.expected), f"{case.named(name)}: pydicom finds the voxels")


def by_dcmqi(case: Case) -> None:
    for name in SEGMENTATIONS:
        with tempfile.TemporaryDirectory() as out:
            said = run(BIN / "segimage2itkimage", "--inputDICOM", case.path(name), "--outputDirectory", out, "-t", "nifti")
            found = numpy.zeros_like(case.expected)
            for file in sorted(Path(out).glob("*.nii.gz")):
                values = on_grid(sitk.ReadImage(str(file)), case.grid)
                number = int(file.name.split(".")[0].split("-")[-1])
                found[values > 0] = values[values > 0] if name != "seg.dcm" else number
            check(numpy.array_equal(found, case.expected), f"{case.named(name)}: dcmqi finds the voxels")
            if said.returncode != 0:
                print(said.stdout[-500:], said.stderr[-500:])


def report(case: Case) -> None:
    with tempfile.TemporaryDirectory() as out:
        target = Path(out) / "report.json"
        said = run(BIN / "tid1500reader", "--inputDICOM", case.path("sr.dcm"), "--outputMetadata", target)
        if not target.exists():
            check(False, f"{case.named('sr.dcm')}: tid1500reader reads it: {said.stdout[-300:]}{said.stderr[-300:]}")
            return
        read = json.loads(target.read_text())
    segmentation = pydicom.dcmread(case.path("seg.dcm"), stop_before_pixels=True)
    mm3 = float(numpy.prod(case.grid.GetSpacing()))
    groups = read["Measurements"]
    for number, (name, group) in enumerate(zip(NAMES, groups, strict=True), 1):
        volume = [item for item in group["measurementItems"] if item["quantity"]["CodeValue"] == "118565006"]
        expected = numpy.count_nonzero(case.expected == number) * mm3
        ok = (
            plain(group["TrackingIdentifier"]) == plain(name)
            and group["ReferencedSegment"] == number
            and group["segmentationSOPInstanceUID"] == segmentation.SOPInstanceUID
            and group["SourceSeriesForImageSegmentation"] == case.source[0].SeriesInstanceUID
            and len(volume) == 1
            and abs(float(volume[0]["value"]) - expected) < 1e-4 * expected
        )
        check(ok, f"{case.named('sr.dcm')}: tid1500reader finds group and volume of {name}")
        if not ok:
            print(json.dumps(group, indent=1)[:1500], expected)
    sr = highdicom.sr.srread(case.path("sr.dcm"))
    n = len(sr.content.get_volumetric_roi_measurement_groups())
    check(n == len(NAMES), f"{case.named('sr.dcm')}: highdicom finds {n} groups")


def why_other(reader: str, case: Case, name: str) -> str | None:
    """Why a reader gives other voxels than the contours go around, if it is known to: printed, not counted."""
    if name == "rtstruct_xor.dcm":
        return "it does not know CLOSEDPLANAR_XOR"
    if reader == "plastimatch" and case.folder.name in ("coronal", "sagittal"):
        return "it makes a triangle of a rectangle that lies across its axes"
    return None


def regions(case: Case, name: str, reader: str, masks: dict[str, numpy.ndarray]) -> None:
    for number, label in enumerate(NAMES, 1):
        # "ä" may have become "a".
        found = [mask for key, mask in masks.items() if key.startswith(plain(label))]
        share = dice(found[0], case.expected == number) if found else 0.0
        if reason := why_other(reader, case, name):
            print(f"note    {case.named(name)}: {reader}, {label}: Dice {share:.5f}; {reason}")
        else:
            check(share >= 0.999, f"{case.named(name)}: {reader}, {label}: Dice {share:.5f}")


def by_plastimatch(case: Case) -> None:
    for name in STRUCTURE_SETS:
        with tempfile.TemporaryDirectory() as out:
            run(BIN / "plastimatch", "convert", "--input", case.path(name), "--referenced-ct", case.path("source"),
                "--output-prefix", out, "--prefix-format", "nii.gz")
            regions(case, name, "plastimatch", read_masks(out, "", case))


def by_dcmrtstruct2nii(case: Case) -> None:
    from dcmrtstruct2nii import dcmrtstruct2nii

    for name in STRUCTURE_SETS:
        with tempfile.TemporaryDirectory() as out:
            dcmrtstruct2nii(str(case.path(name)), str(case.path("source")), out, convert_original_dicom=False)
            regions(case, name, "dcmrtstruct2nii", read_masks(out, "mask_", case))


def main() -> None:
    logging.disable(logging.WARNING)
    for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        case = Case(folder)
        for step in (validators, copied, by_highdicom, by_pydicom, by_dcmqi, report, by_plastimatch, by_dcmrtstruct2nii):
            try:
                step(case)
            except Exception as error:  # noqa: BLE001: the other steps are to be seen, too
                check(False, f"{folder.name}: {step.__name__} broke: {type(error).__name__}: {error}")
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
