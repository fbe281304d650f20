#!/usr/bin/env python3
"""Runs one case in the three placements on this machine, beside three nnUNetv2_predict processes, and keeps the figures.

    python3 benches/modes/run.py [--rounds 3] [--peer-python PYTHON] [--skip-peer] [--before NEPHRITE]

The case: a synthetic patient, three phases of 66 million voxels, three models, merge, cleanup, sample. Every round starts
the processes of a mode anew, sends the request, and stops them; rounds alternate the modes, and medians are quoted. Results:
a table on standard output and in `benches/runs/<date>-modes-<machine>/`.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DATA = ROOT / "build/bench-modes"
NEPHRITE = ROOT / "target/release/nephrite"
MASK_SERVICES = ROOT / "build/mask-services"
FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"
MODELS = {"artery": ("Dataset901_DemoArtery", "arterial"), "kidney": ("Dataset902_DemoKidney", "portal_venous"),
          "ureter": ("Dataset903_DemoUreter", "delayed")}
MODES = ("monolith", "hybrid", "microservices")
OPERATIONS = ("merge", "cleanup", "sample")


def pipeline(mirroring: bool) -> str:
    text = 'reference = "portal_venous"\n'
    for name, (dataset, phase) in MODELS.items():
        text += f'[[models]]\nid = "{name}"\nmodel = "models/{dataset}/{FOLDER}"\nphases = ["{phase}"]\n'
        text += f"no_mirroring = {'false' if mirroring else 'true'}\n"
    return text + '''[[masks]]
id = "merged"
operation = "merge"
inputs = { masks = ["kidney", "artery", "ureter"] }
[[masks]]
id = "all"
operation = "cleanup"
inputs = { mask = "merged" }
parameters = { min_volume_mm3 = 100.0 }
[[masks]]
id = "shapes"
operation = "sample"
inputs = { mask = "all" }
artefacts = true
[[save]]
step = "all"
file = "all.nii.gz"
'''


def five() -> str:
    text = ""
    for n in range(5):
        text += (f'[[models]]\nid = "m{n}"\nmodel = "models/Dataset91{n}_Copy/{FOLDER}"\nphases = ["portal_venous"]\n'
                 f'[[save]]\nstep = "m{n}"\nfile = "m{n}.nii.gz"\n')
    return text


def prepare() -> None:
    if not (DATA / "ready").exists():
        shutil.rmtree(DATA, ignore_errors=True)
        DATA.mkdir(parents=True)
        subprocess.run([NEPHRITE, "demo", "--output", DATA / "demo", "--quiet"], check=True)
        for folder in ("models", "scans", "results", "exchange"):
            (DATA / folder).mkdir()
        for dataset, phase in MODELS.values():
            shutil.copytree(DATA / "demo" / dataset, DATA / "models" / dataset)
            small = DATA / "demo" / f"scan_{phase}.nii.gz"
            shutil.copy(small, DATA / f"scans/small_{phase}.nii.gz")
            subprocess.run([NEPHRITE, "resize", "--input", small, "--output", DATA / f"scans/large_{phase}.nii.gz",
                            "--shape", "488,404,336", "--quiet"], check=True)
        for n in range(5):
            shutil.copytree(DATA / "models" / MODELS["kidney"][0], DATA / f"models/Dataset91{n}_Copy")
        (DATA / "ready").touch()
    shutil.rmtree(DATA / "results")
    (DATA / "results").mkdir()
    (DATA / "case.toml").write_text(pipeline(mirroring=False))
    (DATA / "mirrored.toml").write_text(pipeline(mirroring=True))
    (DATA / "five.toml").write_text(five())


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A server of a mode."""

    def __init__(self, name: str, program: list, config: str):
        self.name, self.program = name, program
        self.port = free_port()
        self.file = DATA / f"{name}.toml"
        self.file.write_text(f"listen = '127.0.0.1:{self.port}'\nroot = '.'\n{config}")
        self.child = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with open(DATA / f"{self.name}.log", "ab") as log:
            self.child = subprocess.Popen([*self.program, self.file], stdout=log, stderr=log)

    def wait(self) -> None:
        for _ in range(600):
            if subprocess.run([self.program[0], "health", "--config", self.file], capture_output=True).returncode == 0:
                return
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.name} ended: see {DATA / self.name}.log")
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not serve")

    def peak(self) -> int:
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+)", status).group(1)) * 1024

    def read_bytes(self) -> int:
        return int(re.search(r"rchar: (\d+)", Path(f"/proc/{self.child.pid}/io").read_text()).group(1))

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()


