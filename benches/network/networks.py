"""The networks that are measured, and how a trained model folder becomes a torch module again."""

import json
import pydoc
from pathlib import Path

import torch

PLAIN, RESIDUAL = "PlainConvUNet", "ResidualEncoderUNet"
DEMO_MODEL = "image-core/phantom/models/Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres"
N_CLASSES = 5


def unet(kind: str, patch: list, features: list, blocks: list, decoder: int, kernels=None, strides=None, seed: int = 0) -> dict:
    """A network in nnU-Net's words; kernels of 3 and strides of 2 unless given."""
    axes, n = len(patch), len(features)
    kwargs = {
        "n_stages": n, "features_per_stage": features, "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
        "kernel_sizes": kernels or [[3] * axes] * n, "strides": strides or [[1] * axes] + [[2] * axes] * (n - 1),
        ("n_conv_per_stage" if kind == PLAIN else "n_blocks_per_stage"): blocks,
        "n_conv_per_stage_decoder": [decoder] * (n - 1), "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
    }
    return {"class": kind, "patch": patch, "kwargs": kwargs, "seed": seed}


WIDE = [32, 64, 128, 256, 320, 320]
# Networks with random weights; `demo` is the only trained one, and has its own folder.
NETWORKS = {
    "plain-96": unet(PLAIN, [96] * 3, WIDE, [2] * 6, 2, seed=1),
    "plain-128": unet(PLAIN, [128] * 3, WIDE, [2] * 6, 2, seed=1),
    "resenc-96": unet(RESIDUAL, [96] * 3, WIDE, [1, 3, 4, 6, 6, 6], 1, seed=2),
    "resenc-128": unet(RESIDUAL, [128] * 3, WIDE, [1, 3, 4, 6, 6, 6], 1, seed=2),
    "anisotropic": unet(
        PLAIN, [20, 160, 160], WIDE, [2] * 6, 2, seed=3,
        kernels=[[1, 3, 3]] * 2 + [[3, 3, 3]] * 4,
        strides=[[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]],
    ),
    "slices": unet(PLAIN, [512, 512], [32, 64, 128, 256, 512, 512, 512], [2] * 7, 2, seed=4),
    "bench-small": unet(PLAIN, [64] * 3, [8, 16, 32], [2] * 3, 2, seed=5),
}
ALL = [*NETWORKS, "demo"]


def build(architecture: dict, n_channels: int, n_classes: int) -> torch.nn.Module:
    """The module that `architecture` of a configuration stands for, with torch's own first weights."""
    kwargs = dict(architecture["arch_kwargs"])
    for key in architecture["_kw_requires_import"]:
        kwargs[key] = kwargs[key] and pydoc.locate(kwargs[key])
    network = pydoc.locate(architecture["network_class_name"])
    return network(n_channels, num_classes=n_classes, deep_supervision=False, **kwargs)


def load(folder: Path) -> tuple:
    """The module of `fold_0` with its weights, in evaluation mode, and the shape of a tile with its channel."""
    plans, dataset = (json.loads((folder / file).read_text()) for file in ("plans.json", "dataset.json"))
    checkpoint = torch.load(folder / "fold_0/checkpoint_final.pth", map_location="cpu", weights_only=False)
    configuration = plans["configurations"][checkpoint["init_args"]["configuration"]]
    n_channels = len(dataset["channel_names"])
    network = build(configuration["architecture"], n_channels, len(dataset["labels"]))
    network.load_state_dict(checkpoint["network_weights"])
    return network.eval(), [n_channels, *configuration["patch_size"]]
