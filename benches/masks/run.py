#!/usr/bin/env python3
"""Compares the mask half with its peers on this machine, in one run, and keeps the figures.

    python3 benches/masks/run.py [--rounds 5] [--repeats 3] [--peer-python PYTHON]

Rounds alternate the two programs; medians over all repeats of all rounds are quoted, and the results are compared in the
same run. The peers live in a virtual environment of their own under `build/bench-masks-venv`, made when it is missing.
Results: a table on standard output and in `benches/runs/<date>-masks-<machine>/`. Fails if a result differs.
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
BENCH = ROOT / "target/release/mask-bench"
SERVICES = BUILD / "mask-services"  # static, as in its container

# figure, what it is, most that the ratio ours / theirs may be, the peer
TARGETS = [
    ("encode_dense", "encode dense → message", 1 / 2, "crackle"),
    ("decode_dense", "decode message → dense", 1.0, "crackle"),
    ("encoded_bytes", "bytes of the message", 1 / 2, "crackle"),
    ("components", "connected components, all labels, 26", 1 / 10, "cc3d"),
    ("dust", "drop small components, all labels", 1 / 20, "cc3d"),
    ("statistics", "statistics, all labels", 1 / 20, "cc3d"),
    ("keep_largest", "keep largest, one label", 1 / 5, "cc3d"),
    ("fill_holes", "fill holes, one label", 1 / 3, "fill_voids"),
]


def peer_python() -> Path:
    python = BUILD / "bench-masks-venv/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", BUILD / "bench-masks-venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
    return python


def machine() -> dict:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "cpu": cpu.group(1) if cpu else platform.processor(), "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(), "commit": commit.stdout.strip(), "load": os.getloadavg(),
    }


def read_json(command: list) -> dict:
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(python: Path, folder: Path, specks: int, rounds: int, repeats: int) -> dict:
    subprocess.run([BENCH, "map", folder, str(specks)], check=True)
    ours, theirs = {}, {}
    for round_ in range(rounds):
        print(f"round {round_ + 1} of {rounds}, {specks} specks", flush=True)
        mine = read_json([BENCH, "time", folder, str(repeats)])
        (folder / "ours.json").write_text(json.dumps(mine))
        check = ["--check"] if round_ == 0 else []
        peer = read_json([python, HERE / "peer_masks.py", folder, str(repeats), *check])
        for found, kept in ((mine, ours), (peer, theirs)):
            for name, value in found.items():
                if isinstance(value, list) and name != "statistics_rows":
                    kept.setdefault(name, []).extend(value)
                elif name != "statistics_rows":
                    kept[name] = kept.get(name, value)
    about = json.loads((folder / "map.json").read_text())
    return {"about": about, "nephrite": ours, "peers": theirs}


def middle(value) -> float:
    return statistics.median(value) if isinstance(value, list) else value


def rows(result: dict) -> list:
    table = []
    for name, what, target, peer in TARGETS:
        mine, other = middle(result["nephrite"][name]), middle(result["peers"][name])
        unit = "B" if name.endswith("bytes") else "ms"
        equal = result["peers"]["equal"].get(name)
        table.append((what, f"{peer} {other:.0f} {unit}", f"{mine:.1f} {unit}" if unit == "ms" else f"{mine} B",
                      f"{mine / other:.3f}", f"{target:.3f}", "met" if mine <= target * other else "NOT MET",
                      {True: "equal", False: "DIFFERENT", None: ""}[equal]))
    return table


def print_table(table: list) -> str:
    header = ("what", "peer", "nephrite", "ratio", "target", "", "result")
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join(lines)


def service_figures() -> dict:
    """Size of the binary, and resident memory of a service that waits."""
    if not SERVICES.exists():
        return {}
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mask-services.toml"
        config.write_text(f'listen = "127.0.0.1:0"\nroot = "{folder}"\n')
        process = subprocess.Popen([SERVICES, "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(2)
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.terminate()
        process.wait(timeout=30)
    return {"binary_bytes": SERVICES.stat().st_size, "idle_rss_bytes": int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-python", type=Path)
    arguments = parser.parse_args()
    python = arguments.peer_python or peer_python()
    date = datetime.date.today().isoformat()
    about = machine()
    out = ROOT / f"benches/runs/{date}-masks-{platform.machine()}-{about['cores']}-cores"
    results, text, failed = [], [], False
    for specks in (0, 5000):
        result = compare(python, BUILD / f"bench-masks/{specks}", specks, arguments.rounds, arguments.repeats)
        results.append(result)
        table = rows(result)
        failed |= any(row[-1] == "DIFFERENT" for row in table)
        n = result["about"]
        title = f"{n['labels']} labels, {result['nephrite']['runs']} runs, {result['nephrite']['n_components']} components"
        text += [f"### {title}{', with specks' if specks else ''}", "", print_table(table), ""]
    figures = service_figures()
    if figures:
        text += [f"`mask-services`: {figures['binary_bytes'] / 1e6:.1f} MB, {figures['idle_rss_bytes'] / 1e6:.1f} MB resident when idle", ""]
    grpc = read_json([BENCH, "grpc", BUILD / "bench-masks/0", str(arguments.rounds * arguments.repeats)])
    for row in grpc["rows"]:
        text.append(f"* {row['what']}: in process {row['local_ms']:.1f} ms, over gRPC on loopback {row['remote_ms']:.1f} ms "
                    f"(+{row['remote_ms'] - row['local_ms']:.1f} ms; largest message {row['message_bytes']} B)")
    text = "\n".join(text)
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    record = {"machine": about, "results": results, "service": figures, "grpc": grpc}
    (out / "record.json").write_text(json.dumps(record, indent=1))
    (out / "README.md").write_text(
        f"# Mask half beside its peers, {date}\n\n`python3 benches/masks/run.py --rounds {arguments.rounds} --repeats "
        f"{arguments.repeats}` on {about['cores']} cores of {about['cpu']}, commit {about['commit']}. Medians; 66 Mvoxel; "
        f"peers: crackle-codec, connected-components-3d, fill_voids as pinned in `benches/masks/requirements.txt`.\n\n{text}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