def processes(mode: str) -> list:
    """The server that takes requests comes last."""
    if mode == "monolith":
        return [core("core", "")]
    masks = [Process(name, [MASK_SERVICES, "--config"], f"operations = ['{name}']\n") for name in OPERATIONS]
    table = "exchange = 'exchange'\n" + "[operations]\n" + "".join(f"{p.name} = '{p.address}'\n" for p in masks)
    if mode == "hybrid":
        return [*masks, core("core", table)]
    owners = [core(f"{name}-core", "") for name in MODELS]
    cores = "".join(f"[[cores]]\nname = '{p.name}'\naddress = '{p.address}'\nmodels = ['models/{dataset}']\n"
                    for p, (dataset, _) in zip(owners, MODELS.values()))
    return [*masks, *owners, core("core", table + cores)]


def core(name: str, config: str) -> Process:
    return Process(name, [NEPHRITE, "serve", "--config"], config)


def stop(servers: list) -> None:
    for server in servers:
        if server.child and server.child.poll() is None:
            server.child.terminate()
    for server in servers:
        if server.child:
            server.child.wait(timeout=60)


def request(server: Process, output: str, plan: str = "case.toml", size: str = "large", extra: tuple = ()) -> tuple:
    """Seconds as the client sees them, and the record; raises CalledProcessError."""
    shutil.rmtree(DATA / "results" / output, ignore_errors=True)
    phases = ["portal_venous"] if plan == "five.toml" else [phase for _, phase in MODELS.values()]
    scans = [part for phase in phases for part in ("--scan", f"{phase}=scans/{size}_{phase}.nii.gz")]
    begin = time.perf_counter()
    subprocess.run([NEPHRITE, "run", "--server", server.address, "--pipeline", plan, *scans, "--output",
                    f"results/{output}", "--quiet", *extra], check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    return seconds, json.loads((DATA / f"results/{output}/record.json").read_text())


def hashes(output: str) -> dict:
    folder = DATA / "results" / output
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "record.json")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def one_round(mode: str) -> dict:
    servers = processes(mode)
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        seconds, record = request(servers[-1], mode)
        return {
            "seconds": seconds, "counters": record["counters"], "peak_bytes": sum(s.peak() for s in servers),
            "read_bytes": sum(s.read_bytes() for s in servers), "processes": len(servers), "files": hashes(mode),
        }
    finally:
        stop(servers)


def round_of(program: Path, mode: str) -> dict:
    """A round with another nephrite."""
    global NEPHRITE
    this, NEPHRITE = NEPHRITE, program
    try:
        return one_round(mode)
    finally:
        NEPHRITE = this


def recovery(mode: str) -> dict:
    """Kills one process, starts it again at once, and asks until a small case succeeds."""
    servers = processes(mode)
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        usual, _ = request(servers[-1], "usual", size="small")
        victims = [servers[-1]] if mode == "monolith" else [s for s in servers if s.name in ("cleanup", "kidney-core")]
        result = {"usual_seconds": usual}
        for victim in victims:
            victim.kill()
            begin = time.perf_counter()
            victim.start()
            while True:
                try:
                    request(servers[-1], "recovered", size="small")
                    break
                except subprocess.CalledProcessError:
                    time.sleep(0.02)
            result[victim.name] = time.perf_counter() - begin
        return result
    finally:
        stop(servers)


def sharing() -> dict:
    servers = processes("monolith")
    try:
        servers[0].start()
        servers[0].wait()
        seconds, record = request(servers[0], "five", "five.toml")
        stages = [step["work"]["stages"] for step in record["steps"] if step["work"]["kind"] == "model"]
        work = sum(seconds["inference"] + seconds["export"] for seconds in stages)
        return {"seconds": seconds, "network_and_export_seconds": work, "counters": record["counters"]}
    finally:
        stop(servers)


def quick(rounds: int) -> dict:
    """Full with mirroring against the profile quick, in a warm process, alternating."""
    servers = processes("monolith")
    try:
        servers[0].start()
        servers[0].wait()
        request(servers[0], "warm", "mirrored.toml", "small", ("--profile", "quick"))
        times = {"full": [], "quick": []}
        for _ in range(rounds):
            for profile in times:
                seconds, _ = request(servers[0], profile, "mirrored.toml", "small", ("--profile", profile))
                times[profile].append(seconds)
        return times
    finally:
        stop(servers)


