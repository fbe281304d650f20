#!/usr/bin/env python3
"""Compares nephrite with nnunetv2 on this machine, in one run, and keeps the figures.

    python3 benches/peer/run.py [--rounds 3] [--peer-python PYTHON] [--scan BASE.nii.gz] [--skip-peer]
                                [--before NEPHRITE]

Rounds alternate the two programs; medians are quoted. Another build of nephrite may take part (`--before`). The peer lives in a virtual environment of its own under
`build/bench-venv`, made when it is missing. The scan is BASE resampled to 66 million voxels; without one, a synthetic
abdomen. Results: a table on standard output and in `benches/runs/<date>-<machine>/`.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build"
NEPHRITE = ROOT / "target/release/nephrite"
REAL_SCAN = ROOT.parent / "shared/data/ct/ct_abdomen_0000.nii.gz"
REAL_MODELS = ROOT.parent / "shared/data/models"
FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"
OUTSIDE = ("read", "preprocess", "export", "write")


def peer_python() -> Path:
    python = BUILD / "bench-venv/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", BUILD / "bench-venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
    return python


def base_scan(given: str | None, out: Path) -> Path:
    if given:
        return Path(given)
    if REAL_SCAN.exists():
        return REAL_SCAN
    print("no real scan at hand: a synthetic abdomen is used", flush=True)
    demo = out / "demo"
    if not demo.exists():
        subprocess.run([NEPHRITE, "demo", "--output", demo, "--quiet"], check=True)
    return sorted(demo.rglob("scan_portal_venous*.nii.gz"))[0]


def nephrite(model: Path, scan: Path, out: Path, provider: str = "cpu", program: Path = NEPHRITE, name: str = "") -> dict:
    report = out / "nephrite.json"
    command = [program, "segment", "--model", model, "--folds", "0", "--input", scan, "--no-mirroring",
               "--output", out / f"nephrite_{name or provider}.nii.gz", "--report", report, "--provider", provider, "--quiet"]
    subprocess.run(command, check=True)
    return json.loads(report.read_text())


def nnunetv2(python: Path, model: Path, scan: Path, out: Path) -> dict:
    report = out / "nnunetv2.json"
    subprocess.run([python, HERE / "peer_nnunetv2.py", model, scan, out / "nnunetv2.nii.gz", report], check=True,
                   stdout=subprocess.DEVNULL)
    return json.loads(report.read_text())


def agreement(python: Path, first: Path, second: Path) -> dict:
    output = subprocess.run([python, HERE / "compare_masks.py", first, second], check=True, capture_output=True)
    return json.loads(output.stdout)


def outside(report: dict) -> float:
    return sum(report["stages"][stage] for stage in OUTSIDE)


def spread(values: list) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def seconds_to_first_tile(model: Path, scan: Path, out: Path) -> float:
    """From starting the program until it says that the first tile is done."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [NEPHRITE, "segment", "--model", model, "--input", scan, "--no-mirroring", "--output", out / "first.nii.gz"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    elapsed = None
    for line in process.stderr:
        if elapsed is None and re.match(r"tile 1 of", line):
            elapsed = time.perf_counter() - begin
    if process.wait() != 0 or elapsed is None:
        raise RuntimeError("nephrite did not report its first tile")
    return elapsed


def machine() -> dict:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "cpu": cpu.group(1) if cpu else platform.processor(), "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(), "commit": commit.stdout.strip(), "load": os.getloadavg(),
    }


def compare(python: Path, model: Path, scan: Path, out: Path, rounds: int, providers: list, before: Path | None) -> dict:
    """Alternates the peer, nephrite with each provider, and another build of it."""
    names = [*providers, *(["before"] if before else [])]
    runs = {"nnunetv2": [], **{name: [] for name in names}}
    for round_ in range(rounds):
        print(f"round {round_ + 1} of {rounds}: {model.parent.name}", flush=True)
        runs["nnunetv2"].append(nnunetv2(python, model, scan, out))
        for provider in providers:
            runs[provider].append(nephrite(model, scan, out, provider))
        if before:
            runs["before"].append(nephrite(model, scan, out, "cpu", before, "before"))
    masks = {p: agreement(python, out / "nnunetv2.nii.gz", out / f"nephrite_{p}.nii.gz") for p in names}
    return {"runs": runs, "agreement": masks}


def comparison_rows(name: str, result: dict) -> list:
    runs = result["runs"]
    peer = runs["nnunetv2"]
    rows = []
    for provider, own in runs.items():
        if provider == "nnunetv2":
            continue
        # Ratios per round, so that a noisy minute hits both sides; the median of those.
        def ratio(of):
            return statistics.median(of(a) / of(b) for a, b in zip(own, peer))
        rows.append([
            name, provider,
            spread([outside(r) for r in peer]), spread([outside(r) for r in own]), f"{ratio(outside):.3f}",
            spread([r["stages"]["inference"] for r in peer]), spread([r["stages"]["inference"] for r in own]),
            f"{ratio(lambda r: r['stages']['inference']):.3f}",
            f"{statistics.median(r['peak_rss_bytes'] for r in peer) / 1e9:.2f}",
            f"{statistics.median(r['peak_rss_bytes'] for r in own) / 1e9:.2f}",
            f"{ratio(lambda r: r['peak_rss_bytes']):.3f}",
            f"{100 * result['agreement'][provider]['equal']:.4f} %",
        ])
    return rows


