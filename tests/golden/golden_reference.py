"""Runs the real nnU-Net on one case and records what passes between its stages."""

import itertools
import pickle
import shutil
import tempfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian
from nnunetv2.postprocessing.remove_connected_components import load_postprocess_save
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager


class Recorder:
    """What one run of nnUNetPredictor produced: properties, network input, accumulated logits."""

    def __init__(self, predictor):
        self.properties = self.spacing = self.raw_shape = self.network_input = self.logits = None
        predict = predictor.predict_logits_from_preprocessed_data

        def recording_predict(data):
            self.network_input = data.numpy().copy()
            self.logits = predict(data).clone()
            return self.logits.clone()

        predictor.predict_logits_from_preprocessed_data = recording_predict

    def __enter__(self):
        self._run = DefaultPreprocessor.run_case_npy
        recorder = self

        def run_case_npy(preprocessor, data, seg, properties, *rest):
            recorder.raw_shape, recorder.spacing = data.shape, list(properties["spacing"])
            result = recorder._run(preprocessor, data, seg, properties, *rest)
            recorder.properties = deepcopy(result[2])
            return result

        DefaultPreprocessor.run_case_npy = run_case_npy
        return self

    def __exit__(self, *_):
        DefaultPreprocessor.run_case_npy = self._run


def load_predictor(model: Path, case):
    """The predictor on the CPU with the options of `case`."""
    predictor = nnUNetPredictor(
        tile_step_size=case.tile_step_size,
        use_gaussian=True,
        use_mirroring=case.mirroring,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    folds = case.reference_folds or case.folds
    predictor.initialize_from_trained_model_folder(str(model), folds, f"checkpoint_{case.checkpoint}.pth")
    return predictor


def tile_starts(predictor, padded_shape):
    """First voxel of every tile in nnU-Net's order, three numbers each (a 2-D tile starts with its slice)."""
    slicers = predictor._internal_get_sliding_window_slicers(padded_shape)
    return [[s if isinstance(s, int) else s.start for s in slicer[1:]] for slicer in slicers]


def padded_shape(shape, patch):
    """Shape after nnU-Net's padding to at least one patch."""
    head = len(shape) - len(patch)
    return (*shape[:head], *(max(n, p) for n, p in zip(shape[head:], patch)))


def replay(predictor, network_input):
    """Runs the sliding window again with a network whose outputs are rounded to half precision, and records each of them.

    Rounded outputs are stored exactly in half the space; the accumulated logits and labels are those of nnU-Net for these outputs, so a
    port that is fed the same ones must give the same labels, voxel for voxel.
    """
    network = predictor.network
    patch = predictor.configuration_manager.patch_size
    starts = tile_starts(predictor, padded_shape(network_input.shape[1:], patch))
    axes = predictor.allowed_mirroring_axes if predictor.use_mirroring else None
    flips = [()] if axes is None else [c for i in range(len(axes) + 1) for c in itertools.combinations(axes, i)]
    outputs = []

    class Rounded(torch.nn.Module):
        def forward(self, x):
            out = network(x).half()
            outputs.append(out[0].numpy().copy())
            return out.float()

        def load_state_dict(self, state):
            network.load_state_dict(state)

    predictor.network = Rounded()
    logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(network_input))
    predictor.network = network
    assert len(outputs) == len(starts) * len(flips)
    return {
        "tile_start": np.repeat(np.array(starts, np.int64), len(flips), axis=0),
        "flipped": np.array([[a in f for a in range(len(patch))] for f in flips] * len(starts), np.uint8),
        "output": np.stack(outputs),
        "logits": logits.numpy(),
    }


def wide_accumulation(predictor, network_input):
    """Logits of the same tiles summed in single precision: how far nnU-Net's own half precision sums are from the plain sum."""
    patch = predictor.configuration_manager.patch_size
    shape = network_input.shape[1:]
    padded = padded_shape(shape, patch)
    low = [(p - n) // 2 for n, p in zip(shape, padded)]
    data = np.zeros((network_input.shape[0], *padded), np.float32)
    inner = (slice(None), *(slice(a, a + n) for a, n in zip(low, shape)))
    data[inner] = network_input
    data = torch.from_numpy(data)
    weight = compute_gaussian(tuple(patch), 1 / 8, 10, torch.float32, torch.device("cpu"))
    total = torch.zeros((predictor.label_manager.num_segmentation_heads, *padded))
    for parameters in predictor.list_of_parameters:
        predictor.network.load_state_dict(parameters)
        one, norm = torch.zeros_like(total), torch.zeros(padded)
        for slicer in predictor._internal_get_sliding_window_slicers(padded):
            one[slicer] += predictor._internal_maybe_mirror_and_predict(data[slicer][None])[0] * weight
            norm[slicer[1:]] += weight
        total += one / norm
    return (total / len(predictor.list_of_parameters))[inner]


def export(predictor, logits, properties):
    """nnU-Net's own export of logits to labels in the reader's axis order."""
    return np.asarray(
        convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, predictor.plans_manager, predictor.configuration_manager, predictor.label_manager, deepcopy(properties), False, 1
        )
    )


