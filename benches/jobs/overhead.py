#!/usr/bin/env python3
"""What being a job costs: one demo case through `CaseService.Run`, at a server without jobs and at one that keeps them.

    python3 benches/jobs/overhead.py [--rounds 15] [--nats-server PROGRAM]

Both servers run on this machine all the time, with the same models in memory; rounds alternate between them, and each round's pair
is compared. With a NATS server, a server and a worker with that engine take part, too. Needs the data of `benches/modes/run.py`
(`make bench-modes`, or any earlier run of it). Prints medians and the median of the rounds' ratios.
"""

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "build/bench-modes"
NEPHRITE = ROOT / "target/release/nephrite"
PHASES = ("arterial", "portal_venous", "delayed")


def start(command: str, text: str, folder: Path, name: str) -> tuple[subprocess.Popen, str]:
    """A process with this configuration, and its address."""
    config = folder / f"{name}.toml"
    config.write_text(text)
    process = subprocess.Popen([NEPHRITE, command, "--config", config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    line = process.stdout.readline()
    if not line.startswith("listening on "):
        sys.exit(f"{name} does not start")
    while subprocess.run([NEPHRITE, "health", "--config", with_port(config, line)], capture_output=True).returncode != 0:
        time.sleep(0.1)
    return process, line.removeprefix("listening on ").strip()


def with_port(config: Path, line: str) -> Path:
    """The configuration with the port that the process took."""
    probe = config.with_suffix(".probe.toml")
    probe.write_text(config.read_text().replace("127.0.0.1:0", line.strip().removeprefix("listening on http://")))
    return probe


def run(address: str, output: str) -> float:
    """Seconds of one case."""
    scans = [f"--scan={phase}=scans/small_{phase}.nii.gz" for phase in PHASES]
    began = time.perf_counter()
    subprocess.run([NEPHRITE, "run", "--server", address, "--pipeline", "case.toml", *scans, "--output", output, "--quiet"], check=True)
    took = time.perf_counter() - began
    shutil.rmtree(DATA / output)
    return took


def nats(program: Path, folder: Path) -> tuple[subprocess.Popen, int]:
    """A NATS server that syncs every write, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "nats.conf"
    config.write_text(f'listen: 127.0.0.1:{port}\njetstream {{ store_dir: "{folder}/store", sync_interval: always }}\n')
    process = subprocess.Popen([program, "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    return process, port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--nats-server", type=Path, default=ROOT / "build/nats-server/nats-server")
    arguments = parser.parse_args()
    if not (DATA / "ready").exists():
        sys.exit("no data: run benches/modes/run.py once")
    processes = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = f'root = "{DATA}"\nlisten = "127.0.0.1:0"\nexchange = "exchange"\n'
        addresses = {}
        try:
            process, addresses["direct"] = start("serve", base, folder, "direct")
            processes.append(process)
            process, addresses["sqlite"] = start("serve", f'{base}[jobs]\nstate = "{folder}/state"\n', folder, "sqlite")
            processes.append(process)
            if arguments.nats_server.exists():
                process, port = nats(arguments.nats_server, folder)
                processes.append(process)
                jobs = f'{base}[jobs]\nengine = "nats"\nworkers = %d\n[jobs.nats]\nurl = "nats://127.0.0.1:{port}"\n'
                process, addresses["nats"] = start("serve", jobs % 0, folder, "front")
                processes.append(process)
                processes.append(start("worker", jobs % 1, folder, "worker")[0])
            took = {name: [] for name in addresses}
            for n in range(-1, arguments.rounds):  # the first loads the models
                for name, address in addresses.items():
                    seconds = run(address, f"results/overhead-{name}")
                    if n >= 0:
                        took[name].append(seconds)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()
    for name, seconds in took.items():
        ratios = [mine / direct for mine, direct in zip(seconds, took["direct"])]
        print(f"{name:8} median {statistics.median(seconds):7.3f} s   of rounds, against direct: {statistics.median(ratios):.4f}")
    print(json.dumps({"rounds": arguments.rounds, "seconds": took}))


if __name__ == "__main__":
    main()
