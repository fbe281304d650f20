#!/usr/bin/env python3
"""Soak: a thousand mixed requests at one server; memory, descriptors and threads must stay level.

    python3 benches/load/soak.py [--requests 1000] [--clients 3] [--nephrite FILE] [--preload LIBRARY]

Runs, cases, resizes, inspections, cancels, killed clients and bad input, in a fixed order. Figures are taken while nothing
runs, every hundred requests. Exit code 1 if memory at the end is over 1.02 times that after the first hundred, if
descriptors or threads grow, if anything is left over, or if a request ends in a way that it should not.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness

harness.in_client_environment()

import grpc  # noqa: E402
from server import Server  # noqa: E402

RUN, CASE = "nephrite.v1.SegmentationService/Run", "nephrite.v1.CaseService/Run"
GROWTH = 1.02


def answers(server, method, request, timeout=60):
    return list(server.call(method, request, timeout))


def run(server, n, scan="scans/small.nii.gz", **more):
    return answers(server, RUN, {"model": harness.ISO, "input": [scan], "output": f"results/run{n}.nii.gz", **more})


def case(server, n):
    return answers(server, CASE, {"pipeline": "case.toml", "output": f"results/case{n}", "scans": [
        {"phase": "PHASE_PORTAL_VENOUS", "path": "scans/small.nii.gz"}]})


def resize(server, n):
    answers(server, "nephrite.v1.VolumeService/Resize", {
        "input": "scans/medium.nii.gz", "output": f"results/resized{n}.nii.gz", "shape": {"x": 60, "y": 60, "z": 50}})


def inspect(server, _):
    answers(server, "nephrite.v1.ModelService/Inspect", {"model": harness.ISO})
    answers(server, "nephrite.v1.VolumeService/Inspect", {"input": "scans/medium.nii.gz"})


def cancel(server, n):
    """Goes away after the first events."""
    stream = server.call(RUN, {"model": harness.DEMO, "input": ["scans/medium.nii.gz"],
                               "output": f"results/cancelled{n}.nii.gz"}, 60)
    for _, _event in zip(range(3), stream):
        pass
    stream.close()


def deadline(server, n):
    try:
        answers(server, RUN, {"model": harness.DEMO, "input": ["scans/medium.nii.gz"],
                              "output": f"results/late{n}.nii.gz"}, 0.3)
    except grpc.RpcError:
        return
    raise AssertionError("0.3 s were enough")


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    raise AssertionError("bad input was accepted")


def bad_input(server, n):
    refused(lambda: run(server, n, scan="scans/broken.nii.gz"))
    refused(lambda: run(server, n, scan="scans/none.nii.gz"))
    refused(lambda: run(server, n, tile_step_size=1e-12))
    refused(lambda: run(server, n, scan="../outside.nii.gz"))


KINDS = {run: 40, case: 20, resize: 10, inspect: 8, cancel: 8, deadline: 4, bad_input: 10}


def killed_client(process, n):
    """A client process that dies in the middle of its request."""
    client = subprocess.Popen(
        [process.nephrite, "run", "--server", f"http://{process.address}", "--pipeline", "case.toml", "--scan",
         "portal_venous=scans/medium.nii.gz", "--output", f"results/killed{n}", "--quiet"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.15)
    client.kill()
    client.wait()


def settled(process, seconds=20):
    """Figures once the server has nothing to do."""
    before = None
    for _ in range(int(seconds / 0.5)):
        time.sleep(0.5)
        text = Path(f"/proc/{process.child.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        busy = (int(text[11]), int(text[12]))
        if busy == before:
            break
        before = busy
    return process.figures()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--nephrite", type=Path, default=harness.NEPHRITE)
    parser.add_argument("--preload", help="a library such as an allocator, for comparing")
    parser.add_argument("--arenas", help="MALLOC_ARENA_MAX, for comparing")
    parser.add_argument("--data", type=Path, default=harness.ROOT / "build/bench-load")
    arguments = parser.parse_args()
    harness.prepare(arguments.data, arguments.nephrite)
    environment = {key: value for key, value in
                   (("LD_PRELOAD", arguments.preload), ("MALLOC_ARENA_MAX", arguments.arenas)) if value}
    process = harness.ServerProcess(arguments.nephrite, arguments.data,
                                    "max_concurrent_runs = 2\nmax_waiting_runs = 64\n", environment=environment)
    server = Server(process.address)
    order = random.Random(7).choices(list(KINDS), list(KINDS.values()), k=arguments.requests)
    failures, rows = [], []

    def one(n):
        kind = order[n]
        try:
            kind(server, n)
        except Exception as error:  # counted, and told
            failures.append(f"{kind.__name__} {n}: {type(error).__name__} {error}")

    began = time.perf_counter()
    with ThreadPoolExecutor(arguments.clients) as clients:
        for hundred in range(arguments.requests // 100):
            first = hundred * 100
            list(clients.map(one, range(first, first + 97)))
            for n in range(first + 97, first + 100):
                killed_client(process, n)
            rows.append({"requests": first + 100, "seconds": time.perf_counter() - began, **settled(process)})
            print(json.dumps(rows[-1]), flush=True)
    seconds = rows[-1]["seconds"]
    left = harness.leftovers(arguments.data)
    code = process.stop()
    growth = rows[-1]["rss_mb"] / rows[0]["rss_mb"]
    level = all(rows[-1][key] <= max(row[key] for row in rows[:3]) for key in ("threads", "descriptors"))
    for failure in failures[:10]:
        print(failure)
    print(f"{arguments.requests} requests in {seconds:.0f} s; memory {rows[0]['rss_mb']:.1f} → {rows[-1]['rss_mb']:.1f} MB "
          f"({growth:.3f}), peak {rows[-1]['peak_mb']:.0f} MB; threads and descriptors level: {level}; "
          f"left over: {left}; {len(failures)} unexpected ends; exit code {code}")
    return int(growth > GROWTH or not level or bool(left) or bool(failures) or code != 0)


if __name__ == "__main__":
    sys.exit(main())
