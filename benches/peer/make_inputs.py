"""Makes what the comparison runs on: clinical-size scans and small nnU-Nets with random weights.

    python make_inputs.py OUT BASE_SCAN.nii.gz

`BASE_SCAN` is resampled to 488 × 404 × 336 voxels (66 million) with noise, as int16; `scan_long` has twice the slices
(the same patient twice, one above the other).
Models are PlainConvUNets of three stages at 1.5 mm with 5 and with 118 classes. Nothing is made twice.
"""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet

SHAPE_ZYX = (336, 404, 488)


def noisy_copy(base: sitk.Image, shape_zyx: tuple = SHAPE_ZYX) -> sitk.Image:
    """`base` on a grid of this shape, with noise, as int16."""
    size = shape_zyx[::-1]
    grid = sitk.Image(size, sitk.sitkFloat32)
    grid.SetSpacing([old * n / m for old, n, m in zip(base.GetSpacing(), base.GetSize(), size)])
    grid.SetOrigin(base.GetOrigin())
    grid.SetDirection(base.GetDirection())
    resampled = sitk.Resample(base, grid, sitk.Transform(), sitk.sitkLinear, -1024.0, sitk.sitkFloat32)
    large = sitk.GetArrayFromImage(resampled)
    large += np.random.default_rng(0).normal(0, 12, large.shape).astype(np.float32)
    image = sitk.GetImageFromArray(np.rint(large).astype(np.int16))
    image.CopyInformation(grid)
    return image


def make_scans(base: sitk.Image, scan: Path, scan_long: Path) -> None:
    if scan.exists() and scan_long.exists():
        return
    large = noisy_copy(base)
    array = sitk.GetArrayFromImage(large)
    twice = sitk.GetImageFromArray(np.concatenate([array, array]))
    for get, set_ in ((large.GetSpacing, twice.SetSpacing), (large.GetOrigin, twice.SetOrigin), (large.GetDirection, twice.SetDirection)):
        set_(get())
    for path, image in ((scan, large), (scan_long, twice)):
        sitk.WriteImage(image, str(path), useCompression=True)


def make_model(folder: Path, n_classes: int, features: list) -> None:
    if (folder / "fold_0/checkpoint_final.pth").exists():
        return
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    kwargs = {
        "n_stages": len(features), "features_per_stage": features, "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * len(features), "strides": [[1, 1, 1]] + [[2, 2, 2]] * (len(features) - 1),
        "n_conv_per_stage": [2] * len(features), "n_conv_per_stage_decoder": [2] * (len(features) - 1),
        "conv_bias": True, "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
    }
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "bench", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
        "patch_size": [64, 64, 64], "median_image_size_in_voxels": [224.0, 202.0, 244.0], "spacing": [1.5, 1.5, 1.5],
        "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling | {"order": 3},
        "resampling_fn_seg_kwargs": resampling | {"is_seg": True},
        "resampling_fn_probabilities_kwargs": resampling,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": kwargs, "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    plans = {
        "dataset_name": "Dataset900_Bench", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "label_manager": "LabelManager",
        "original_median_spacing_after_transp": [1.0, 0.75, 0.75],
        "original_median_shape_after_transp": list(SHAPE_ZYX), "experiment_planner_used": "ExperimentPlanner",
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": 60.0, "std": 120.0, "percentile_00_5": -200.0, "percentile_99_5": 400.0,
                  "min": -1024.0, "max": 3000.0, "median": 60.0}
        },
        "configurations": {"3d_fullres": configuration},
    }
    dataset = {
        "channel_names": {"0": "CT"}, "numTraining": 1, "file_ending": ".nii.gz",
        "labels": {"background": 0} | {f"structure_{i}": i for i in range(1, n_classes)},
    }
    torch.manual_seed(n_classes)
    network_kwargs = copy.deepcopy(kwargs) | {
        "conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU,
    }
    network = PlainConvUNet(1, num_classes=n_classes, deep_supervision=False, **network_kwargs)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".norm." in name and name.endswith("weight"):
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            elif ".norm." in name:
                parameter.copy_(0.3 * torch.randn_like(parameter))
            elif "seg_layers" in name:
                parameter.mul_(3)
    (folder / "plans.json").write_text(json.dumps(plans, indent=1))
    (folder / "dataset.json").write_text(json.dumps(dataset, indent=1))
    torch.save(
        {
            "network_weights": network.state_dict(), "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
            "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": dataset},
        },
        folder / "fold_0/checkpoint_final.pth",
    )


def main(out: str, base_scan: str) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    base = sitk.ReadImage(base_scan, sitk.sitkFloat32)
    make_scans(base, folder / "scan.nii.gz", folder / "scan_long.nii.gz")
    name = "nnUNetTrainer__nnUNetPlans__3d_fullres"
    make_model(folder / "Dataset905_Bench5" / name, 5, [8, 16, 32])
    make_model(folder / "Dataset918_Bench118" / name, 118, [8, 16, 32])


if __name__ == "__main__":
    main(*sys.argv[1:3])
