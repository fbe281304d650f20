#!/usr/bin/env python3
"""What was expected of a run's memory, beside what its process held at its peak: twenty scans and models.

    python3 benches/memory/run.py [--nephrite FILE] [--data FOLDER]

Every row is one `nephrite segment` in a process of its own. *Expected* is what the program says from headers and plans
before it starts, and what a server reserves; *measured* is the largest resident set that the kernel saw. Exit code 1 if a
ratio leaves 0.85 to 1.15, or if an operation on masks holds more than it said.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GOLDEN = ROOT / "tests/golden"
REAL = ROOT.parent / "shared/data"
FULL = "nnUNetTrainer__nnUNetPlans__3d_fullres"
TOLERANCE = 0.15

# name, model, scan (or shape to which the demo scan of a phase is resized), options
DEMO = "demo/Dataset90{}_Demo{}/" + FULL
ARTERY, KIDNEY, URETER = DEMO.format(1, "Artery"), DEMO.format(2, "Kidney"), DEMO.format(3, "Ureter")
ROWS = [
    ("kidney, demo scan", KIDNEY, "portal_venous", ()),
    ("artery, demo scan", ARTERY, "arterial", ()),
    ("ureter, demo scan, fast steps", URETER, "delayed", ("--tile-step-size", "1")),
    ("kidney, 17 M voxels", KIDNEY, (256, 256, 256), ()),
    ("kidney, 34 M voxels, thin slices", KIDNEY, (256, 256, 512), ()),
    ("artery, 34 M voxels", ARTERY, (512, 512, 128), ()),
    ("kidney, 66 M voxels", KIDNEY, (488, 404, 336), ()),
    ("ureter, 66 M voxels", URETER, (488, 404, 336), ()),
    ("kidney, 105 M voxels", KIDNEY, (512, 512, 400), ()),
    ("kidney, reference numerics", KIDNEY, (256, 256, 256), ("--numerics", "reference")),
    ("kidney, with probabilities", KIDNEY, (192, 192, 192), ("--save-probabilities", "p.npz")),
    ("artery, with mirroring", ARTERY, (160, 160, 160), ("mirroring",)),
    ("golden, isotropic, three folds", "golden/Dataset901_Iso/" + FULL, (256, 256, 192), ("--folds", "0,1,all", "--tile-step-size", "1")),
    ("golden, isotropic, one fold", "golden/Dataset901_Iso/" + FULL, (320, 320, 64), ("--folds", "0", "--tile-step-size", "1")),
    ("golden, residual encoder", "golden/Dataset905_Residual/nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres", (256, 256, 64), ("--tile-step-size", "1")),
    ("golden, torch resampling", "golden/Dataset909_Resampling/nnUNetTrainer__nnUNetPlans__3d_torch", (256, 256, 96), ("--tile-step-size", "1")),
    ("golden, regions", "golden/Dataset904_Regions/" + FULL, (256, 256, 96), ("--tile-step-size", "1")),
    ("golden, many labels", "golden/Dataset914_Many/" + FULL, (128, 128, 96), ("--tile-step-size", "1")),
    ("golden, two dimensions", "golden/Dataset910_Flat/nnUNetTrainer__nnUNetPlans__2d", (224, 224, 64), ("--tile-step-size", "1")),
    ("golden, cascade with its first stage", "golden/Dataset906_Cascade/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres", (160, 160, 128), ("--tile-step-size", "1")),
]
REAL_ROWS = [
    ("trained kidney", "real/models/Dataset701_Kidney/" + FULL, ("--folds", "0")),
    ("trained kidney, two folds", "real/models/Dataset701_Kidney/" + FULL, ()),
    ("trained vessels", "real/models/Dataset702_Vessel/" + FULL, ()),
    ("trained vessels, residual encoder", "real/models/Dataset702_Vessel/nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres", ()),
]


def prepare(data: Path, nephrite: Path) -> None:
    if (data / "ready").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    subprocess.run([nephrite, "demo", "--output", data / "demo", "--quiet"], check=True)
    (data / "golden").symlink_to(GOLDEN / "models")
    if REAL.exists():
        (data / "real").symlink_to(REAL)
    (data / "ready").touch()


def scan(data: Path, nephrite: Path, wanted) -> Path:
    """The demo scan of a phase, or resized."""
    if isinstance(wanted, str):
        return data / f"demo/scan_{wanted}.nii.gz"
    file = data / f"scan_{'x'.join(map(str, wanted))}.nii.gz"
    if not file.exists():
        subprocess.run([nephrite, "resize", "--input", data / "demo/scan_portal_venous.nii.gz", "--output", file,
                        "--shape", ",".join(map(str, wanted)), "--quiet"], check=True)
    return file


def rows(data: Path, nephrite: Path) -> list:
    made = [(name, data / model, scan(data, nephrite, wanted), options) for name, model, wanted, options in ROWS]
    if (data / "real").exists():
        ct = data / "real/ct/ct_abdomen_0000.nii.gz"
        made += [(f"{name}, CT of 3 mm", data / model, ct, options) for name, model, options in REAL_ROWS]
        large = scan_of_ct(data, nephrite, ct)
        made += [("trained vessels, 66 M voxels", data / REAL_ROWS[2][1], large, ("--tile-step-size", "1")),
                 ("trained kidney, 66 M voxels", data / REAL_ROWS[0][1], large, ("--folds", "0", "--tile-step-size", "1"))]
    return made


# Operations on the label map of a run of 66 M voxels: what they state is an upper bound, since headers do not count runs.
MASK_ROWS = [
    ("cleanup, largest component", ("cleanup", "--set", "keep_largest=1")),
    ("cleanup, 2 mm", ("cleanup", "--set", "close_mm=2", "--set", "dilate_mm=2")),
    ("merge", ("merge",)),
    ("sample with its files", ("sample", "--artefacts", "files")),
]


def mask_rows(data: Path, nephrite: Path) -> list:
    labels, rows = data / "labels_66.nii.gz", []
    if not labels.exists():
        subprocess.run([nephrite, "segment", "--model", data / KIDNEY, "--input", scan(data, nephrite, (488, 404, 336)),
                        "--output", labels, "--no-mirroring", "--quiet"], check=True)
    out = data / "out"
    (out / "files").mkdir(parents=True, exist_ok=True)
    for name, arguments in MASK_ROWS:
        arguments = [str(out / argument) if argument == "files" else argument for argument in arguments]
        subprocess.run([nephrite, "mask", *arguments, "--input", labels, "--output", out / "mask.nii.gz", "--quiet",
                        "--report", out / "report.json"], check=True)
        report = json.loads((out / "report.json").read_text())
        rows.append((name, report["expected_memory_bytes"], report["peak_rss_bytes"]))
    return rows


def scan_of_ct(data: Path, nephrite: Path, ct: Path) -> Path:
    file = data / "ct_large.nii.gz"
    if not file.exists():
        subprocess.run([nephrite, "resize", "--input", ct, "--output", file, "--shape", "488,404,336", "--quiet"], check=True)
    return file


def measure(nephrite: Path, data: Path, model: Path, file: Path, options: tuple) -> dict:
    out = data / "out"
    out.mkdir(exist_ok=True)
    options = [str(out / option) if option.endswith(".npz") else option for option in options]
    mirroring = "mirroring" in options
    extra = [option for option in options if option != "mirroring"] + ([] if mirroring else ["--no-mirroring"])
    subprocess.run([nephrite, "segment", "--model", model, "--input", file, "--output", out / "mask.nii.gz", "--quiet",
                    "--report", out / "report.json", *extra], check=True)
    return json.loads((out / "report.json").read_text())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nephrite", type=Path, default=ROOT / "target/release/nephrite")
    parser.add_argument("--data", type=Path, default=ROOT / "build/bench-memory")
    parser.add_argument("--keep", action="store_true", help="write a dated record under benches/runs/")
    arguments = parser.parse_args()
    prepare(arguments.data, arguments.nephrite)
    lines = ["| run | expected MB | measured MB | ratio |", "|---|---|---|---|"]
    results = []
    for name, model, file, options in rows(arguments.data, arguments.nephrite):
        report = measure(arguments.nephrite, arguments.data, model, file, options)
        expected, measured = report["expected_memory_bytes"], report["peak_rss_bytes"]
        results.append({"run": name, "expected": expected, "measured": measured, "ratio": expected / measured,
                        "shape": report["shape"], "stages": report["stages"]})
        lines.append(f"| {name} | {expected / 1e6:.0f} | {measured / 1e6:.0f} | {expected / measured:.2f} |")
        print(lines[-1], flush=True)
    lines += ["", "Operations on a label map of 66 M voxels; an upper bound:", "", *lines[:2]]
    over = []
    for name, expected, measured in mask_rows(arguments.data, arguments.nephrite):
        lines.append(f"| {name} | {expected / 1e6:.0f} | {measured / 1e6:.0f} | {expected / measured:.2f} |")
        print(lines[-1], flush=True)
        over += [name] if measured > expected else []
    worst = max(results, key=lambda row: abs(row["ratio"] - 1))
    summary = f"{len(results)} runs; worst ratio {worst['ratio']:.3f}: {worst['run']}"
    print(summary)
    if arguments.keep:
        folder = ROOT / f"benches/runs/{datetime.date.today()}-memory-{platform.machine()}-{len(os.sched_getaffinity(0))}-cores"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text("# Expected against measured memory\n\n" + "\n".join(lines) + f"\n\n{summary}\n")
        (folder / "record.json").write_text(json.dumps(results, indent=1) + "\n")
    return int(abs(worst["ratio"] - 1) > TOLERANCE or bool(over))


if __name__ == "__main__":
    sys.exit(main())
