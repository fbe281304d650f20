"""Trains one demo nnU-Net on phantoms and saves it as nnU-Net's own trainer would.

    cargo run --release -p nephrite-phantom --example write_phantoms -- --out PHANTOMS --seed-from 1000 --count 72
    python train.py --model Dataset902_DemoKidney --phantoms PHANTOMS --out ../models

Preprocessing, network, loss and the learning-rate rule are nnU-Net's own code; only the loop around them is ours, because a
demo needs minutes of training where nnU-Net's trainer takes hours. The last `--held-out` phantoms are not trained on; their Dice is
printed at the end.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

MODELS = {
    "Dataset901_DemoArtery": ("arterial", ["aorta", "renal_artery"], 2.5),
    "Dataset902_DemoKidney": ("portal_venous", ["kidney", "vein"], 3.0),
    "Dataset903_DemoUreter": ("delayed", ["renal_pelvis", "ureter"], 2.5),
}
CONFIGURATION = "3d_fullres"
PATCH_SIZE = [64, 64, 64]
FEATURES = [8, 16, 32, 48]
MIRRORING_AXES = (0, 1, 2)


def read_case(folder, phase, names):
    """Scan and truth as nnU-Net's readers give them, (1, z, y, x), and the spacing (z, y, x)."""
    facts = json.loads((folder / "phantom.json").read_text())
    truth = np.load(folder / "truth.npy")
    seg = np.zeros(truth.shape, np.int8)
    for i, name in enumerate(names):
        seg[truth == facts["labels"][name]] = i + 1
    scan = np.load(folder / f"{phase}.npy").astype(np.float32)
    return scan[None], seg[None], facts["spacing_zyx"]


def foreground_intensities(scans_and_segs):
    """As nnU-Net's fingerprint extractor: 10000 foreground voxels of every case, pooled."""
    pool = []
    for scan, seg in scans_and_segs:
        rs = np.random.RandomState(1234)
        pool.append(rs.choice(scan[seg > 0], 10000, replace=True))
    pool = np.concatenate(pool)
    low, median, high = np.percentile(pool, (0.5, 50.0, 99.5))
    facts = dict(
        max=pool.max(), mean=pool.mean(), median=median, min=pool.min(), percentile_00_5=low, percentile_99_5=high, std=pool.std()
    )
    return {"0": {key: float(value) for key, value in facts.items()}}


def make_plans(dataset_name, spacing_mm, shape, spacing_zyx, intensities):
    n_stages = len(FEATURES)
    resample = {"order_z": 0, "force_separate_z": None}
    network_shape = [round(n * mm / spacing_mm) for n, mm in zip(shape, spacing_zyx)]
    configuration = {
        "data_identifier": f"nnUNetPlans_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": PATCH_SIZE,
        "median_image_size_in_voxels": [float(n) for n in network_shape],
        "spacing": [spacing_mm] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resample},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resample},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **resample},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": n_stages,
                "features_per_stage": FEATURES,
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * n_stages,
                "strides": [[1, 1, 1]] + [[2, 2, 2]] * (n_stages - 1),
                "n_conv_per_stage": [2] * n_stages,
                "n_conv_per_stage_decoder": [2] * (n_stages - 1),
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    return {
        "dataset_name": dataset_name,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [float(mm) for mm in spacing_zyx],
        "original_median_shape_after_transp": [int(n) for n in shape],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": intensities,
    }


def preprocess(job):
    (scan, seg, spacing), plans, dataset_json = job
    torch.set_num_threads(1)
    manager = PlansManager(plans)
    data, seg, properties = DefaultPreprocessor(verbose=False).run_case_npy(
        scan, seg, {"spacing": spacing}, manager, manager.get_configuration(CONFIGURATION), dataset_json
    )
    return data.astype(np.float16), seg, properties["class_locations"]


class PatchSampler:
    """Random patches, every second around a foreground voxel of a random class, flipped at random along the mirroring axes."""

    def __init__(self, cases, seed, device):
        self.rng = np.random.default_rng(seed)
        self.cases = [(torch.from_numpy(d).to(device), torch.from_numpy(s).to(device), loc) for d, s, loc in cases]

    def patch(self, around_foreground):
        rng = self.rng
        data, seg, locations = self.cases[rng.integers(len(self.cases))]
        shape = data.shape[1:]
        start = [int(rng.integers(n - p + 1)) for n, p in zip(shape, PATCH_SIZE)]
        if around_foreground:
            voxels = locations[sorted(locations)[rng.integers(len(locations))]]
            if len(voxels):
                middle = voxels[rng.integers(len(voxels))][1:] + rng.integers(-20, 21, 3) - np.array(PATCH_SIZE) // 2
                start = [int(np.clip(m, 0, n - p)) for m, n, p in zip(middle, shape, PATCH_SIZE)]
        box = (slice(None), *(slice(a, a + p) for a, p in zip(start, PATCH_SIZE)))
        axes = [1 + axis for axis in MIRRORING_AXES if rng.random() < 0.5]
        data = data[box].float() * rng.uniform(0.9, 1.1) + rng.uniform(-0.1, 0.1)
        return torch.flip(data, axes), torch.flip(seg[box].float().clamp(min=0), axes)

    def batch(self, n):
        patches = [self.patch(i % 2 == 0) for i in range(n)]
        return torch.stack([d for d, _ in patches]), torch.stack([s for _, s in patches])