def table(header: list, rows: list) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--scan")
    parser.add_argument("--skip-peer", action="store_true", help="only what needs no peer")
    parser.add_argument("--before", type=Path, help="another nephrite to measure beside this one")
    arguments = parser.parse_args()

    out = BUILD / "bench"
    out.mkdir(parents=True, exist_ok=True)
    python = arguments.peer_python or peer_python()
    subprocess.run([python, HERE / "make_inputs.py", out, base_scan(arguments.scan, out)], check=True)
    scan, scan_long = out / "scan.nii.gz", out / "scan_long.nii.gz"
    small, wide = out / "Dataset905_Bench5" / FOLDER, out / "Dataset918_Bench118" / FOLDER
    has_openvino = (BUILD / "onnxruntime/openvino").exists()
    providers = ["cpu"] + (["openvino"] if has_openvino else [])
    record = {"machine": machine(), "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds")}

    rows = []
    if not arguments.skip_peer:
        record["large"] = compare(python, small, scan, out, arguments.rounds, providers, arguments.before)
        rows += comparison_rows("66 Mvoxel, 5 classes, small network", record["large"])
        if REAL_MODELS.exists():
            for name, model in (
                ("3 mm CT, PlainConvUNet", REAL_MODELS / "Dataset702_Vessel" / FOLDER),
                ("3 mm CT, ResEncUNet", REAL_MODELS / "Dataset702_Vessel/nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres"),
            ):
                record[name] = compare(python, model, REAL_SCAN, out, arguments.rounds, providers, arguments.before)
                rows += comparison_rows(name, record[name])

    base = nephrite(small, scan, out)
    long = nephrite(small, scan_long, out)
    many = nephrite(wide, scan, out)
    first = [seconds_to_first_tile(model, demo_scan, out) for model, demo_scan in [demo_case(out)] for _ in range(5)]
    resident = json.loads(
        subprocess.run(
            ["cargo", "run", "--release", "--locked", "-q", "-p", "nephrite-image-core", "--example", "resident", "--",
             small, scan, out / "resident.nii.gz"], check=True, capture_output=True, cwd=ROOT,
        ).stdout
    )
    record["alone"] = {"base": base, "long": long, "many": many, "first_tile_seconds": first, "resident": resident}
    grown = long["peak_rss_bytes"] - base["peak_rss_bytes"]
    voxels = base["shape"][0] * base["shape"][1] * base["shape"][2]
    second = resident["second"]["stages"]
    alone = [
        ["peak memory, 66 Mvoxel, 5 classes", f"{base['peak_rss_bytes'] / 1e9:.2f} GB"],
        ["peak memory, 66 Mvoxel, 118 classes", f"{many['peak_rss_bytes'] / 1e9:.2f} GB"],
        ["peak memory, twice the slices", f"{long['peak_rss_bytes'] / 1e9:.2f} GB: {grown / voxels:.2f} bytes more per "
                                          "further voxel (int16 scan 2, mask 1, network grid about 0.7)"],
        ["second request, weight bytes read", resident["second"]["weight_bytes_read"]],
        ["second request, outside network and export",
         f"{second['load_model'] + second['preprocess'] + second['write']:.2f} s + {second['read']:.2f} s reading"],
        ["program start to first tile, demo model", f"{spread(first)} s"],
    ]
    header = ["case", "provider", "outside, nnunetv2 s", "outside, nephrite s", "ratio", "network, nnunetv2 s",
              "network, nephrite s", "ratio", "peak GB, nnunetv2", "peak GB, nephrite", "ratio", "equal voxels"]
    text = "\n\n".join(([table(header, rows)] if rows else []) + [table(["what", "measured"], alone)])
    print(text)

    name = f"{datetime.date.today()}-{platform.machine()}-{record['machine']['cores']}-cores"
    runs = ROOT / "benches/runs" / re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    runs.mkdir(parents=True, exist_ok=True)
    text_of_record = json.dumps(record, indent=1).replace(f"{ROOT}/", "").replace(f"{ROOT.parent}/", "../")
    (runs / "record.json").write_text(text_of_record)
    facts = "\n".join(f"* {key}: {value}" for key, value in record["machine"].items())
    (runs / "README.md").write_text(
        f"# nephrite beside nnunetv2 2.8.1\n\n`make bench`, {arguments.rounds} alternating rounds, medians (range). "
        "*Outside* is read + preprocess + export + write. Raw data: `record.json`.\n\n"
        f"{facts}\n* date: {record['date']}\n\n{text}\n"
    )


def demo_case(out: Path) -> tuple:
    """A demo model and the scan it is for, as `nephrite demo` leaves them."""
    demo = out / "demo"
    if not demo.exists():
        subprocess.run([NEPHRITE, "demo", "--output", demo, "--quiet"], check=True)
    model = sorted(demo.rglob("Dataset902_DemoKidney/*/plans.json"))[0].parent
    return model, sorted(demo.rglob("scan_portal_venous*.nii.gz"))[0]


if __name__ == "__main__":
    main()
