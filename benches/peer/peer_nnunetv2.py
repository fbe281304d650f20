"""One case through nnunetv2, stage by stage, with the clock and the memory beside it.

    python peer_nnunetv2.py MODEL_FOLDER SCAN.nii.gz MASK.nii.gz REPORT.json [--device cuda] [--mirroring] [--until inference]

Calls what `nnUNetv2_predict` calls, in its order, in one process: reader, preprocessor, sliding window, export, writer. Fold 0,
and the step is one half. On the CPU (default) the network has all threads; on a GPU sums stay there, as nnU-Net has it.
"""

import argparse
import json
import os
import resource
import time

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "/nonexistent")

import torch  # noqa: E402
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape  # noqa: E402
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402


def predictor_of(model_folder: str, device: str, folds: tuple = (0,), mirroring: bool = False, step: float = 0.5,
                 checkpoint: str = "final") -> nnUNetPredictor:
    """A predictor with its model, as `nnUNetv2_predict` sets it up."""
    predictor = nnUNetPredictor(
        tile_step_size=step, use_gaussian=True, use_mirroring=mirroring, perform_everything_on_device=device != "cpu",
        device=torch.device(device), verbose=False, allow_tqdm=False,
    )
    predictor.initialize_from_trained_model_folder(model_folder, use_folds=folds, checkpoint_name=f"checkpoint_{checkpoint}.pth")
    return predictor


def predict(predictor: nnUNetPredictor, scans: list, mask: str, until: str = "write") -> dict:
    """Seconds of each stage, up to `until`."""
    stages = {}

    def timed(stage, call):
        begin = time.perf_counter()
        result = call()
        stages[stage] = time.perf_counter() - begin
        return result

    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    reader = plans.image_reader_writer_class()
    image, properties = timed("read", lambda: reader.read_images(scans))
    preprocessor = configuration.preprocessor_class(verbose=False)
    data, _, properties = timed(
        "preprocess",
        lambda: preprocessor.run_case_npy(image, None, properties, plans, configuration, predictor.dataset_json),
    )
    del image
    logits = timed(
        "inference", lambda: predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
    )
    if until == "inference":
        return stages
    segmentation = timed(
        "export",
        lambda: convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, plans, configuration, predictor.label_manager, properties, return_probabilities=False
        ),
    )
    timed("write", lambda: reader.write_seg(segmentation, mask, properties))
    return stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model_folder", "scan", "mask", "report"):
        parser.add_argument(name)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mirroring", action="store_true")
    parser.add_argument("--until", choices=("inference", "write"), default="write", help="the last stage")
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    start = time.perf_counter()
    predictor = predictor_of(arguments.model_folder, arguments.device, mirroring=arguments.mirroring)
    stages = {"load_model": time.perf_counter() - start}
    stages |= predict(predictor, [arguments.scan], arguments.mask, arguments.until)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with open(arguments.report, "w") as file:
        json.dump({"stages": stages, "peak_rss_bytes": peak, "threads": threads, "torch": torch.__version__}, file)


if __name__ == "__main__":
    main()
