"""One case through nnunetv2 on the CPU, stage by stage, with the clock and the memory beside it.

    python peer_nnunetv2.py MODEL_FOLDER SCAN.nii.gz MASK.nii.gz REPORT.json

Calls what `nnUNetv2_predict -device cpu` calls, in its order, in one process: reader, preprocessor, sliding window,
export, writer. Mirroring is off and the step is one half, as in the run beside it.
"""

import json
import os
import resource
import sys
import time

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "/nonexistent")

import torch  # noqa: E402
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape  # noqa: E402
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402


def main(model_folder: str, scan: str, mask: str, report: str) -> None:
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False, perform_everything_on_device=False,
        device=torch.device("cpu"), verbose=False, allow_tqdm=False,
    )
    start = time.perf_counter()
    predictor.initialize_from_trained_model_folder(model_folder, use_folds=(0,), checkpoint_name="checkpoint_final.pth")
    stages = {"load_model": time.perf_counter() - start}

    def timed(stage, call):
        begin = time.perf_counter()
        result = call()
        stages[stage] = time.perf_counter() - begin
        return result

    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    reader = plans.image_reader_writer_class()
    image, properties = timed("read", lambda: reader.read_images([scan]))
    preprocessor = configuration.preprocessor_class(verbose=False)
    data, _, properties = timed(
        "preprocess",
        lambda: preprocessor.run_case_npy(image, None, properties, plans, configuration, predictor.dataset_json),
    )
    del image
    logits = timed(
        "inference", lambda: predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
    )
    segmentation = timed(
        "export",
        lambda: convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, plans, configuration, predictor.label_manager, properties, return_probabilities=False
        ),
    )
    timed("write", lambda: reader.write_seg(segmentation, mask, properties))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with open(report, "w") as file:
        json.dump({"stages": stages, "peak_rss_bytes": peak, "threads": threads, "torch": torch.__version__}, file)


if __name__ == "__main__":
    main(*sys.argv[1:5])
