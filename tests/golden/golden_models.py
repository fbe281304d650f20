"""Writes tiny nnU-Net model folders with seeded random weights, in the layout of nnU-Net's own trainer."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

UNET = "dynamic_network_architectures.architectures.unet."
BLOCKS = "dynamic_network_architectures.building_blocks.residual."
CT_INTENSITIES = {
    "max": 900.0,
    "mean": 35.3251953125,
    "median": 40.0,
    "min": -1000.0,
    "percentile_00_5": -210.0,
    "percentile_99_5": 297.9249267578125,
    "std": 104.70523071289062,
}


def resampling(name="resample_data_or_seg_to_shape", data=None, seg=None, probabilities=None):
    """The six resampling keys of a configuration; by default those that nnU-Net's planner writes."""
    default = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "resampling_fn_data": name,
        "resampling_fn_seg": name,
        "resampling_fn_data_kwargs": default if data is None else data,
        "resampling_fn_seg_kwargs": {**default, "is_seg": True, "order": 1} if seg is None else seg,
        "resampling_fn_probabilities": name,
        "resampling_fn_probabilities_kwargs": {**default, "order": 1} if probabilities is None else probabilities,
    }


def architecture(dims, features, strides, kernels=None, cls="PlainConvUNet", convs=1, convs_decoder=1, **changes):
    """The `architecture` object of a configuration. `changes` replace or add `arch_kwargs`."""
    n = len(features)
    per_stage = "n_conv_per_stage" if cls == "PlainConvUNet" else "n_blocks_per_stage"
    requires_import = ["conv_op", "norm_op", "dropout_op", "nonlin"] + (["block"] if "block" in changes else [])
    kwargs = {
        "n_stages": n,
        "features_per_stage": features,
        "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
        "kernel_sizes": kernels or [[3] * dims] * n,
        "strides": strides,
        per_stage: [convs] * n if isinstance(convs, int) else convs,
        "n_conv_per_stage_decoder": [convs_decoder] * (n - 1),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
        **changes,
    }
    return {"network_class_name": UNET + cls, "arch_kwargs": kwargs, "_kw_requires_import": requires_import}


def configuration(patch, spacing, arch, normalization=("CTNormalization",), mask=(False,), resample=None, **changes):
    """One entry of `configurations`; patch and spacing in the transposed order, as in nnU-Net."""
    return {
        "data_identifier": "nnUNetPlans",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "median_image_size_in_voxels": [float(2 * p) for p in patch],
        "spacing": list(spacing),
        "normalization_schemes": list(normalization),
        "use_mask_for_norm": list(mask),
        **(resample or resampling()),
        "architecture": arch,
        "batch_dice": False,
        **changes,
    }


def plans(dataset, configurations, transpose=(0, 1, 2), reader="SimpleITKIO", n_channels=1):
    """A whole plans.json."""
    return {
        "dataset_name": dataset,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [32, 32, 32],
        "image_reader_writer": reader,
        "transpose_forward": list(transpose),
        "transpose_backward": [int(i) for i in np.argsort(transpose)],
        "configurations": configurations,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(c): dict(CT_INTENSITIES) for c in range(n_channels)},
    }


def dataset_json(labels, channels=("CT",), **changes):
    """A whole dataset.json; `labels` keeps its order."""
    return {
        "channel_names": {str(i): name for i, name in enumerate(channels)},
        "labels": labels,
        "numTraining": 5,
        "file_ending": ".nii.gz",
        **changes,
    }


