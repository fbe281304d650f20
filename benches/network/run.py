#!/usr/bin/env python3
"""Compares one tile of a network on the CPU by nephrite, by torch and by OpenVINO, in one run, and keeps the figures.

    cargo build --release -p nephrite-bench-network
    python3 benches/network/run.py [--networks plain-96,slices] [--rounds 5] [--peer-python PYTHON] [--nephrite PROGRAM]

Every contestant is a process of its own that stays alive and waits: nothing is loaded between rounds, and only one computes at
a time. Rounds alternate, and begin with another contestant each; ratios are those of a round, and their median is quoted. While
other work keeps cores busy there are more rounds, and those that it disturbed least count. Peers live in a virtual
environment under `build/bench-venv`, made when it is missing; networks and what they give in double precision lie in
`build/bench-network` and are made once. Results: tables on standard output and in `benches/runs/<date>-network-<machine>/`.
Exit code 1 if nephrite's logits in f32 are not those in double precision.
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

import report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build"
CASES = BUILD / "bench-network"
NETWORKS = ["plain-96", "plain-128", "resenc-96", "resenc-128", "anisotropic", "slices", "bench-small", "demo"]
# Compared also on one core; and with AVX2 alone.
ONE_CORE = AVX2 = ("plain-96", "resenc-96", "slices")
LAYER_RUNS = 5
ROUND_SECONDS = 1.0  # networks that are faster run more often in a round, which counts with the median
MOST_RUNS = 20
PAUSE_SECONDS = 0.1  # threads of the one before spin no longer
QUIET_CORES = 0.1  # that others keep busy at most in a round that is not repeated
LARGEST_DIFFERENCE = 1e-4  # of nephrite in f32, as a share of the spread of logits
# oneDNN's own variable, which OpenVINO's build of it heeds: convolutions are `brgconv_avx2` then (its norm stays with AVX-512)
ONLY_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


class Contestant:
    """A process that runs one network, and what it said of the loading; `error` if it ended instead."""

    def __init__(self, name: str, command: list, settings: dict):
        self.name, self.error, self.about = name, None, {}
        environment = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment | settings | {"RUST_BACKTRACE": "0"})
        line = self.process.stdout.readline()
        if line:
            self.about = json.loads(line)
        else:
            self.error = f"{name} ended with code {self.process.wait()}"

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with code {self.process.wait()} at {words}")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        if self.process.wait() != 0 and self.error is None:
            raise RuntimeError(f"{self.name} ended with code {self.process.returncode}")


def commands(python: Path, nephrite: Path | None, case: Path, threads: int, level: str | None = None, bf16: bool = False) -> dict:
    """Of all contestants of a round, by name; no `nephrite` means peers only."""
    own = [nephrite, "serve", "--model", case / "model", "--threads", threads, *(["--level", level] if level else [])]
    found = {
        "nephrite": own,
        "torch": [python, HERE / "peer_torch.py", case / "model", threads],
        "openvino": [python, HERE / "peer_openvino.py", case / "openvino.xml", threads],
        "nephrite bf16": [*own, "--precision", "bf16"],
    }
    wanted = [name for name in found if (nephrite or name in report.PEERS) and (bf16 or "bf16" not in name)]
    return {name: found[name] for name in wanted}


def busy_seconds(pid: int | None = None) -> float:
    """CPU time that a process has had with all its threads, or all processes of the machine."""
    if pid is None:
        numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        ticks = sum(numbers) - numbers[3] - numbers[4]
    else:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def one_round(contestants: list, runs: dict, tile: Path) -> dict:
    """Median seconds of each contestant, in this order, and what else kept the machine busy meanwhile."""
    def own():
        return sum(busy_seconds(contestant.process.pid) for contestant in contestants)

    found = {}
    begin, busy = time.perf_counter(), busy_seconds() - own()
    for contestant in contestants:
        time.sleep(PAUSE_SECONDS)
        times = [contestant.ask("run", tile, "-")["seconds"] for _ in range(runs[contestant.name])]
        found[contestant.name] = round(statistics.median(times), 5)
    others = (busy_seconds() - own() - busy) / (time.perf_counter() - begin)
    return found | {"busy_cores_of_others": round(max(others, 0), 3)}


def race(title: str, case: Path, wanted: dict, rounds: int, patience: int, settings: dict, layers: bool = False) -> dict:
    """Alternates contestants on the tile of a network; the rounds that other work disturbed least count."""
    contestants = []
    for name, command in wanted.items():
        contestants.append(Contestant(name, command, settings))
        if contestants[-1].error:
            print(f"  left out: {contestants[-1].error}", flush=True)
    running = [contestant for contestant in contestants if not contestant.error]
    tile, runs = case / "input.f32", {}
    for contestant in running:
        seconds = contestant.ask("run", tile, case / f"{contestant.name}.f32".replace(" ", "-"))["seconds"]
        if seconds < 2 * ROUND_SECONDS:  # the first one is slower
            seconds = contestant.ask("run", tile, "-")["seconds"]
        runs[contestant.name] = max(1, min(MOST_RUNS, round(ROUND_SECONDS / seconds)))
    all_rounds, quiet = [], 0
    while quiet < rounds and len(all_rounds) < rounds * patience:
        first = len(all_rounds) % len(running)
        found = one_round(running[first:] + running[:first], runs, tile)
        all_rounds.append(found)
        quiet += found["busy_cores_of_others"] <= QUIET_CORES
        print(f"  {title}, round {len(all_rounds)}: {found}", flush=True)
    chosen = sorted(all_rounds, key=lambda found: found["busy_cores_of_others"])[:rounds]
    result = {"title": title, "all_rounds": all_rounds, "contestants": {}}
    result["busy_cores_of_others"] = round(statistics.mean(found["busy_cores_of_others"] for found in chosen), 3)
    for contestant in running:
        result["contestants"][contestant.name] = {
            "load": contestant.about, "runs_per_round": runs[contestant.name],
            "seconds": [found[contestant.name] for found in chosen], "memory": contestant.ask("memory"),
        }
        if layers and contestant.name == "nephrite":
            result["layers"] = contestant.ask("layers", LAYER_RUNS)
    result["left_out"] = {contestant.name: contestant.error for contestant in contestants if contestant.error}
    for contestant in contestants:
        contestant.close()
    return result


def compare(python: Path, case: Path, result: dict, n_classes: int) -> None:
    """Adds to every contestant how far its logits are from those in double precision."""
    files = [case / f"{name}.f32".replace(" ", "-") for name in result["contestants"]]
    found = read_json([python, HERE / "compare_logits.py", case / "reference.f64", n_classes, *files])
    for contestant, agreement in zip(result["contestants"].values(), found):
        contestant["agreement"] = agreement


def measure(python: Path, nephrite: Path | None, name: str, rounds: int, patience: int, threads: int) -> dict:
    case = CASES / name
    made = json.loads((case / "made.json").read_text())
    races = [("all_cores", name, commands(python, nephrite, case, threads, bf16=True), {})]
    if name in ONE_CORE and threads > 1:
        races.append(("one_core", f"{name}, one core", commands(python, nephrite, case, 1), {}))
    if name in AVX2 and "avx2" in Path("/proc/cpuinfo").read_text():
        races.append(("avx2", f"{name}, AVX2", commands(python, nephrite, case, threads, level="avx2"), ONLY_AVX2))
    kept = {key: made[key] for key in ("shape", "n_classes", "multiply_adds", "parameters")}
    for race_, title, wanted, settings in races:
        kept[race_] = race(title, case, wanted, rounds, patience, settings, layers=race_ == "all_cores")
        compare(python, case, kept[race_], made["n_classes"])
    if nephrite:
        kept["many_threads"] = plan_for_many(nephrite, case)
    return kept


def plan_for_many(nephrite: Path, case: Path) -> list:
    """Layers as they are cut for many threads; how long they take here says nothing."""
    command = [nephrite, "serve", "--model", case / "model", "--threads", report.MANY]
    asked = f"run {case / 'input.f32'} -\nlayers 1\n"
    answers = subprocess.run(list(map(str, command)), input=asked, check=True, stdout=subprocess.PIPE, text=True).stdout
    wanted = ("name", "tasks", "barriers", "bytes")
    return [{key: layer[key] for key in wanted} for layer in json.loads(answers.splitlines()[-1])]


def wrong(networks: dict) -> list:
    """What is not right, one a line."""
    found = []
    for name, network in networks.items():
        for race_ in (network[key] for key in report.RACES if key in network):
            found += [f"{race_['title']}: {error}" for who, error in race_["left_out"].items() if "bf16" not in who]
            for who, contestant in race_["contestants"].items():
                agreement = contestant["agreement"]
                if who == "nephrite" and not agreement["largest"] <= LARGEST_DIFFERENCE:  # nor NaN
                    found.append(f"{race_['title']}: logits of {who} differ by {agreement['largest']:.1e} of their spread")
        counted = sum(layer["multiply_adds"] for layer in network["all_cores"].get("layers", []))
        if counted not in (0, network["multiply_adds"]):
            found.append(f"{name}: layers have {counted} multiply-adds, the module {network['multiply_adds']}")
    return found


def roofline(nephrite: Path | None, threads: int) -> list:
    """What the machine could do at most, on one core and on all."""
    return [read_json([nephrite, "roofline", "--threads", n]) for n in sorted({1, threads})] if nephrite else []


def best(first, second):
    """The larger of all numbers: nothing exceeds a limit, but other work may keep a measurement below it."""
    match first:
        case dict():
            return {key: best(first[key], second[key]) for key in first}
        case list():
            return [best(*pair) for pair in zip(first, second)]
        case str():
            return first
        case _:
            return max(first, second)


def peer_python() -> Path:
    python = BUILD / "bench-venv/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", BUILD / "bench-venv"], check=True)
    if subprocess.run([python, "-c", "import openvino, torch"], stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
    return python


def machine(threads: int) -> dict:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "cpu": cpu.group(1) if cpu else platform.processor(), "cores": threads, "kernel": platform.release(),
        "commit": commit.stdout.strip(), "load": os.getloadavg(),
    }


def read_json(command: list):
    return json.loads(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--networks", default=",".join(NETWORKS), help="with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=int, default=3, help="at most so many times the rounds, until enough were quiet")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--nephrite", type=Path, default=target / "release/nephrite-bench-network")
    parser.add_argument("--peers-only", action="store_true", help="without nephrite")
    parser.add_argument("--out", type=Path, help="where the record goes")
    arguments = parser.parse_args()
    names = arguments.networks.split(",")
    if unknown := set(names) - set(NETWORKS):
        parser.error(f"no such network: {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    threads, nephrite = arguments.threads, None if arguments.peers_only else arguments.nephrite
    python = arguments.peer_python or peer_python()
    subprocess.run([python, "-W", "ignore", HERE / "make_inputs.py", CASES, *names], check=True)

    date = datetime.date.today().isoformat()
    record = {"date": date, "command": f"--networks {arguments.networks} --rounds {arguments.rounds}",
              "rounds": arguments.rounds, "machine": machine(threads), "networks": {}}
    before = roofline(nephrite, threads)
    for name in names:
        print(name, flush=True)
        record["networks"][name] = measure(python, nephrite, name, arguments.rounds, arguments.patience, threads)
    record["roofline"] = [best(*pair) for pair in zip(before, roofline(nephrite, threads))]
    text = report.tables(record)
    print(text)
    out = arguments.out or ROOT / f"benches/runs/{date}-network-{platform.machine()}-{threads}-cores"
    out.mkdir(parents=True, exist_ok=True)
    (out / "record.json").write_text(report.compact(record))
    (out / "README.md").write_text(report.readme(record))
    mistakes = wrong(record["networks"])
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