def read_labels(path: Path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def run_case(root: Path, case):
    """Runs `case` under `root` and writes its expected files and case.json fields. Returns (fields, figures for the table)."""
    folder = root / "cases" / case.name
    folder.mkdir(parents=True, exist_ok=True)
    model = root / case.model
    predictor = load_predictor(model, case)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        images = []
        for channel, source in enumerate(case.inputs):
            images.append(str(scratch / f"case_{channel:04d}.nii.gz"))
            shutil.copy(root / source, images[-1])
        previous = None
        if case.previous_stage is not None:
            previous = scratch / "previous"
            previous.mkdir()
            shutil.copy(root / case.previous_stage, previous / "case.nii.gz")
        out = scratch / "out"
        out.mkdir()
        with Recorder(predictor) as record:
            predictor.predict_from_files_sequential(
                [images], [str(out / "case")], case.save_probabilities, True, None if previous is None else str(previous)
            )
        shutil.copy(out / "case.nii.gz", folder / "labels.nii.gz")
        if case.save_probabilities:
            probabilities = np.load(out / "case.npz")["probabilities"]
            np.savez_compressed(folder / "probabilities.npz", probabilities=probabilities)
        if case.postprocessing is not None:
            with open(root / case.postprocessing.replace(".json", ".pkl"), "rb") as file:
                functions, arguments = pickle.load(file)
            reader = PlansManager(str(model / "plans.json")).image_reader_writer_class()
            load_postprocess_save(str(out / "case.nii.gz"), str(folder / "labels_postprocessed.nii.gz"), reader, functions, arguments)

    properties = record.properties
    arrays = {}
    if case.store_network_input:
        arrays["network_input"] = record.network_input.astype(np.float32)
    if case.store_logits:
        arrays["logits"] = record.logits.numpy()
    if arrays:
        np.savez_compressed(folder / "stages.npz", **arrays)

    labels = read_labels(folder / "labels.nii.gz")
    if case.replay:
        played = replay(predictor, record.network_input)
        expected = export(predictor, torch.from_numpy(played["logits"].copy()), properties)
        np.savez_compressed(folder / "replay.npz", **played, labels=expected.astype(np.uint8))

    patch = predictor.configuration_manager.patch_size
    shape = record.network_input.shape[1:]
    starts = np.array(tile_starts(predictor, padded_shape(shape, patch)))
    wide = export(predictor, wide_accumulation(predictor, record.network_input), properties)
    written = export(predictor, record.logits.clone(), properties)
    fields = {
        "spacing": record.spacing,
        "shape": list(record.raw_shape[1:]),
        "shape_before_cropping": [int(n) for n in properties["shape_before_cropping"]],
        "bounding_box": [[int(a), int(b)] for a, b in properties["bbox_used_for_cropping"]],
        "shape_after_cropping": [int(n) for n in properties["shape_after_cropping_and_before_resampling"]],
        "network_shape": [int(n) for n in record.network_input.shape],
        "n_classes": int(record.logits.shape[0]),
        "tile_starts": [sorted({int(v) for v in starts[:, k]}) for k in range(3)],
        "n_tiles": len(starts),
    }
    values, counts = np.unique(labels, return_counts=True)
    figures = {
        "labels": {int(v): round(float(c) / labels.size, 3) for v, c in zip(values, counts)} if len(values) < 8 else f"{len(values)} labels",
        "wide_sum_agreement": float((wide == written).mean()),
        "voxels": labels.size,
    }
    return fields, figures


def postprocess_case(root: Path, case):
    """Applies nnU-Net's own postprocessing to a given label map."""
    folder = root / "cases" / case.name
    folder.mkdir(parents=True, exist_ok=True)
    with open(root / case.postprocessing.replace(".json", ".pkl"), "rb") as file:
        functions, arguments = pickle.load(file)
    reader = PlansManager(str(root / case.model / "plans.json")).image_reader_writer_class()
    load_postprocess_save(str(root / case.inputs[0]), str(folder / "labels.nii.gz"), reader, functions, arguments)
    before, after = read_labels(root / case.inputs[0]), read_labels(folder / "labels.nii.gz")
    return {"shape": list(after.shape)}, {"changed": int((before != after).sum()), "voxels": after.size}
