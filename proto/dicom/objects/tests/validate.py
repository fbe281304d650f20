"""What other programs make of nephrite's DICOM objects: those that `tests/peers/main.rs` writes, which runs this, and those of
`nephrite demo --dicom`.

    python validate.py FOLDER        # with the packages of peers.txt

FOLDER, or each folder beneath it, has a file `objects.json`, which names a series (`source`), the mask of it as NIfTI, its labels
by their ids from 1, and segmentations, structure sets and reports; and perhaps `series` of ours, which are validated, too. Validators (dicom3tools) may find no error; readers (highdicom,
pydicom, dcmqi, plastimatch, dcmrtstruct2nii) must find the voxels of the NIfTI file, by their places in the patient.
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
        said = json.loads((folder / "objects.json").read_text(encoding="utf-8"))
        self.names: list[str] = said["labels"]
        self.segmentations: list[str] = said["segmentations"]
        # Read by highdicom alone: on a grid of their own, or of images that were compressed with loss.
        self.own_grid: list[str] = said.get("segmentations_on_own_grid", [])
        self.others: list[str] = self.own_grid + said.get("other_segmentations", [])
        self.structure_sets: list[str] = said["structure_sets"]
        self.reports: list[str] = said["reports"]
        self.objects = self.segmentations + self.others + self.structure_sets + self.reports
        self.images = folder / said["source"]
        self.series = [folder / series for series in said.get("series", [])]
        # What a program finds in a file: milliliters by label.
        self.volumes: dict[str, dict[str, float]] = {}
        reader = sitk.ImageSeriesReader()
        files = reader.GetGDCMSeriesFileNames(str(self.images))
        reader.SetFileNames(files)
        self.grid = reader.Execute()
        self.source = [pydicom.dcmread(file) for file in files]
        # Our mask came through NIfTI: the same patient, another library, another layout.
        self.expected = on_grid(sitk.ReadImage(str(folder / said["mask"])), self.grid)
        check(len(self.source) > 1 and bool(self.expected.any()), f"{folder.name}: a series, and a mask that lies on it")
        self.voxel_ml = float(numpy.prod(self.grid.GetSpacing())) / 1000
        self.count(said["mask"], "SimpleITK", self.expected)
        if said.get("image_shows_mask"):
            image = sitk.GetArrayFromImage(self.grid)
            check(numpy.array_equal(self.expected > 0, image > 0), f"{folder.name}: NIfTI and series agree")

    def path(self, name: str) -> Path:
        return self.folder / name

    def named(self, name: str) -> str:
        return f"{self.folder.name}/{name}"

    def count(self, name: str, program: str, labels: numpy.ndarray) -> None:
        """Keeps the volumes of a label map."""
        found = {label: numpy.count_nonzero(labels == number) * self.voxel_ml for number, label in enumerate(self.names, 1)}
        self.volumes[f"{program}, {Path(name).name}"] = found

    def table(self) -> None:
        width = max(len(program) for program in self.volumes) + 2
        print(f"{self.folder.name}, mL".ljust(width) + "".join(label.rjust(14) for label in self.names))
        for program, found in self.volumes.items():
            cells = (f"{found[label]:.3f}" if label in found else "-" for label in self.names)
            print(program.ljust(width) + "".join(cell.rjust(14) for cell in cells))


def validators(case: Case) -> None:
    files = {case.named(name): case.path(name) for name in case.objects}
    for series in case.series:
        images = sorted(series.glob("*.dcm"))
        check(len(images) > 1, f"{case.folder.name}: {series.name} has {len(images)} images")
        files |= {f"{series.name}/{image.name}": image for image in images[:1] + images[-1:]}
    for name, file in files.items():
        said = run(BIN / "dciodvfy", "-new", file)
        lines = (said.stdout + said.stderr).splitlines()
        errors = [line for line in lines if line.startswith("Error")]
        warnings = [line for line in lines if line.startswith("Warning")]
        check(not errors, f"{name}: dciodvfy ({len(warnings)} warnings)")
        for line in errors[:8] + sorted(set(warnings))[:8]:
            print(f"          {line}")
    images = [image for series in sorted({case.images, *case.series}) for image in sorted(series.glob("*.dcm"))]
    said = run(BIN / "dcentvfy", *images, *(case.path(name) for name in case.objects))
    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
    # A structure set refers to its study by a class that nobody stores any more.
    study = case.source[0].StudyInstanceUID
    errors = [line for line in errors if f"Missing SOPInstanceUID that was referenced - {study} for" not in line]
    check(not errors, f"{case.folder.name}: dcentvfy of source and objects together")
    for line in errors[:8]:
        print(f"          {line}")


def copied(case: Case) -> None:
    for name in case.objects:
        found = pydicom.dcmread(case.path(name), stop_before_pixels=True)
        tags = [tag for tag in COPIED if not (tag == "FrameOfReferenceUID" and name in case.reports)]
        # Read again: values that somebody looked at are no longer bytes.
        source = pydicom.dcmread(case.source[0].filename, stop_before_pixels=True)
        # What is empty is None or no bytes, by transfer syntax.
        same = all((found.get_item(tag).value or b"") == (source.get_item(tag).value or b"") for tag in tags)
        check(same, f"{case.named(name)}: pydicom finds the bytes of patient and study")


def by_highdicom(case: Case) -> None:
    for name in case.segmentations + case.others:
        seg = highdicom.seg.segread(case.path(name))
        labels = [seg.get_segment_description(number).SegmentLabel for number in seg.segment_numbers if number != 0]
        check(labels == case.names, f"{case.named(name)}: highdicom finds the labels")
        if name not in case.own_grid:
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
        case.count(name, "highdicom", found)
        check(numpy.array_equal(found, case.expected), f"{case.named(name)}: highdicom finds the voxels by place")


def by_pydicom(case: Case) -> None:
    for name in case.segmentations:
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
    for name in case.segmentations:
        with tempfile.TemporaryDirectory() as out:
            said = run(BIN / "segimage2itkimage", "--inputDICOM", case.path(name), "--outputDirectory", out, "-t", "nifti")
            found = numpy.zeros_like(case.expected)
            is_binary = pydicom.dcmread(case.path(name), stop_before_pixels=True).SegmentationType == "BINARY"
            for file in sorted(Path(out).glob("*.nii.gz")):
                values = on_grid(sitk.ReadImage(str(file)), case.grid)
                number = int(file.name.split(".")[0].split("-")[-1])
                found[values > 0] = number if is_binary else values[values > 0]
            case.count(name, "dcmqi", found)
            check(numpy.array_equal(found, case.expected), f"{case.named(name)}: dcmqi finds the voxels")
            if said.returncode != 0:
                print(said.stdout[-500:], said.stderr[-500:])


def by_tid1500reader(case: Case) -> None:
    """The reports are those of the first segmentation."""
    segmentation = pydicom.dcmread(case.path(case.segmentations[0]), stop_before_pixels=True)
    for name in case.reports:
        with tempfile.TemporaryDirectory() as out:
            target = Path(out) / "report.json"
            said = run(BIN / "tid1500reader", "--inputDICOM", case.path(name), "--outputMetadata", target)
            if not target.exists():
                check(False, f"{case.named(name)}: tid1500reader reads it: {said.stdout[-300:]}{said.stderr[-300:]}")
                continue
            groups = json.loads(target.read_text())["Measurements"]
        volumes = case.volumes[f"tid1500reader, {Path(name).name}"] = {}
        for number, (label, group) in enumerate(zip(case.names, groups, strict=True), 1):
            volume = [item for item in group["measurementItems"] if item["quantity"]["CodeValue"] == "118565006"]
            expected = numpy.count_nonzero(case.expected == number) * case.voxel_ml * 1000
            ok = (
                plain(group["TrackingIdentifier"]) == plain(label)
                and group["ReferencedSegment"] == number
                and group["segmentationSOPInstanceUID"] == segmentation.SOPInstanceUID
                and group["SourceSeriesForImageSegmentation"] == case.source[0].SeriesInstanceUID
                and len(volume) == 1
                and abs(float(volume[0]["value"]) - expected) < 1e-4 * expected
            )
            check(ok, f"{case.named(name)}: tid1500reader finds group and volume of {label}")
            if ok:
                volumes[label] = float(volume[0]["value"]) / 1000
            else:
                print(json.dumps(group, indent=1)[:1500], expected)
        sr = highdicom.sr.srread(case.path(name))
        n = len(sr.content.get_volumetric_roi_measurement_groups())
        check(n == len(case.names), f"{case.named(name)}: highdicom finds {n} groups")


def why_other(reader: str, case: Case, name: str) -> str | None:
    """Why a reader gives other voxels than the contours go around, if it is known to: printed, not counted."""
    if name == "rtstruct_xor.dcm":
        return "it does not know CLOSEDPLANAR_XOR"
    if reader == "plastimatch" and case.folder.name in ("coronal", "sagittal"):
        return "it makes a triangle of a rectangle that lies across its axes"
    return None


def regions(case: Case, name: str, reader: str, masks: dict[str, numpy.ndarray]) -> None:
    volumes = case.volumes[f"{reader}, {Path(name).name}"] = {}
    for number, label in enumerate(case.names, 1):
        # "ä" may have become "a".
        found = [mask for key, mask in masks.items() if key.startswith(plain(label))]
        share = dice(found[0], case.expected == number) if found else 0.0
        if found:
            volumes[label] = numpy.count_nonzero(found[0]) * case.voxel_ml
        if reason := why_other(reader, case, name):
            print(f"note    {case.named(name)}: {reader}, {label}: Dice {share:.5f}; {reason}")
        else:
            check(share >= 0.999, f"{case.named(name)}: {reader}, {label}: Dice {share:.5f}")


def by_plastimatch(case: Case) -> None:
    for name in case.structure_sets:
        with tempfile.TemporaryDirectory() as out:
            run(BIN / "plastimatch", "convert", "--input", case.path(name), "--referenced-ct", case.images,
                "--output-prefix", out, "--prefix-format", "nii.gz")
            regions(case, name, "plastimatch", read_masks(out, "", case))


def by_dcmrtstruct2nii(case: Case) -> None:
    from dcmrtstruct2nii import dcmrtstruct2nii

    for name in case.structure_sets:
        with tempfile.TemporaryDirectory() as out:
            dcmrtstruct2nii(str(case.path(name)), str(case.images), out, convert_original_dicom=False)
            regions(case, name, "dcmrtstruct2nii", read_masks(out, "mask_", case))


def main() -> None:
    logging.disable(logging.WARNING)
    folder = Path(sys.argv[1])
    described = [folder / "objects.json", *sorted(folder.glob("*/objects.json"))]
    folders = [file.parent for file in described if file.exists()]
    check(bool(folders), f"{folder}: objects.json says what is there")
    steps = (validators, copied, by_highdicom, by_pydicom, by_dcmqi, by_tid1500reader, by_plastimatch, by_dcmrtstruct2nii)
    for folder in folders:
        case = Case(folder)
        for step in steps:
            try:
                step(case)
            except Exception as error:  # noqa: BLE001: the other steps are to be seen, too
                check(False, f"{folder.name}: {step.__name__} broke: {type(error).__name__}: {error}")
        case.table()
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
