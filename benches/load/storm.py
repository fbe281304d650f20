#!/usr/bin/env python3
"""Storm: two hundred requests at once at one server that may hold 2 GiB, with scans and resizes that do not fit.

    python3 benches/load/storm.py [--requests 200] [--gib 2] [--waiting 20] [--nephrite FILE] [--cap group|address-space|configured]

The cap is a control group of its own (version 1 or 2) where this user may make one, else a limit of the address space.
Exit code 1 if the server dies, or if a request ends as anything else than `ok`, `limit_exceeded` or `overloaded`.
"""

import argparse
import collections
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness

harness.in_client_environment()

import grpc  # noqa: E402
from server import Server  # noqa: E402

RUN, RESIZE, CASE = (f"nephrite.v1.{name}" for name in
                     ("SegmentationService/Run", "VolumeService/Resize", "CaseService/Run"))


def requests(n):
    """The n-th request, and whether it can ever fit."""
    shape = lambda side: {"x": side, "y": side, "z": side}  # noqa: E731
    segment = {"model": harness.ISO, "output": f"results/run{n}.nii.gz"}
    resize = {"input": "scans/small.nii.gz", "output": f"results/resized{n}.nii.gz"}
    return [
        (RUN, segment | {"input": ["scans/small.nii.gz"]}),
        (RUN, segment | {"input": ["scans/coarse.nii.gz"]}),  # a network grid of 10⁹ voxels
        (RUN, segment | {"input": ["scans/large.nii.gz"]}),  # 262 million voxels
        (RESIZE, resize | {"shape": shape(64)}),
        (RESIZE, resize | {"shape": shape(400)}),  # fits, but not many at once
        (RESIZE, resize | {"shape": shape(1000)}),
        (CASE, {"pipeline": "case.toml", "output": f"results/case{n}",
                "scans": [{"phase": "PHASE_PORTAL_VENOUS", "path": "scans/small.nii.gz"}]}),
        (RUN, segment | {"model": harness.DEMO, "input": ["scans/medium.nii.gz"], "options": {"mirroring": False}}),
    ][n % 8]


def make_group(limit: int):
    """A control group with this limit, and how to enter it; nothing where that is not allowed."""
    for base, file in ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max")):
        group = base / f"nephrite-storm-{os.getpid()}"
        try:
            if not base.is_dir():
                continue
            group.mkdir()
            (group / file).write_text(str(limit))
            return group
        except OSError:
            if group.is_dir():
                group.rmdir()
    return None


def oom_kills(group) -> int:
    for name in ("memory.events", "memory.oom_control"):
        file = group / name if group else None
        if file and file.exists():
            for line in file.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--waiting", type=int, default=20,
                        help="places in the server's queue; with as many as clients nothing is turned away at the door, and every request meets the memory budget")
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--cap", choices=("group", "address-space", "configured"), default="group")
    parser.add_argument("--nephrite", type=Path, default=harness.NEPHRITE)
    parser.add_argument("--data", type=Path, default=harness.ROOT / "build/bench-load")
    arguments = parser.parse_args()
    limit = int(arguments.gib * 2**30)
    harness.prepare(arguments.data, arguments.nephrite)
    group = make_group(limit) if arguments.cap == "group" else None
    cap = arguments.cap
    prefix, config = (), f"max_concurrent_runs = 4\nmax_waiting_runs = {arguments.waiting}\n"
    if group:
        prefix = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
    elif cap == "configured":
        config += f"max_memory_bytes = {limit}\n"
    else:
        cap = "address-space"
        prefix = ("prlimit", f"--as={limit}")
    process = harness.ServerProcess(arguments.nephrite, arguments.data, config, prefix)
    server = Server(process.address)

    def one(n):
        method, request = requests(n)
        try:
            list(server.call(method, request, 300))
            return "ok"
        except grpc.RpcError as error:
            codes = dict(error.trailing_metadata() or ())
            if codes.get("nephrite-error-code") == "overloaded":
                time.sleep(3)  # as a patient client would; the others go on
            return codes.get("nephrite-error-code", f"{error.code().name} {error.details()}"[:200])

    began = time.perf_counter()
    with ThreadPoolExecutor(arguments.clients) as clients:
        ends = collections.Counter(clients.map(one, range(arguments.requests)))
    seconds = time.perf_counter() - began
    alive, peak = process.is_alive(), process.figures()["peak_mb"] if process.is_alive() else 0
    kills = oom_kills(group)
    left = harness.leftovers(arguments.data)
    code = process.stop()
    if group:
        group.rmdir()
    print(f"{arguments.requests} requests in {seconds:.0f} s under {arguments.gib} GiB ({cap}): {dict(ends)}; peak {peak:.0f} MB; "
          f"alive: {alive}; killed by the kernel: {kills}; left over: {left}; exit code {code}")
    expected = {"ok", "limit_exceeded", "overloaded"}
    return int(not alive or kills > 0 or bool(left) or code != 0 or not set(ends) <= expected or ends["ok"] == 0)


if __name__ == "__main__":
    sys.exit(main())
