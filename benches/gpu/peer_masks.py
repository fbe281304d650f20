"""Masks by nnunetv2 in single precision and as it usually runs, and how masks agree; all in one process.

    python peer_masks.py predict JOBS.json cuda|cpu
    python peer_masks.py compare PAIRS.json

`JOBS.json` lists objects with name, model, scans, folds, mirroring, step, checkpoint, `autocast`, and mask; `PAIRS.json` objects with
name, reference, and mask. For each a line of JSON: its name, and seconds, or how masks agree, or `error`.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peer"))

import torch  # noqa: E402
from compare_masks import compare  # noqa: E402

AUTOCAST = torch.autocast


class Off(AUTOCAST):
    """nnU-Net turns autocast on wherever there is a GPU."""

    def __init__(self, device_type, *_, **__):
        super().__init__(device_type, enabled=False)


def predict(job: dict, device: str) -> dict:
    from peer_nnunetv2 import predict, predictor_of

    torch.autocast = AUTOCAST if job["autocast"] else Off
    torch.backends.cudnn.allow_tf32 = job["autocast"]  # nnU-Net leaves it as torch has it
    begin = time.perf_counter()
    folds = tuple(fold if fold == "all" else int(fold) for fold in job["folds"])
    predictor = predictor_of(job["model"], device, folds, job["mirroring"], job["step"], job["checkpoint"])
    predict(predictor, job["scans"], job["mask"])
    return {"seconds": time.perf_counter() - begin}


def main(what: str, file: str, *device: str) -> None:
    for job in json.loads(Path(file).read_text()):
        try:
            answer = predict(job, *device) if what == "predict" else compare(job["reference"], job["mask"])
        except Exception as error:  # of one job; the others go on
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print("\n" + json.dumps({"name": job["name"]} | answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
