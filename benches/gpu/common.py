"""What the parts share: options, paths, time that is left, and how tables are written."""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEER = HERE.parent / "peer"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"


class NotRun(Exception):
    """Why something was not measured; goes into the table."""


def parser(description: str) -> argparse.ArgumentParser:
    """Options that every part understands."""
    found = argparse.ArgumentParser(description=description.splitlines()[0])
    found.add_argument("--nephrite", type=Path, default=TARGET / "release/nephrite")
    found.add_argument("--provider", default="cuda", help="of nephrite; `cpu` tries the bench itself on a machine without a GPU")
    found.add_argument("--precision", help="of nephrite for cases and mixed runs [default: its own]")
    found.add_argument("--peer-python", type=Path,
                       help="Python with torch and nnunetv2 [default: this one if it has them, else build/bench-venv]")
    found.add_argument("--skip-peer", action="store_true", help="without torch and nnunetv2")
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--part-seconds", type=float, default=1800, help="a part starts nothing new after that")
    found.add_argument("--small", action="store_true", help="small networks, patches, and scans, to try the bench itself")
    found.add_argument("--scan", type=Path, help="a CT as base of the scan of the cases [default: a synthetic abdomen]")
    found.add_argument("--data", type=Path, help="where inputs are made, once [default: build/bench-gpu]")
    return found


def settle(options: argparse.Namespace) -> None:
    """Fills in what depends on other options."""
    name = "bench-gpu-small" if options.small else "bench-gpu"
    options.data = (options.data or ROOT / "build" / name).resolve()
    options.data.mkdir(parents=True, exist_ok=True)
    options.device = "cpu" if options.provider == "cpu" else "cuda"
    options.nephrite = options.nephrite.resolve()
    if not options.nephrite.exists():
        sys.exit(f"there is no {options.nephrite}: `make build`, or --nephrite")
    start_clock(options)


def start_clock(options: argparse.Namespace) -> None:
    options.deadline = time.monotonic() + options.part_seconds


def seconds_left(options: argparse.Namespace) -> float:
    """Until the part's deadline; raises `NotRun` once it has passed."""
    left = options.deadline - time.monotonic()
    if left <= 0:
        raise NotRun("out of time (--part-seconds)")
    return left


def spread(values: list, digits: int = 2) -> str:
    """Median, and the range if there is one."""
    if not values:
        return "–"
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def megabytes(values: list) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known) / 1e6:.0f}" if known else "–"


def table(header: list, rows: list) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def not_run(first: list, columns: int, why) -> list:
    """A row of the table that says why there are no figures."""
    text = " ".join(str(why).split()).replace("|", "/")[:200]
    return [*first, f"not run: {text}", *[""] * (columns - len(first) - 1)]
