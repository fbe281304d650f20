"""A network on the CPU by torch, in f32: `python peer_torch.py MODEL_FOLDER THREADS`, then as `line_server.py` says."""

import sys
import time
from pathlib import Path

import torch

from line_server import memory, serve
from networks import load


def main(folder: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    before, begin = memory()["rss_bytes"], time.perf_counter()
    network, shape = load(Path(folder))
    about = {
        "version": torch.__version__, "load_seconds": time.perf_counter() - begin, "rss_bytes_before": before,
        "isa": torch.backends.cpu.get_cpu_capability(),
    }

    def run(tile):
        tensor = torch.from_numpy(tile)
        with torch.inference_mode():
            begin = time.perf_counter()
            logits = network(tensor)
            seconds = time.perf_counter() - begin
        return logits.numpy(), seconds

    serve(about, [1, *shape], run)


if __name__ == "__main__":
    main(*sys.argv[1:3])
