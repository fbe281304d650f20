"""The protocol of everything that `run.py` measures: one program per contestant, which stays alive and answers line by line.

First a line of JSON about the loading. Then, for each line of standard input, one line of JSON:

* `run INPUT.f32 OUTPUT.f32`: one tile, raw little-endian floats; `-` for no output → `{"seconds": …}`, without the files
* `memory` → `{"peak_rss_bytes": …, "rss_bytes": …}`

`src/serve.rs` speaks the same, and `layers N`.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np


def memory() -> dict:
    status = Path("/proc/self/status").read_text()
    peak, now = (int(re.search(rf"{key}:\s+(\d+)", status).group(1)) * 1024 for key in ("VmHWM", "VmRSS"))
    return {"peak_rss_bytes": peak, "rss_bytes": now}


def serve(about: dict, shape: list, run) -> None:
    """`run` takes an array of `shape` and gives the logits, and the seconds that it took."""
    answer(about | memory())
    for line in sys.stdin:
        match line.split():
            case ["run", source, target]:
                output, seconds = run(np.fromfile(source, "<f4").reshape(shape))
                if target != "-":
                    np.ascontiguousarray(output, "<f4").tofile(target)
                answer({"seconds": seconds})
            case ["memory"]:
                answer(memory())
            case _:
                raise ValueError(f"not understood: {line!r}")


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)