def tree(pid: int) -> list:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        except (OSError, IndexError):
            continue
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


def peer(python: Path, name: str) -> dict:
    """One researcher's way: nnUNetv2_predict_from_modelfolder on one scan, in a process of its own."""
    dataset, phase = MODELS[name]
    inputs, output = DATA / f"peer-{name}", DATA / f"peer-{name}-out"
    shutil.rmtree(inputs, ignore_errors=True)
    shutil.rmtree(output, ignore_errors=True)
    inputs.mkdir()
    os.link(DATA / f"scans/large_{phase}.nii.gz", inputs / "case_0000.nii.gz")
    environment = {**os.environ, **{key: str(DATA) for key in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}}
    command = [python.parent / "nnUNetv2_predict_from_modelfolder", "-i", inputs, "-o", output, "-m",
               DATA / "models" / dataset / FOLDER, "-f", "0", "--disable_tta", "-device", "cpu", "-npp", "1", "-nps", "1"]
    begin = time.perf_counter()
    with open(DATA / f"peer-{name}.log", "wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    peak, read = 0, {}
    while child.poll() is None:
        resident = 0
        for pid in tree(child.pid):
            try:
                resident += int(re.search(r"RssAnon:\s*(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) * 1024
                read[pid] = int(re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text()).group(1))
            except (OSError, AttributeError):
                continue
        peak = max(peak, resident)
        time.sleep(0.05)
    if child.returncode != 0:
        raise RuntimeError(f"nnUNetv2 failed: see {DATA}/peer-{name}.log")
    return {"seconds": time.perf_counter() - begin, "peak_bytes": peak, "read_bytes": sum(read.values())}


def machine() -> dict:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {"cpu": cpu.group(1) if cpu else platform.processor(), "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "commit": commit.stdout.strip(), "load": os.getloadavg()}


def median(values) -> float:
    return statistics.median(list(values))


def spread(values: list) -> str:
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def mode_table(result: dict) -> list:
    lines = ["| | monolith | hybrid | microservices | three nnUNetv2_predict |", "|---|---|---|---|---|"]

    def row(what: str, of, peers: str = "") -> None:
        lines.append("| " + " | ".join([what, *(of(result["modes"][mode]) for mode in MODES), peers]) + " |")

    peers = result.get("peer")
    totals = [sum(one["seconds"] for one in round_.values()) for round_ in peers] if peers else []
    row("wall time, s", lambda rounds: spread([r["seconds"] for r in rounds]), spread(totals) if peers else "")
    base = median(r["seconds"] for r in result["modes"]["monolith"])
    row("ratio to monolith", lambda rounds: f"{median(r['seconds'] for r in rounds) / base:.3f}",
        f"{median(totals) / base:.2f}" if peers else "")
    memory = median(r["peak_bytes"] for r in result["modes"]["monolith"])
    peer_peak = max(one["peak_bytes"] for round_ in peers for one in round_.values()) if peers else 0
    row("processes", lambda rounds: str(rounds[0]["processes"]), "3, one after the other" if peers else "")
    row("peak memory, sum of processes, MB", lambda rounds: f"{median(r['peak_bytes'] for r in rounds) / 1e6:.0f}",
        f"{peer_peak / 1e6:.0f}, the largest of the three" if peers else "")
    row("ratio to monolith", lambda rounds: f"{median(r['peak_bytes'] for r in rounds) / memory:.3f}",
        f"{peer_peak / memory:.2f}" if peers else "")
    for what, key in (("scan reads", "scan_reads"), ("scan bytes read", "scan_bytes_read"),
                      ("bytes on the wire", None), ("largest message, bytes", "largest_message_bytes"),
                      ("masks by file", "exchange_files")):
        row(what, lambda rounds, key=key: str(rounds[0]["counters"][key] if key else
            rounds[0]["counters"]["wire_bytes_sent"] + rounds[0]["counters"]["wire_bytes_received"]))
    read = f"{median(sum(one['read_bytes'] for one in r.values()) for r in peers) / 1e6:.0f}" if peers else ""
    row("all bytes read by the processes, MB", lambda rounds: f"{median(r['read_bytes'] for r in rounds) / 1e6:.0f}", read)
    recovered = result["recovery"]
    lines.append("| small case after killing and restarting a process, s (undisturbed) | " + " | ".join(
        ", ".join(f"{name} {seconds:.2f}" for name, seconds in recovered[mode].items() if name != "usual_seconds")
        + f" ({recovered[mode]['usual_seconds']:.2f})" for mode in MODES) + " | |")
    return lines


def report(result: dict) -> str:
    files = [round_["files"] for rounds in result["modes"].values() for round_ in rounds]
    equal = all(f == files[0] for f in files)
    lines = ["# One case in three placements", "",
             f"`make bench-modes`, {result['rounds']} alternating rounds, medians (range). Three phases of 66 million voxels, three "
             "models without mirroring, merge, cleanup, sample. Processes are started anew for every round; loading models is in "
             "the time. Raw data: `record.json`.", ""]
    lines += [f"* {key}: {value}" for key, value in result["machine"].items()] + [""]
    lines += mode_table(result) + ["", "| what | measured |", "|---|---|"]
    lines.append(f"| output files of all rounds and modes | {len(files[0])} files each, "
                 f"{'byte-identical' if equal else 'DIFFERENT'} |")
    for mode, before in result.get("before", {}).items():
        now = result["modes"][mode]
        ratio = median(r["seconds"] for r in now) / median(r["seconds"] for r in before)
        same = all(a["files"] == b["files"] for a, b in zip(now, before))
        lines.append(f"| {mode}, wall time against the program before | ratio {ratio:.3f}, files "
                     f"{'byte-identical' if same else 'DIFFERENT'} |")
    five_ = result["five"]
    lines.append(f"| five models of equal grid on one scan, with mirroring | {five_['counters']['preprocessings']} preprocessing, "
                 f"{five_['counters']['scan_reads']} scan read, wall {five_['seconds']:.2f} s, "
                 f"{five_['seconds'] / five_['network_and_export_seconds']:.3f} × network and export |")
    times = result["quick"]["seconds"]
    lines.append(f"| `quick` against full with mirroring, 2.5 Mvoxel patient, warm | {spread(times['quick'])} s against "
                 f"{spread(times['full'])} s: {median(times['full']) / median(times['quick']):.1f} × faster |")
    for name, (full, fast) in result["quick"].get("dice", {}).items():
        lines.append(f"| Dice with the truth, {name} | full {full:.4f}, quick {fast:.4f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument("--before", type=Path, help="another nephrite, which runs every mode in turn with this one")
    arguments = parser.parse_args()
    os.chdir(DATA.parent.parent)
    prepare()
    result = {"machine": {**machine(), "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")},
              "rounds": arguments.rounds, "modes": {mode: [] for mode in MODES}}
    python = arguments.peer_python
    if not arguments.skip_peer and python is None:
        python = peer_python()
    for round_ in range(arguments.rounds):
        for mode in MODES:
            print(f"round {round_ + 1} of {arguments.rounds}: {mode}", flush=True)
            result["modes"][mode].append(one_round(mode))
            if arguments.before:
                before = result.setdefault("before", {}).setdefault(mode, [])
                before.append(round_of(arguments.before.resolve(), mode))
        if not arguments.skip_peer and round_ < arguments.peer_rounds:
            print("nnUNetv2_predict", flush=True)
            result.setdefault("peer", []).append({name: peer(python, name) for name in MODELS})
    result["recovery"] = {mode: recovery(mode) for mode in MODES}
    result["five"] = sharing()
    result["quick"] = {"seconds": quick(arguments.rounds)}
    if python is not None:
        dice = subprocess.run([python, HERE / "dice.py", DATA / "demo/truth.nii.gz", DATA / "results/full/all.nii.gz",
                               DATA / "results/quick/all.nii.gz", DATA / "results/full/record.json"],
                              check=True, capture_output=True, text=True)
        result["quick"]["dice"] = json.loads(dice.stdout)
    text = report(result)
    print(text)
    name = f"{result['machine']['date'][:10]}-modes-{platform.machine()}-{result['machine']['cores']}-cores"
    folder = ROOT / "benches/runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(text)
    (folder / "record.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"kept in {folder}")


def peer_python() -> Path:
    """The environment of `make bench-nnunet`, made if it is missing."""
    build = ROOT / "build/bench-venv"
    python = build / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", build], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE.parent / "peer/requirements.txt"], check=True)
    return python


if __name__ == "__main__":
    main()
