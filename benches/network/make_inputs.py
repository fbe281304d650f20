"""Makes what `run.py` measures: per network a trained model folder, a tile, its logits in double precision, OpenVINO's graph.

    python make_inputs.py OUT NETWORK...

`OUT/NETWORK` gets `model`, `input.f32`, `reference.f64` (both raw, little-endian, channel first), `openvino.xml`, and
`made.json`. Weights and tiles are random from fixed seeds. Nothing is made twice.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from networks import DEMO_MODEL, N_CLASSES, NETWORKS, build, load

ROOT = Path(__file__).resolve().parents[2]
SLAB_BYTES = 1 << 29  # of what torch unrolls for a convolution in double precision


def write_model(folder: Path, network: dict, n_classes: int = N_CLASSES, spacing: float = 1.0) -> None:
    """A trained model folder with random weights; `spacing` is that of the network's grid, mm."""
    axes = len(network["patch"])
    name = "2d" if axes == 2 else "3d_fullres"
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    architecture = {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{network['class']}",
        "arch_kwargs": network["kwargs"], "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {
        "data_identifier": "bench", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": network["patch"], "median_image_size_in_voxels": [256.0] * axes, "spacing": [spacing] * axes,
        "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling | {"order": 3}, "resampling_fn_seg_kwargs": resampling | {"is_seg": True},
        "resampling_fn_probabilities_kwargs": resampling, "architecture": architecture, "batch_dice": False,
    }
    intensities = {"mean": 60.0, "std": 120.0, "percentile_00_5": -200.0, "percentile_99_5": 400.0, "min": -1024.0,
                   "max": 3000.0, "median": 60.0}
    plans = {
        "dataset_name": "Dataset900_Bench", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "label_manager": "LabelManager",
        "original_median_spacing_after_transp": [1.0] * 3, "original_median_shape_after_transp": [256] * 3,
        "experiment_planner_used": "ExperimentPlanner", "foreground_intensity_properties_per_channel": {"0": intensities},
        "configurations": {name: configuration},
    }
    dataset = {
        "channel_names": {"0": "CT"}, "numTraining": 1, "file_ending": ".nii.gz",
        "labels": {"background": 0} | {f"structure_{i}": i for i in range(1, n_classes)},
    }
    torch.manual_seed(network["seed"])
    module = build(architecture, 1, n_classes)
    for part in module.modules():
        if getattr(part, "affine", False):  # a norm; residual blocks begin with a last one of zeros
            torch.nn.init.normal_(part.weight, 1.0, 0.3)
            torch.nn.init.normal_(part.bias, 0.0, 0.3)
    with torch.no_grad():
        for head in module.decoder.seg_layers:
            for parameter in head.parameters():
                parameter.mul_(3)
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans, indent=1))
    (folder / "dataset.json").write_text(json.dumps(dataset, indent=1))
    init_args = {"plans": plans, "configuration": name, "fold": 0, "dataset_json": dataset}
    checkpoint = {"network_weights": module.state_dict(), "trainer_name": "nnUNetTrainer", "init_args": init_args,
                  "inference_allowed_mirroring_axes": tuple(range(axes))}
    torch.save(checkpoint, folder / "fold_0/checkpoint_final.pth")


def tile(shape: list) -> np.ndarray:
    """Smooth structures with noise upon them, about as a normalized CT: mean 0, variance 1."""
    random = np.random.default_rng(0)
    smooth = gaussian_filter(random.normal(size=shape), [0] + [3] * (len(shape) - 1))
    return (0.95 * smooth / smooth.std() + 0.3 * random.normal(size=shape)).astype("<f4")


def multiply_adds(module: torch.nn.Module, tensor: torch.Tensor) -> int:
    """Of all convolutions of one run, from the shapes that pass."""
    total = 0

    def count(part, inputs, output):
        nonlocal total
        one = part.weight[0].numel()  # per output value; of a transposed convolution per input value
        places = inputs[0] if part.transposed else output
        total += places.numel() * one

    convolutions = [part for part in module.modules() if hasattr(part, "transposed")]
    hooks = [part.register_forward_hook(count) for part in convolutions]
    with torch.inference_mode():
        module(tensor)
    for hook in hooks:
        hook.remove()
    return total


def in_slabs(convolution: torch.nn.Module) -> None:
    """Lets a 3-D convolution work slab by slab: torch unrolls its whole input in double precision, 30 GB at 128³."""
    (kernel, ky, kx), (stride, *_), (pad, *sides) = convolution.kernel_size, convolution.stride, convolution.padding

    def forward(x):
        x = torch.nn.functional.pad(x, (0, 0, 0, 0, pad, pad))
        n_out = (x.shape[2] - kernel) // stride + 1
        plane = x.shape[1] * kernel * ky * kx * x.shape[3] * x.shape[4] * x.element_size()
        step = max(1, SLAB_BYTES // plane)
        slabs = [x[:, :, first * stride:(min(first + step, n_out) - 1) * stride + kernel] for first in range(0, n_out, step)]
        weight, bias = convolution.weight, convolution.bias
        done = [torch.nn.functional.conv3d(slab, weight, bias, convolution.stride, (0, *sides)) for slab in slabs]
        return torch.cat(done, 2)

    convolution.forward = forward


def in_double(module: torch.nn.Module, tensor: torch.Tensor) -> np.ndarray:
    module = module.double()
    for part in module.modules():
        if isinstance(part, torch.nn.Conv3d):
            in_slabs(part)
    with torch.inference_mode():
        return module(tensor.double())[0].numpy()


def make(folder: Path, name: str) -> None:
    wanted = NETWORKS.get(name, {"model": DEMO_MODEL})
    made = folder / "made.json"
    if made.exists() and json.loads(made.read_text())["network"] == wanted:
        return
    print(f"{name} is made", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if name in NETWORKS:
        write_model(folder / "model", wanted)
    else:
        shutil.copytree(ROOT / DEMO_MODEL, folder / "model")
    module, shape = load(folder / "model")
    array = tile(shape)
    array.tofile(folder / "input.f32")
    tensor = torch.from_numpy(array)[None]

    import openvino

    graph = openvino.convert_model(module, example_input=tensor, input=[1, *shape])
    openvino.save_model(graph, folder / "openvino.xml", compress_to_fp16=False)
    n_multiply_adds = multiply_adds(module, tensor)
    begin = time.perf_counter()
    reference = in_double(module, tensor)
    reference.astype("<f8").tofile(folder / "reference.f64")
    made.write_text(json.dumps({
        "network": wanted, "shape": shape, "n_classes": reference.shape[0], "multiply_adds": n_multiply_adds,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "reference_seconds": time.perf_counter() - begin,
    }, indent=1))


def main(out: str, *names: str) -> None:
    for name in names:
        make(Path(out) / name, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
