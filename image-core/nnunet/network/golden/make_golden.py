"""Writes tiny networks of every kind that nephrite builds, with PyTorch's answer to one random tile.

    python make_golden.py            (versions: requirements.txt; takes seconds)

Every case becomes `<name>.safetensors`: the canonical tensors of the state dict, `golden.input` [channel, patch...] and
`golden.logits` [class, patch...]; the metadata entry `network` holds class name, arch_kwargs and sizes as JSON, and
`state_dict` every name of the state dict, aliases included. `shapes.json` holds names and shapes of full-size networks.
The descriptions also go to `../fuzz/seeds/architecture`.
"""

import json
from pathlib import Path
from pydoc import locate

import torch
from dynamic_network_architectures.architectures import unet
from safetensors.torch import save_file

HERE = Path(__file__).parent
SEEDS = HERE.parent / "fuzz" / "seeds" / "architecture"
INSTANCE = {"eps": 1e-5, "affine": True}
BLOCKS = "dynamic_network_architectures.building_blocks.residual."


def plans(dims, norm="instancenorm.InstanceNorm", **changes):
    """arch_kwargs as nnU-Net's planner writes them, for three small stages."""
    kwargs = {
        "n_stages": 3,
        "features_per_stage": [4, 8, 8],
        "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
        "kernel_sizes": [[3] * dims] * 3,
        "strides": [[1] * dims, [2] * dims, [2] * dims],
        "n_conv_per_stage_decoder": [1, 2],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.{norm}{dims}d",
        "norm_op_kwargs": INSTANCE,
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return {**kwargs, **changes}


PLAIN = {"n_conv_per_stage": [2, 1, 2]}
RESIDUAL = {"n_blocks_per_stage": [1, 2, 2]}
BOTTLENECK = {"block": BLOCKS + "BottleneckD", "bottleneck_channels": [2, 4, 3]}
ANISOTROPIC = {"kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 1, 5]], "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 1]]}

# name: class, channels, classes, patch, arch_kwargs
CASES = {
    "plain_3d": ("PlainConvUNet", 1, 3, [6, 8, 10], plans(3, **PLAIN, **ANISOTROPIC)),
    "plain_3d_scalars": ("PlainConvUNet", 2, 2, [8, 8, 8], plans(
        3, features_per_stage=4, kernel_sizes=3, strides=[1, 2, [1, 2, 2]], n_conv_per_stage=1,
        n_conv_per_stage_decoder=1, conv_bias=False, norm_op_kwargs=None, nonlin_kwargs=None)),
    "plain_3d_nonlin_first": ("PlainConvUNet", 1, 2, [8, 8, 8], plans(3, **PLAIN, nonlin_first=True)),
    "plain_3d_batch_norm_trainer": ("PlainConvUNet", 1, 2, [8, 8, 8], plans(3, **PLAIN, norm_op_kwargs={"eps": 1e-3})),
    "plain_3d_batch_norm_dropout": ("PlainConvUNet", 1, 2, [8, 8, 8], plans(
        3, "batchnorm.BatchNorm", **PLAIN, nonlin_first=True, norm_op_kwargs={"eps": 1e-3, "momentum": 0.2},
        dropout_op="torch.nn.Dropout3d", dropout_op_kwargs={"p": 0.3, "inplace": True})),
    "plain_2d": ("PlainConvUNet", 2, 4, [12, 16], plans(
        2, **PLAIN, strides=[[1, 1], [2, 1], [2, 4]], kernel_sizes=[[3, 1], [3, 3], [5, 3]], nonlin="torch.nn.ReLU")),
    "plain_2d_no_norm": ("PlainConvUNet", 1, 2, [8, 8], plans(
        2, **PLAIN, norm_op=None, norm_op_kwargs=None, nonlin_kwargs={"negative_slope": 0.2, "inplace": True})),
    "resenc_3d": ("ResidualEncoderUNet", 1, 3, [4, 8, 8], plans(3, **RESIDUAL, **ANISOTROPIC)),
    "resenc_3d_bottleneck": ("ResidualEncoderUNet", 2, 2, [8, 8, 8], plans(3, **RESIDUAL, **BOTTLENECK)),
    "resenc_3d_batch_norm_trainer": ("ResidualEncoderUNet", 1, 2, [8, 8, 8], plans(3, **RESIDUAL)),
    "resenc_2d_stem": ("ResidualEncoderUNet", 1, 2, [8, 12], plans(
        2, **RESIDUAL, stem_channels=6, strides=[[1, 1], [2, 1], [1, 2]], conv_bias=False)),
    "residual_3d": ("ResidualUNet", 1, 2, [8, 8, 8], plans(3, **RESIDUAL)),
    "residual_2d_bottleneck": ("ResidualUNet", 1, 3, [8, 8], plans(2, **RESIDUAL, **BOTTLENECK, stem_channels=5)),
}

