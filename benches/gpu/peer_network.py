"""One patch of a network by torch: `python peer_network.py MODEL_FOLDER cuda|cpu`.

Answers lines of standard input with lines of JSON: `time MODE RUNS` → `{"network_ms": …}`, the median of runs one after the
other, after runs that warm up. Modes:

* `autocast`: weights in f32 under autocast, as nnU-Net runs its networks
* `compiled`: `torch.compile`, in half precision, channels-last
* `f32`: without autocast and without TF32
"""

import contextlib
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "network"))

import torch  # noqa: E402
from networks import load  # noqa: E402

WARM_UP = 3


class Network:
    def __init__(self, folder: str, device: str):
        self.device = torch.device(device)
        self.network, shape = load(Path(folder))
        self.network = self.network.to(self.device)
        self.tile = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        self.compiled = None

    def in_mode(self, mode: str):
        """What runs one patch, and the context that it needs."""
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = mode != "f32"
        if mode == "compiled":
            return self._compiled(), contextlib.nullcontext()
        context = torch.autocast(self.device.type) if mode == "autocast" else contextlib.nullcontext()
        return lambda: self.network(self.tile), context

    def _compiled(self):
        if self.compiled is None:
            half = {"dtype": torch.half, "memory_format": torch.channels_last_3d}
            again, _ = load(Path(sys.argv[1]))
            self.compiled = torch.compile(again.to(self.device).to(**half)), self.tile.to(**half)
        network, tile = self.compiled
        return lambda: network(tile)

    def seconds(self, run) -> float:
        begin = time.perf_counter()
        run()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    def time(self, mode: str, runs: int) -> dict:
        run, context = self.in_mode(mode)
        with torch.inference_mode(), context:
            first = self.seconds(run)
            for _ in range(WARM_UP - 1):
                self.seconds(run)
            return {"network_ms": 1000 * statistics.median(self.seconds(run) for _ in range(runs)), "first_s": first}


def main(folder: str, device: str) -> None:
    network = Network(folder, device)
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        _, mode, runs = line.split()
        try:
            answer = network.time(mode, int(runs))
        except Exception as error:  # a mode that this machine does not have
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
