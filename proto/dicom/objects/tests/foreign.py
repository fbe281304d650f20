"""Writes objects of the masks of `tests/peers/main.rs` with other programs, for our readers.

    python foreign.py FOLDER        # with the packages of peers.txt

Beside the objects of nephrite come `foreign_*.dcm`: segmentations of highdicom and dcmqi, structure sets of rt-utils.
"""

import json
import logging
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy
import pydicom
import SimpleITK as sitk
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

NAMES = ["kidney_left", "tumor", "lymph node ä"]


def series(folder: Path) -> tuple[sitk.Image, list[pydicom.Dataset]]:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "source")))
    return reader.Execute(), [pydicom.dcmread(file) for file in reader.GetFileNames()]


def write_highdicom(folder: Path, labels: numpy.ndarray, source: list[pydicom.Dataset]) -> None:
    algorithm = highdicom.AlgorithmIdentificationSequence(name="a", version="1", family=codes.cid7162.ArtificialIntelligence)
    descriptions = [
        SegmentDescription(number, name, codes.SCT.Tissue, codes.SCT.Kidney, SegmentAlgorithmTypeValues.AUTOMATIC, algorithm)
        for number, name in enumerate(NAMES, 1)
    ]
    kinds = [
        ("binary", SegmentationTypeValues.BINARY, ExplicitVRLittleEndian, True),
        ("binary_all", SegmentationTypeValues.BINARY, ExplicitVRLittleEndian, False),
        ("labelmap", SegmentationTypeValues.LABELMAP, ExplicitVRLittleEndian, True),
        ("labelmap_rle", SegmentationTypeValues.LABELMAP, RLELossless, False),
        ("fractional", SegmentationTypeValues.FRACTIONAL, RLELossless, True),
    ]
    for name, kind, syntax, omit in kinds:
        pixels = labels.astype(numpy.uint8)
        if kind == SegmentationTypeValues.FRACTIONAL:
            pixels = numpy.stack([(labels == n).astype(numpy.float32) for n in range(1, 4)], axis=-1)
        written = highdicom.seg.Segmentation(
            source_images=source, pixel_array=pixels, segmentation_type=kind, segment_descriptions=descriptions,
            series_instance_uid=highdicom.UID(), series_number=1, sop_instance_uid=highdicom.UID(), instance_number=1,
            manufacturer="m", manufacturer_model_name="m", software_versions="1", device_serial_number="1",
            transfer_syntax_uid=syntax, omit_empty_frames=omit,
        )
        written.save_as(folder / f"foreign_{name}.dcm")


def write_dcmqi(folder: Path, labels: numpy.ndarray, grid: sitk.Image) -> None:
    image = sitk.GetImageFromArray(labels.astype(numpy.uint8))
    image.CopyInformation(grid)
    file = folder / "labels.nrrd"
    sitk.WriteImage(image, str(file))
    code = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    attributes = [
        {"labelID": number, "SegmentDescription": f"segment {number}", "SegmentLabel": name.replace("ä", "a"),
         "SegmentAlgorithmType": "AUTOMATIC", "SegmentAlgorithmName": "a", "SegmentedPropertyCategoryCodeSequence": code,
         "SegmentedPropertyTypeCodeSequence": code, "recommendedDisplayRGBValue": [255, 0, 0]}
        for number, name in enumerate(NAMES, 1)
    ]
    meta = {"ContentCreatorName": "a", "SeriesDescription": "s", "SeriesNumber": "5", "InstanceNumber": "1",
            "segmentAttributes": [attributes]}
    (folder / "meta.json").write_text(json.dumps(meta))
    command = [Path(sys.executable).parent / "itkimage2segimage", "--inputImageList", file, "--inputDICOMDirectory", folder / "source",
               "--inputMetadata", folder / "meta.json", "--outputDICOM", folder / "foreign_dcmqi.dcm"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def write_rt_utils(folder: Path, labels: numpy.ndarray) -> None:
    from rt_utils import RTStructBuilder

    built = RTStructBuilder.create_new(dicom_series_path=str(folder / "source"))
    order = [image.SOPInstanceUID for image in built.series_data]
    of_source = {image.SOPInstanceUID: k for k, image in enumerate(series(folder)[1])}
    sorted_labels = labels[[of_source[uid] for uid in order]]
    for number, name in enumerate(NAMES, 1):
        built.add_roi(mask=numpy.moveaxis(sorted_labels == number, 0, 2), name=name.replace("ä", "a"))
    built.save(str(folder / "foreign_rt_utils.dcm"))


def main() -> None:
    logging.disable(logging.WARNING)
    for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        grid, source = series(folder)
        mask = sitk.Resample(sitk.ReadImage(str(folder / "mask.nii.gz")), grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        labels = sitk.GetArrayFromImage(mask)
        write_highdicom(folder, labels, source)
        write_dcmqi(folder, labels, grid)
        write_rt_utils(folder, labels)


main()
