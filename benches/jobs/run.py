#!/usr/bin/env python3
"""Drives many simulated workers through both engines of jobs, and keeps the figures.

    cargo build --release -p nephrite-bench-jobs
    python3 benches/jobs/run.py [--engines sqlite,nats] [--bench PROGRAM] [--nats-server PROGRAM]

About twenty minutes, most of which pass in sleep. Results: tables on standard output and in
`benches/runs/<date>-jobs-<machine>/`. `plot.py` draws them.
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
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCALING = ["scaling"]
LOCKSTEP = ["scaling", "--workers", "1,64", "--spread", "0", "--jobs", "5"]
ONE_EACH = ["scaling", "--per-process", "1", "--jobs", "6"]
OTHERS = [["latency", "--seconds", "40"], ["fairness"], ["affinity"], ["churn"]]
RUNS = {"sqlite": [SCALING, LOCKSTEP, *OTHERS], "nats": [SCALING, ONE_EACH, LOCKSTEP, *OTHERS]}


def machine() -> dict:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {"cpu": cpu.group(1) if cpu else platform.processor(), "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "commit": commit.stdout.strip(), "load": os.getloadavg(), "nice": os.nice(0)}


def sync_ms(folder: Path, times: int = 300) -> dict:
    """What it takes to get 4 KiB onto the disk: every change of a job waits for one or more of these."""
    taken = []
    with open(folder / "sync", "wb", buffering=0) as file:
        for _ in range(times):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - begin) * 1e3)
    taken.sort()
    return {"p50": round(statistics.median(taken), 3), "p99": round(taken[int(times * 0.99)], 3)}


def version(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def busy_seconds() -> float:
    """CPU time that all processes of the machine have had."""
    numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(numbers) - numbers[3] - numbers[4]) / os.sysconf("SC_CLK_TCK")


def run_one(command: list, kept: Path) -> dict:
    """What a scenario found, with its table and how busy the machine was meanwhile; raises CalledProcessError."""
    kept.unlink(missing_ok=True)
    begin, busy = time.perf_counter(), busy_seconds()
    done = subprocess.run([*command[:1], "--keep", kept, *command[1:]], stdout=subprocess.PIPE, text=True, check=True)
    cores = (busy_seconds() - busy) / (time.perf_counter() - begin)
    [result] = json.loads(kept.read_text())
    return {**result, "machine_busy_cores": round(cores, 2), "table": done.stdout.strip()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", default="sqlite,nats")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--bench", type=Path, default=target / "release/nephrite-bench-jobs")
    parser.add_argument("--nats-server", type=Path, default=ROOT / "build/nats-server/nats-server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="scenarios, with commas: these anew, the others as today's record has them")
    arguments = parser.parse_args()
    date, about = datetime.date.today().isoformat(), machine()
    out = ROOT / f"benches/runs/{date}-jobs-{platform.machine()}-{about['cores']}-cores"
    wanted = [(engine, scenario) for engine in arguments.engines.split(",") for scenario in RUNS[engine]]
    results, failed = {}, []
    if arguments.only:
        wanted = [(engine, scenario) for engine, scenario in wanted if scenario[0] in arguments.only.split(",")]
        before = json.loads((out / "record.json").read_text())
        results = {(result["engine"], result["command"]): result for result in before["results"]}
    with tempfile.TemporaryDirectory(prefix="bench-jobs-") as folder:
        disk = sync_ms(Path(folder))
        for engine, scenario in wanted:
            command = [arguments.bench, "--engine", engine, "--nats-server", arguments.nats_server, "--state", folder,
                       "--seed", str(arguments.seed), *scenario]
            name = " ".join(scenario)
            try:
                results[engine, name] = {"command": name, **run_one(command, Path(folder) / "kept.json")}
            except subprocess.CalledProcessError:
                failed.append(f"{engine} {name}")
                continue
            print(about_one(results[engine, name]), flush=True)
    record = {"machine": about, "date": date, "nats_server": version(arguments.nats_server), "sync_ms": disk,
              "results": list(results.values())}
    out.mkdir(parents=True, exist_ok=True)
    (out / "record.json").write_text(compact(record))
    (out / "README.md").write_text(readme(record))
    for what in failed:
        print(f"failed: {what}", file=sys.stderr)
    return 1 if failed else 0


def about_one(result: dict) -> str:
    busy = result["machine_busy_cores"]
    others = f"the machine had {busy} cores busy" if busy is not None else f"load of the machine {result['load'][0]} to {result['load'][1]}"
    return f"{result['table']}\n\n`{result['command']}`; {others}.\n"


def readme(record: dict) -> str:
    about, disk = record["machine"], record["sync_ms"]
    first = f", the bench before it (`nice -n {about['nice']}`)" if about["nice"] < 0 else ""
    return (f"# Simulated workers, {record['date']}\n\n`python3 benches/jobs/run.py` on {about['cores']} cores of {about['cpu']}, "
            f"commit {about['commit']}; {record['nats_server']}, `sync_interval: always`; a synced write of 4 KiB takes "
            f"{disk['p50']} ms (p99 {disk['p99']} ms). Other work ran on the machine{first}: the busy cores below a table are of "
            "everything, those in it of the bench and its NATS server alone. `benches/jobs/README.md` says what is measured.\n\n"
            + "\n".join(map(about_one, record["results"])))


def compact(record: dict) -> str:
    """One line per row: lists of waits are long."""
    lines = json.dumps({**record, "results": []}, indent=1).removesuffix("[]\n}")
    results = []
    for result in record["results"]:
        head = json.dumps({key: value for key, value in result.items() if key != "rows"} | {"rows": []}).removesuffix("[]}")
        results.append(head + "[\n  " + ",\n  ".join(map(json.dumps, result["rows"])) + "]}")
    return lines + "[\n " + ",\n ".join(results) + "]\n}\n"


if __name__ == "__main__":
    sys.exit(main())