def randomise(network, n_channels, patch, seed, only_labels=None):
    """Fills a network with weights that use every layer, so that an error anywhere shows in the labels.

    Norm weights about 1 + 0.3 N(0,1) (ResEnc networks start some at zero), heads three times as strong and centred, so that every label
    occurs. With `only_labels` the others are pushed so low that they do not.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(like):
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
                is_transposed = isinstance(module, (nn.ConvTranspose2d, nn.ConvTranspose3d))
                fan_in = module.weight.shape[0] if is_transposed else module.weight[0].numel()
                module.weight.copy_(normal(module.weight) * (2 / fan_in) ** 0.5)
                if module.bias is not None:
                    module.bias.copy_(normal(module.bias) * 0.1)
            elif getattr(module, "affine", False):
                module.weight.copy_(1 + 0.3 * normal(module.weight))
                module.bias.copy_(0.3 * normal(module.bias))
                if getattr(module, "running_mean", None) is not None:
                    module.running_mean.copy_(0.3 * normal(module.running_mean))
                    module.running_var.copy_(1 + 0.5 * torch.rand(module.running_var.shape, generator=generator))
                    module.num_batches_tracked.fill_(1000)
        for head in network.decoder.seg_layers:
            head.weight.mul_(3)
        noise = torch.randn((1, n_channels, *patch), generator=generator).numpy()
        noise = gaussian_filter(noise, (0, 0, *[2.0] * len(patch)))
        noise = torch.from_numpy(noise / noise.std())
        head = network.decoder.seg_layers[-1]
        network.eval()
        logits = network(noise)
        offset = logits.mean(dim=(0, *range(2, logits.ndim)))
        # a coarse grid keeps the weights the same on every machine
        head.bias.copy_(((head.bias - offset) * 256).round() / 256)
        if only_labels is not None:
            kept = head.bias[list(only_labels)].clone()
            head.bias -= 200
            head.bias[list(only_labels)] = kept


def build_network(plans_dict, dataset, name, trainer):
    """The network as nnU-Net's trainer builds it, with its input channels and patch."""
    manager = PlansManager(deepcopy(plans_dict))
    config = manager.get_configuration(name)
    n_in = determine_num_input_channels(manager, config, dataset)
    n_out = manager.get_label_manager(dataset).num_segmentation_heads
    cls = recursive_find_trainer_class_by_name(trainer)
    network = cls.build_network_architecture(manager, config, n_in, n_out, enable_deep_supervision=False)
    return network, n_in, config.patch_size


def checkpoint(network, plans_dict, dataset, name, trainer, fold, mirroring, with_optimizer):
    """What `nnUNetTrainer.save_checkpoint` saves."""
    optimizer_state = None
    if with_optimizer:
        optimizer = torch.optim.SGD(network.parameters(), 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True)
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        weights = deepcopy(network.state_dict())
        optimizer.step()
        network.load_state_dict(weights)
        optimizer_state = optimizer.state_dict()
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": optimizer_state,
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": [np.float64(0.5)], "lrs": [0.01]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1000,
        "init_args": {
            "plans": plans_dict,
            "configuration": name,
            "fold": fold,
            "dataset_json": dataset,
            "device": torch.device("cuda"),
        },
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": mirroring,
    }


def write_json(path: Path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=False) + "\n")


def write_model(folder: Path, plans_dict, dataset, name, seeds, trainer="nnUNetTrainer", mirroring=(0, 1, 2), with_optimizer=False, prefixed_fold=None, only_labels=None):
    """Writes one trained model folder.

    `seeds` maps (fold, "final" or "best") to the seed of that checkpoint's weights. `prefixed_fold` (number, prefix) adds a fold that holds
    the weights of fold 0 under keys as DataParallel or a compiled module leaves them.
    """
    write_json(folder / "plans.json", plans_dict)
    write_json(folder / "dataset.json", dataset)
    for (fold, which), seed in seeds.items():
        network, n_in, patch = build_network(plans_dict, dataset, name, trainer)
        randomise(network, n_in, patch, seed, only_labels)
        saved = checkpoint(network, plans_dict, dataset, name, trainer, fold, mirroring, with_optimizer and fold == 0)
        save(saved, folder, fold, which)
        if prefixed_fold is not None and fold == 0:
            number, prefix = prefixed_fold
            saved["network_weights"] = {prefix + k: v for k, v in saved["network_weights"].items()}
            saved["init_args"]["fold"] = number
            save(saved, folder, number, which)


def save(saved, folder, fold, which):
    path = folder / f"fold_{fold}" / f"checkpoint_{which}.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(saved, path)