def at_scales(seg, outputs):
    return [torch.nn.functional.interpolate(seg, size=output.shape[2:], mode="nearest") for output in outputs]


def train(network, sampler, iterations, batch_size, device):
    weights = np.array([1 / 2**i for i in range(len(FEATURES) - 1)])
    weights[-1] = 0
    loss_of_scale = DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}, {}, dice_class=MemoryEfficientSoftDiceLoss
    )
    loss_fn = DeepSupervisionWrapper(loss_of_scale, weights / weights.sum())
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = PolyLRScheduler(optimizer, 3e-3, iterations)
    started, running = time.time(), []
    network.train()
    for iteration in range(iterations):
        schedule.step(iteration)
        data, seg = sampler.batch(batch_size)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            outputs = network(data)
        outputs = [output.float() for output in outputs]
        loss = loss_fn(outputs, at_scales(seg, outputs))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()
        running.append(loss.detach())
        if (iteration + 1) % 250 == 0 or iteration + 1 == iterations:
            print(f"{iteration + 1:5d}  loss {torch.stack(running).mean():.4f}  {time.time() - started:.0f} s", flush=True)
            running = []


def held_out_dice(network, cases, plans, dataset_json, names, device):
    """Dice on the network's grid, with nnU-Net's own sliding window."""
    manager = PlansManager(plans)
    predictor = nnUNetPredictor(use_mirroring=False, device=device, perform_everything_on_device=device.type == "cuda")
    predictor.allow_tqdm = False
    predictor.manual_initialization(
        network, manager, manager.get_configuration(CONFIGURATION), None, dataset_json, "nnUNetTrainer", None
    )
    network.decoder.deep_supervision = False
    network.eval()
    scores = []
    for data, seg, _ in cases:
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data).float())
        labels = logits.argmax(0).cpu().numpy()
        scores.append(
            [2 * ((labels == i) & (seg[0] == i)).sum() / ((labels == i).sum() + (seg[0] == i).sum()) for i in range(1, len(names) + 1)]
        )
    network.decoder.deep_supervision = True
    return np.array(scores)


def save(folder, network, plans, dataset_json, epochs):
    fold = folder / "fold_0"
    fold.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans, indent=4))
    (folder / "dataset.json").write_text(json.dumps(dataset_json, indent=4))
    checkpoint = {
        "network_weights": {key: value.cpu() for key, value in shared_on_cpu(network).items()},
        "optimizer_state": None,
        "grad_scaler_state": None,
        "logging": {},
        "_best_ema": None,
        "current_epoch": epochs,
        "init_args": {
            "plans": plans,
            "configuration": CONFIGURATION,
            "fold": 0,
            "dataset_json": dataset_json,
            "device": torch.device("cuda", 0),
        },
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": MIRRORING_AXES,
    }
    torch.save(checkpoint, fold / "checkpoint_final.pth")


def shared_on_cpu(network):
    """The state dict of the network on the CPU; tensors that go by several names stay shared, so they are stored once."""
    return network.to("cpu").state_dict()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, choices=sorted(MODELS))
    parser.add_argument("--phantoms", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--iterations", type=int, default=4000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--held-out", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    phase, names, spacing_mm = MODELS[args.model]
    device = torch.device(args.device)
    torch.manual_seed(args.seed)
    folders = sorted(args.phantoms.glob("seed_*"), key=lambda folder: int(folder.name.removeprefix("seed_")))
    raw = [read_case(folder, phase, names) for folder in folders]
    dataset_json = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{name: i + 1 for i, name in enumerate(names)}},
        "numTraining": len(raw) - args.held_out,
        "file_ending": ".nii.gz",
    }
    intensities = foreground_intensities([(scan, seg) for scan, seg, _ in raw[: dataset_json["numTraining"]]])
    plans = make_plans(args.model, spacing_mm, raw[0][0].shape[1:], raw[0][2], intensities)
    started = time.time()
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        cases = pool.map(preprocess, [(case, plans, dataset_json) for case in raw], chunksize=1)
    print(f"{len(cases)} cases on the network's grid {cases[0][0].shape[1:]} in {time.time() - started:.0f} s", flush=True)

    architecture = plans["configurations"][CONFIGURATION]["architecture"]
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        1,
        len(names) + 1,
        allow_init=True,
        deep_supervision=True,
    ).to(device)
    print(f"{sum(p.numel() for p in network.parameters())} parameters", flush=True)
    sampler = PatchSampler(cases[: dataset_json["numTraining"]], args.seed, device)
    train(network, sampler, args.iterations, args.batch_size, device)
    scores = held_out_dice(network, cases[dataset_json["numTraining"] :], plans, dataset_json, names, device)
    for name, dice in zip(names, scores.T):
        print(f"{name:14s} Dice of held-out cases {np.round(dice, 3).tolist()}", flush=True)
    save(args.out / args.model / f"nnUNetTrainer__nnUNetPlans__{CONFIGURATION}", network, plans, dataset_json, args.iterations)


if __name__ == "__main__":
    main()
