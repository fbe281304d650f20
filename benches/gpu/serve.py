"""A `nephrite serve` with the provider that is measured, and requests to it; what it reads lies in the folder of the inputs."""

import os
import shutil
import sys
import time
from pathlib import Path

from common import HERE, NotRun

sys.path.insert(0, str(HERE.parent / "load"))

import harness  # noqa: E402

RUN = "nephrite.v1.SegmentationService/Run"
# Random weights label a scan like noise: half precision gives fewer voxels of it the same label than nephrite asks of a model.
RANDOM_AGREEMENT = 0.99
UNCHECKED = "[cuda]\nhalf_check = 'off'\n"


class Warm:
    """A server with a client. `precision` is none for that of the provider. Raises `NotRun` if it does not start."""

    def __init__(self, options, precision: str | None = None, provider: str | None = None, config: str = ""):
        from server import Server  # of compose/client, which needs grpcio

        chosen = f"precision = '{precision}'\n" if precision else ""
        (options.data / "results").mkdir(exist_ok=True)
        self.data = options.data
        keys = f"provider = '{provider or options.provider}'\n{chosen}{config}"
        try:
            self.process = harness.ServerProcess(options.nephrite, options.data, keys)
        except RuntimeError as error:  # with the log
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise NotRun(f"no server: {lines[-1]}") from error
        self.server = Server(self.process.address)

    @property
    def pid(self) -> int:
        return self.process.child.pid

    def events(self, model: Path, scans: list, output: Path, timeout: float, folds=("0",), checkpoint: str = "final",
               precision: str | None = None, **more):
        """Events of one run, as dictionaries. `precision` is none for that of the server; `more` are the options of the run. Raises
        `grpc.RpcError`."""
        chosen = {"precision": f"PRECISION_{precision.upper()}"} if precision else {}
        return self.server.call(RUN, {
            "model": str(model), "input": [str(scan) for scan in scans], "output": str(output), "folds": list(folds),
            "checkpoint": f"CHECKPOINT_{checkpoint.upper()}", "options": more,
        } | chosen, timeout)

    def run(self, *arguments, **more) -> dict:
        """Wall time as the client sees it, when the first tile was heard of, and what the server says of the run."""
        begin, found = time.perf_counter(), {}
        for event in self.events(*arguments, **more):
            if "progress" in event and "first_seconds" not in found:
                found["first_seconds"] = time.perf_counter() - begin
            if "done" in event:
                found["done"] = event["done"]
        return found | {"wall_seconds": time.perf_counter() - begin}

    def stop(self) -> None:
        self.process.stop()


def random_weights(options) -> str:
    """Section of a configuration with which networks of random weights may run in half precision."""
    return f"[cuda]\nhalf_agreement = {RANDOM_AGREEMENT}\n" if options.provider == "cuda" else ""


def precision(done: dict) -> str:
    """In what a run computed."""
    return done.get("precision", "PRECISION_UNSPECIFIED").removeprefix("PRECISION_").lower()


def stages(done: dict) -> dict:
    """Seconds by stage, named as in a report."""
    return {timing["stage"].removeprefix("STAGE_").lower(): timing.get("seconds", 0.0) for timing in done["stages"]}


def beneath(root: Path, path: Path, name: str) -> Path:
    """`path` where the server may read it: itself, or hard links or copies under `root/name`."""
    path = path.resolve()
    if path.is_relative_to(root):
        return path
    place = root / name / path.name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, place, copy_function=link)
        else:
            link(path, place)
    return place


def link(source, target) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def refusal(error) -> str:
    """What a `grpc.RpcError` says."""
    return f"{error.code().name}: {error.details()}"
