"""The golden cases: which model, which input, which options. Paths are relative to the golden folder."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import golden_inputs as inputs
from golden_models import BLOCKS, architecture, configuration, dataset_json, plans, resampling, write_json, write_model

TRAINER = "nnUNetTrainer__nnUNetPlans__"
ISO = f"models/Dataset901_Iso/{TRAINER}3d_fullres"
ANISO = f"models/Dataset902_Aniso/{TRAINER}3d_fullres"
TWO_CHANNEL = f"models/Dataset903_TwoChannel/{TRAINER}3d_fullres"
REGIONS = f"models/Dataset904_Regions/{TRAINER}3d_fullres"
RESENC = "models/Dataset905_Residual/nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres"
BOTTLENECK = "models/Dataset905_Residual/nnUNetTrainer__nnUNetBottleneckPlans__3d_fullres"
RESIDUAL = "models/Dataset905_Residual/nnUNetTrainer__nnUNetResUNetPlans__3d_fullres"
LOWRES = f"models/Dataset906_Cascade/{TRAINER}3d_lowres"
CASCADE = f"models/Dataset906_Cascade/{TRAINER}3d_cascade_fullres"
SMALL = f"models/Dataset907_Small/{TRAINER}3d_fullres"
LEGACY = f"models/Dataset908_Legacy/{TRAINER}3d_fullres"
TORCH = f"models/Dataset909_Resampling/{TRAINER}3d_torch"
NO_RESAMPLING = f"models/Dataset909_Resampling/{TRAINER}3d_none"
FLAT = f"models/Dataset910_Flat/{TRAINER}2d"
IGNORE = f"models/Dataset911_Ignore/{TRAINER}3d_fullres"
BATCH_NORM = "models/Dataset912_Norm/nnUNetTrainerBN__nnUNetPlans__3d_fullres"
NONLIN_FIRST = "models/Dataset912_Norm/nnUNetTrainer__nnUNetNonlinFirstPlans__3d_fullres"
NO_AFFINE = "models/Dataset912_Norm/nnUNetTrainer__nnUNetNoAffinePlans__3d_fullres"
NIBABEL = f"models/Dataset913_Readers/nnUNetTrainer__nnUNetNibabelPlans__3d_fullres"
NIBABEL_REORIENT = "models/Dataset913_Readers/nnUNetTrainer__nnUNetNibabelReorientPlans__3d_fullres"
ITK_REORIENT = "models/Dataset913_Readers/nnUNetTrainer__nnUNetItkReorientPlans__3d_fullres"
MANY = f"models/Dataset914_Many/{TRAINER}3d_fullres"

THREE = {"background": 0, "kidney": 1, "tumor": 2}


@dataclass
class Case:
    name: str
    shows: str
    model: str
    inputs: list
    folds: tuple = (0,)
    reference_folds: tuple | None = None
    checkpoint: str = "final"
    mirroring: bool = False
    tile_step_size: float = 0.5
    previous_stage: str | None = None
    run_previous_stage: bool = False
    save_probabilities: bool = False
    postprocessing: str | None = None
    kind: str = "segment"
    replay: bool = False
    store_network_input: bool = True
    store_logits: bool = True


def one(name):
    """The single input of a case that has its own."""
    return [f"cases/{name}/input_0000.nii.gz"]


CASES = [
    Case("iso3d", "near-isotropic CT, cubic resampling in 3-D, patch larger than the scan on one axis", ISO, one("iso3d")),
    Case("two_folds_mirroring", "logits of two folds averaged, mirroring over three axes", ISO, one("iso3d"), folds=(0, 1), mirroring=True, store_network_input=False),
    Case("fold_all", "fold_all", ISO, one("iso3d"), folds=("all",), store_network_input=False, store_logits=False),
    Case("checkpoint_best", "checkpoint_best.pth", ISO, one("iso3d"), checkpoint="best", store_network_input=False, store_logits=False),
    Case("probabilities", "saved probabilities, labels taken from them", ISO, one("probabilities"), save_probabilities=True, store_logits=False),
    Case("postprocessing", "largest component of the foreground, then of one label; postprocessing.json and .pkl of the model folder", ISO, one("iso3d"), postprocessing=f"{ISO}/crossval_results_folds_0/postprocessing.json", store_network_input=False, store_logits=False),
    Case("postprocessing_ties", "regions, single labels and lists; components of equal size are all kept; diagonal contact connects", ISO, ["cases/postprocessing_ties/input.nii.gz"], kind="postprocess", postprocessing="cases/postprocessing_ties/postprocessing.json"),
    Case("aniso_transposed", "separate z both ways, transpose_forward [1, 0, 2], kernels (1,3,3), zero border cropped", ANISO, one("aniso_transposed"), replay=True),
    Case("aniso_from_isotropic", "separate z decided by the target spacing, z downsampled by nearest slice", ANISO, one("aniso_from_isotropic")),
    Case("two_channel_masked_zscore", "two channels, z-score inside the mask for the first, over all for the second", TWO_CHANNEL, ["cases/two_channel_masked_zscore/input_0000.nii.gz", "cases/two_channel_masked_zscore/input_0001.nii.gz"], mirroring=True),
    Case("hole_in_nonzero_mask", "closed cavity, open tunnel, cavity that meets the tunnel diagonally; masked z-score", TWO_CHANNEL, ["cases/hole_in_nonzero_mask/input_0000.nii.gz", "cases/hole_in_nonzero_mask/input_0000.nii.gz"]),
    Case("regions", "overlapping regions with regions_class_order, one region a plain int", REGIONS, one("regions")),
    Case("resenc", "ResidualEncoderUNet: projection with and without pooling, pooling alone", RESENC, one("resenc")),
    Case("bottleneck", "ResidualEncoderUNet of BottleneckD blocks, own stem width", BOTTLENECK, one("resenc"), store_network_input=False),
    Case("residual_unet", "ResidualUNet: residual blocks in the decoder", RESIDUAL, one("resenc"), store_network_input=False),
    Case("lowres", "first stage of a cascade on its own", LOWRES, one("cascade")),
    Case("cascade", "previous stage given as a mask: labels outside the non-zero mask, resampled, one-hot channels", CASCADE, one("cascade"), previous_stage="cases/cascade/previous_stage.nii.gz", mirroring=True),
    Case("cascade_from_lowres", "previous stage run first from the folder beside it", CASCADE, one("cascade"), previous_stage="cases/lowres/labels.nii.gz", run_previous_stage=True, store_logits=False),
    Case("smaller_than_patch", "scan smaller than the patch by odd differences on every axis, mirroring over axes 0 and 2", SMALL, one("smaller_than_patch"), mirroring=True, replay=True),
    Case("legacy_plans", "plans without `architecture`, dataset.json with `modality`", LEGACY, one("legacy_plans")),
    Case("legacy_prefixed", "checkpoint keys prefixed module._orig_mod.; expected are nnU-Net's labels for the same weights without prefix", LEGACY, one("legacy_plans"), folds=(1,), reference_folds=(0,), store_network_input=False, store_logits=False),
    Case("torch_resampling", "resample_torch_fornnunet in 3-D", TORCH, one("torch_resampling")),
    Case("torch_resampling_aniso", "resample_torch_fornnunet with a separate axis", TORCH, one("torch_resampling_aniso")),
    Case("no_resampling", "no_resampling_hack", NO_RESAMPLING, one("torch_resampling"), store_logits=False),
    Case("model_2d", "2-D network on a 3-D scan, slices kept, mirroring over both axes", FLAT, one("model_2d"), mirroring=True, replay=True),
    Case("model_2d_step", "the same with a step of 0.75", FLAT, one("model_2d"), tile_step_size=0.75, store_network_input=False),
    Case("model_2d_single_slice", "2-D network on one slice", FLAT, one("model_2d_single_slice")),
    Case("ignore_label", "ignore label without a head; labels given out of order", IGNORE, one("ignore_label"), store_logits=False),
    Case("batch_norm", "nnUNetTrainerBN: running statistics", BATCH_NORM, one("ignore_label")),
    Case("nonlin_first", "activation before the norm", NONLIN_FIRST, one("ignore_label"), store_network_input=False),
    Case("no_affine", "norm without weights, convolutions without bias", NO_AFFINE, one("ignore_label"), store_network_input=False),
    Case("nibabel", "NibabelIO: rotated, permuted affine kept as stored, slope and intercept", NIBABEL, one("nibabel_reorient")),
    Case("nibabel_reorient", "NibabelIOWithReorient: the same scan turned to RAS and back", NIBABEL_REORIENT, one("nibabel_reorient")),
    Case("itk_reorient", "SimpleITKIOWithReorient: the same scan", ITK_REORIENT, one("nibabel_reorient")),
    Case("itk_scaled_nan", "SimpleITKIO: float voxels with slope and intercept, NaN and infinity among them", SMALL, one("itk_scaled_nan"), store_logits=False),
    Case("many_labels", "more than 255 labels: 16-bit label map", MANY, one("many_labels"), store_logits=False),
]


def write_models(root: Path):
    """Writes every model folder."""
    deep = [[1, 1, 1], [2, 2, 2], [2, 2, 2]]
    plain = architecture(3, [4, 8, 8], deep)
    shallow = architecture(3, [4, 8], deep[:2])

    def model(path, configurations, labels=THREE, name="3d_fullres", seed=1, channels=("CT",), transpose=(0, 1, 2), reader="SimpleITKIO", plan=None, dataset=None, **options):
        # (fold 0, final) unless the model says otherwise
        seeds = seed if isinstance(seed, dict) else {(0, "final"): seed}
        spec = plan or plans(path.split("/")[1], configurations, transpose, reader, len(channels))
        write_model(root / path, spec, dataset or dataset_json(labels, channels), name, seeds, **options)

    iso = configuration((16, 20, 16), (1.7, 1.6, 1.4), architecture(3, [4, 8, 8], deep, convs=[2, 1, 1]))
    model(ISO, {"3d_fullres": iso}, seed={(0, "final"): 12011, (1, "final"): 12012, ("all", "final"): 21013, (0, "best"): 11061}, with_optimizer=True)
    write_postprocessing(root / ISO / "crossval_results_folds_0", [[1, 2], 1])

    kernels = [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
    aniso = configuration((8, 20, 16), (4.0, 0.7, 1.1), architecture(3, [4, 8, 8], [[1, 1, 1], [1, 2, 2], [2, 2, 2]], kernels))
    model(ANISO, {"3d_fullres": aniso}, seed=6021, transpose=(1, 0, 2))

    two = configuration((16, 16, 16), (1.3, 1.2, 1.2), plain, ("ZScoreNormalization", "ZScoreNormalization"), (True, False))
    model(TWO_CHANNEL, {"3d_fullres": two}, seed=9031, channels=("T1", "T2"), mirroring=(1, 2))

    region_labels = {"background": 0, "whole": [1, 2, 3], "enhancing": 3, "core": [2, 3]}
    regions = configuration((16, 16, 16), (1.4, 1.4, 1.4), plain, ("ZScoreNormalization",))
    model(REGIONS, {"3d_fullres": regions}, seed=22041, dataset=dataset_json(region_labels, ("FLAIR",), regions_class_order=[1, 3, 2]))

    residual = {
        RESENC: architecture(3, [4, 8, 8], deep, cls="ResidualEncoderUNet", convs=[1, 2, 2]),
        BOTTLENECK: architecture(3, [4, 8, 8], deep, cls="ResidualEncoderUNet", block=BLOCKS + "BottleneckD", bottleneck_channels=[2, 4, 4], stem_channels=6),
        RESIDUAL: architecture(3, [4, 6, 8], deep, cls="ResidualUNet", convs_decoder=2),
    }
    for (path, arch), seed in zip(residual.items(), (9051, 4052, 22053)):
        model(path, {"3d_fullres": configuration((16, 16, 16), (1.5, 1.5, 1.5), arch)}, seed=seed)

    lowres = configuration((12, 16, 16), (2.6, 2.2, 2.2), shallow, ("ZScoreNormalization",), (True,), next_stage="3d_cascade_fullres")
    fullres = configuration((16, 16, 16), (1.6, 1.3, 1.3), plain, ("ZScoreNormalization",), (True,))
    cascade = {"3d_lowres": lowres, "3d_fullres": fullres, "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}}
    model(LOWRES, cascade, name="3d_lowres", seed=10061, channels=("T1",))
    model(CASCADE, cascade, name="3d_cascade_fullres", seed=19062, channels=("T1",), mirroring=(2,))

    small = configuration((16, 20, 24), (1.0, 1.0, 1.0), shallow)
    model(SMALL, {"3d_fullres": small}, seed=18071, mirroring=(0, 2))

    old = configuration((16, 16, 16), (1.5, 1.4, 1.4), None)
    del old["architecture"]
    old |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 8,
        "n_conv_per_stage_encoder": [1, 1, 1],
        "n_conv_per_stage_decoder": [1, 1],
        "num_pool_per_axis": [2, 2, 2],
        "pool_op_kernel_sizes": deep,
        "conv_kernel_sizes": [[3, 3, 3]] * 3,
    }
    old_plans = plans("Dataset908_Legacy", {"3d_fullres": old})
    old_plans["foreground_intensity_properties_by_modality"] = old_plans.pop("foreground_intensity_properties_per_channel")
    del old_plans["label_manager"]
    old_dataset = dataset_json(THREE)
    old_dataset["modality"] = old_dataset.pop("channel_names")
    model(LEGACY, None, plan=old_plans, dataset=old_dataset, seed=24081, prefixed_fold=(1, "module._orig_mod."))

    torch_kwargs = {"is_seg": False, "force_separate_z": None, "memefficient_seg_resampling": False}
    by_torch = resampling("resample_torch_fornnunet", torch_kwargs, {**torch_kwargs, "is_seg": True}, torch_kwargs)
    no_resampling = resampling("no_resampling_hack", {}, {}, {})
    both = {
        "3d_torch": configuration((16, 16, 16), (1.4, 1.5, 1.3), shallow, resample=by_torch),
        "3d_none": configuration((16, 16, 16), (1.4, 1.5, 1.3), shallow, resample=no_resampling),
    }
    model(TORCH, both, name="3d_torch", seed=12091)
    model(NO_RESAMPLING, both, name="3d_none", seed=8091)

    flat = configuration((20, 24), (1.2, 1.1), architecture(2, [4, 8, 8], [[1, 1], [2, 2], [2, 2]], convs=2))
    model(FLAT, {"2d": flat}, name="2d", seed=9101, mirroring=(0, 1))

    ignore = configuration((16, 16, 16), (1.4, 1.4, 1.4), shallow)
    model(IGNORE, {"3d_fullres": ignore}, labels={"background": 0, "tumor": 2, "kidney": 1, "ignore": 3}, seed=25111)
    model(BATCH_NORM, {"3d_fullres": ignore}, seed=9121, trainer="nnUNetTrainerBN")
    first = architecture(3, [4, 8], deep[:2], nonlin_first=True)
    model(NONLIN_FIRST, {"3d_fullres": {**ignore, "architecture": first}}, seed=6122)
    bare = architecture(3, [4, 8], deep[:2], norm_op_kwargs={"eps": 1e-05, "affine": False}, conv_bias=False)
    model(NO_AFFINE, {"3d_fullres": {**ignore, "architecture": bare}}, seed=148123)

    readers = {NIBABEL: "NibabelIO", NIBABEL_REORIENT: "NibabelIOWithReorient", ITK_REORIENT: "SimpleITKIOWithReorient"}
    for path, reader in readers.items():
        model(path, {"3d_fullres": configuration((12, 12, 12), (1.6, 1.6, 1.6), shallow)}, seed=15131, reader=reader)

    many = {"background": 0} | {f"structure_{i}": i for i in range(1, 260)}
    model(MANY, {"3d_fullres": configuration((12, 12, 12), (1.5, 1.5, 1.5), shallow)}, labels=many, seed=127141, only_labels=(0, 100, 257))


def write_postprocessing(folder: Path, labels_or_regions):
    """postprocessing.pkl and .json as `determine_postprocessing` writes them."""
    from batchgenerators.utilities.file_and_folder_operations import save_pickle
    from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation
    from nnunetv2.utilities.json_export import recursive_fix_for_json_export

    def native(value):
        # label managers hand out numpy integers, and tuples for regions
        return type(value)(native(v) for v in value) if isinstance(value, (list, tuple)) else np.int64(value)

    functions = [remove_all_but_largest_component_from_segmentation] * len(labels_or_regions)
    arguments = [{"labels_or_regions": native(entry)} for entry in labels_or_regions]
    folder.mkdir(parents=True, exist_ok=True)
    save_pickle((functions, arguments), str(folder / "postprocessing.pkl"))
    described = {
        "input_folder": {"foreground_mean": {"Dice": 0.5}, "mean": {"1": {"Dice": 0.5}}},
        "postprocessed": {"foreground_mean": {"Dice": 0.6}, "mean": {"1": {"Dice": 0.6}}},
        "postprocessing_fns": [f.__name__ for f in functions],
        "postprocessing_kwargs": arguments,
    }
    recursive_fix_for_json_export(described)
    write_json(folder / "postprocessing.json", described)


def write_inputs(root: Path):
    """Writes every input, each from its own seed."""

    def at(name, file="input_0000.nii.gz"):
        return root / "cases" / name / file

    def rng(seed):
        return np.random.default_rng(seed)

    inputs.write_itk(at("iso3d"), inputs.ct(rng(1), (30, 22, 37)), (1.5, 1.2, 1.1))
    inputs.write_itk(at("probabilities"), inputs.ct(rng(2), (17, 19, 18)), (1.5, 1.3, 1.3))
    inputs.write_itk(at("postprocessing_ties", "input.nii.gz"), tied_components(), (1.0, 1.0, 1.0))
    write_postprocessing(root / "cases/postprocessing_ties", [[1, 2, 3], (2, 3), 3, [(1, 2), 3]])
    aniso = inputs.ct_in_zero_border(rng(3), (33, 14, 34), [(2, 3), (1, 0), (4, 1)])
    inputs.write_itk(at("aniso_transposed"), aniso, (0.8, 5.0, 0.9))
    inputs.write_itk(at("aniso_from_isotropic"), inputs.ct(rng(4), (26, 30, 29)), (0.9, 1.7, 1.2))
    first, second = inputs.mr(rng(5), (24, 27, 26)), inputs.mr(rng(6), (24, 27, 26), radius=0.75, mean=900, deviation=150)
    inputs.write_itk(at("two_channel_masked_zscore"), first, (1.2, 1.1, 1.3))
    inputs.write_itk(at("two_channel_masked_zscore", "input_0001.nii.gz"), second, (1.2, 1.1, 1.3))
    inputs.write_itk(at("hole_in_nonzero_mask"), inputs.mr_with_holes(rng(7), (26, 28, 30)), (1.1, 1.1, 1.2))
    inputs.write_itk(at("regions"), inputs.mr(rng(8), (25, 28, 27)), (1.3, 1.2, 1.2))
    inputs.write_itk(at("resenc"), inputs.ct(rng(9), (26, 25, 27)), (1.3, 1.4, 1.2))
    scan = inputs.mr(rng(10), (26, 30, 28), radius=0.85)
    inputs.write_itk(at("cascade"), scan, (1.5, 1.2, 1.4))
    inputs.write_itk(at("cascade", "previous_stage.nii.gz"), inputs.blobs(rng(11), scan.shape, (1, 2)), (1.5, 1.2, 1.4))
    inputs.write_itk(at("smaller_than_patch"), inputs.ct(rng(12), (13, 17, 19)), (1.0, 1.0, 1.0))
    inputs.write_itk(at("legacy_plans"), inputs.ct(rng(13), (24, 25, 26)), (1.3, 1.3, 1.3))
    inputs.write_itk(at("torch_resampling"), inputs.ct(rng(14), (24, 23, 25)), (1.3, 1.2, 1.2))
    inputs.write_itk(at("torch_resampling_aniso"), inputs.ct(rng(15), (9, 26, 27)), (5.0, 1.2, 1.2))
    inputs.write_itk(at("model_2d"), inputs.ct(rng(16), (7, 38, 41)), (4.0, 1.1, 0.9))
    inputs.write_itk(at("model_2d_single_slice"), inputs.ct(rng(17), (1, 40, 37)), (3.0, 1.1, 0.9))
    inputs.write_itk(at("ignore_label"), inputs.ct(rng(18), (23, 25, 24)), (1.3, 1.2, 1.3))
    stored = (inputs.ct(rng(19), (20, 24, 22)).astype(np.int32) + 1024) * 2
    inputs.write_nibabel(at("nibabel_reorient"), stored.astype(np.int16), inputs.permuted_affine((1.3, 1.9, 1.5)), 0.5, -1024.0)
    scaled = ((inputs.ct(rng(21), (13, 17, 19)) + 24.0) / 2.0).astype(np.float32)
    scaled[3, 10, 10], scaled[9, 10, 9], scaled[12, 4, 10] = np.nan, np.inf, -np.inf
    inputs.write_nibabel(at("itk_scaled_nan"), scaled, np.diag([1.1, 1.0, 1.1, 1.0]), 2.0, -24.0)
    inputs.write_itk(at("many_labels"), inputs.ct(rng(20), (14, 15, 16)), (1.5, 1.4, 1.5))


def tied_components():
    """Components of equal size, contact over a corner, nested regions."""
    labels = np.zeros((12, 14, 16), np.uint8)
    labels[1:4, 1:4, 1:4] = 1
    labels[4:7, 4:7, 4:7] = 2  # touches the first over one corner: one component
    labels[8:11, 8:11, 8:11] = 3
    labels[8:11, 8:11, 11:14] = 2  # with the one before: as large as the first two together
    labels[1, 12, 14] = 1
    labels[0, 0, 15] = 3
    labels[11, 0, 0:3] = 2
    labels[9, 2, 2] = 3
    return labels