FEATURES = [32, 64, 128, 256, 320, 320]
FULL_SIZE = {
    "default_3d": ("PlainConvUNet", 1, 105, [128, 128, 128], plans(
        3, n_stages=6, features_per_stage=FEATURES, kernel_sizes=[[3] * 3] * 6, strides=[[1] * 3] + [[2] * 3] * 5,
        n_conv_per_stage=[2] * 6, n_conv_per_stage_decoder=[2] * 5)),
    "resenc_m_3d": ("ResidualEncoderUNet", 4, 3, [128, 160, 112], plans(
        3, n_stages=6, features_per_stage=FEATURES, kernel_sizes=[[3] * 3] * 6,
        strides=[[1] * 3] + [[2] * 3] * 4 + [[1, 2, 1]], n_blocks_per_stage=[1, 3, 4, 6, 6, 6],
        n_conv_per_stage_decoder=[1] * 5)),
    "default_2d": ("PlainConvUNet", 1, 2, [512, 512], plans(
        2, n_stages=8, features_per_stage=[32, 64, 128, 256, 512, 512, 512, 512], kernel_sizes=[[3] * 2] * 8,
        strides=[[1] * 2] + [[2] * 2] * 7, n_conv_per_stage=[2] * 8, n_conv_per_stage_decoder=[2] * 7)),
}


def build(class_name, n_channels, n_classes, arch_kwargs, batch_norm_trainer=False):
    kwargs = dict(arch_kwargs)
    if batch_norm_trainer:  # as nnUNetTrainerBN does
        kwargs["norm_op"] = kwargs["norm_op"].replace("instancenorm.InstanceNorm", "batchnorm.BatchNorm")
        kwargs["norm_op_kwargs"] = {"eps": 1e-5, "affine": True}
    for key in ["conv_op", "norm_op", "dropout_op", "nonlin", "block"]:
        if kwargs.get(key) is not None:
            kwargs[key] = locate(kwargs[key])
    return getattr(unet, class_name)(input_channels=n_channels, num_classes=n_classes, **kwargs).eval()


def randomize(network, generator):
    """Every parameter away from its initial value, so that none can be left out unnoticed."""
    for name, tensor in network.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("weight") and tensor.ndim == 1:
            tensor.data = 1 + 0.3 * noise
        elif tensor.ndim == 1:
            tensor.data = 0.3 * noise
        else:
            tensor.data = noise / tensor[0].numel() ** 0.5 * (3 if "seg_layers" in name else 1)
    for name, tensor in network.named_buffers():
        if name.endswith("running_mean"):
            tensor.data = 0.3 * torch.randn(tensor.shape, generator=generator)
        elif name.endswith("running_var"):
            tensor.data = 0.5 + torch.rand(tensor.shape, generator=generator)


def canonical(state_dict):
    return {
        name: tensor.contiguous().clone() for name, tensor in state_dict.items()
        if "all_modules" not in name and not name.startswith("decoder.encoder.")
    }


def describe(class_name, n_channels, n_classes, patch, arch_kwargs):
    return {"class_name": class_name, "n_channels": n_channels, "n_classes": n_classes, "patch": patch,
            "arch_kwargs": arch_kwargs}


def main():
    torch.set_num_threads(1)
    for seed, (name, case) in enumerate(CASES.items()):
        class_name, n_channels, n_classes, patch, arch_kwargs = case
        generator = torch.Generator().manual_seed(seed)
        network = build(class_name, n_channels, n_classes, arch_kwargs, "batch_norm_trainer" in name)
        randomize(network, generator)
        tile = torch.randn([1, n_channels, *patch], generator=generator)
        with torch.no_grad():
            logits = network(tile)
        assert logits.shape[2:] == tile.shape[2:] and logits.std() > 0.1, name
        state_dict = network.state_dict()
        tensors = {k: v for k, v in canonical(state_dict).items() if v.dtype == torch.float32}
        tensors |= {"golden.input": tile[0].contiguous(), "golden.logits": logits[0].contiguous()}
        metadata = {"network": json.dumps(describe(*case)), "state_dict": json.dumps(list(state_dict))}
        save_file(tensors, HERE / f"{name}.safetensors", metadata)
        SEEDS.mkdir(parents=True, exist_ok=True)
        (SEEDS / f"{name}.json").write_text(metadata["network"])
        print(name, sum(v.numel() for v in tensors.values()) * 4, "bytes, logits std", float(logits.std()))
    shapes = {}
    for name, case in FULL_SIZE.items():
        with torch.device("meta"):
            network = build(case[0], case[1], case[2], case[4])
        tensors = {k: list(v.shape) for k, v in network.state_dict().items()
                   if "all_modules" not in k and not k.startswith("decoder.encoder.")}
        shapes[name] = {"network": describe(*case), "tensors": tensors}
    (HERE / "shapes.json").write_text(json.dumps(shapes, separators=(",", ":")))


if __name__ == "__main__":
    main()
