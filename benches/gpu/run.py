#!/usr/bin/env python3
"""Compares nephrite with torch and nnunetv2 on a GPU, in one run on one machine, and keeps the figures.

    python3 benches/gpu/run.py [--parts network,cases,agreement,mixed,cards] [--rounds 3] [--part-seconds 1800]
                               [--peer-python PYTHON] [--time-network PROGRAM] [--scan CT.nii.gz] [--agreement MODEL SCAN]...

Parts: `network`, one patch; `cases`, a CT of 66 million voxels; `agreement`, masks beside those of nnunetv2 in f32; `mixed`, hundreds of
requests to one server; `cards`, a case of four models on several cards. What is missing is said in the tables as *not run*. Results: tables on standard output and in
`benches/runs/<date>-gpu-<card>/`. Exit code 1 if something is wrong, not if something is slow.
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import agreement
import card
import cards
import cases
import common
import mixed
import network
import peer
import serve
from common import ROOT

PARTS = {"network": ("One patch", network), "cases": ("Whole cases", cases), "agreement": ("Agreement", agreement),
         "mixed": ("Mixed requests", mixed), "cards": ("Several cards", cards)}


def machine(options) -> dict:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    here = card.find()
    return {
        **(here.about() if here else {"card": "none"}), "cpu": cpu.group(1) if cpu else platform.processor(),
        "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(), "load": os.getloadavg(),
        "nephrite": said(options.nephrite, "--version").split("\n")[0], "commit": commit(),
        "peers": peer.versions(options),
    }


def commit() -> str:
    """What was measured, as git names it; changes on top are said."""
    hash_ = said("git", "-C", ROOT, "rev-parse", "--short", "HEAD")
    changes = said("git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no")
    return hash_ if changes == "not known" else f"{hash_} with changes"


def said(*command) -> str:
    try:
        return subprocess.run(list(map(str, command)), capture_output=True, text=True).stdout.strip() or "not known"
    except OSError:
        return "not known"


def one_part(options, name: str) -> dict:
    title, module = PARTS[name]
    print(title, flush=True)
    common.start_clock(options)
    begin = time.monotonic()
    try:
        found = module.run(options)
    except common.NotRun as why:
        found = {"found": None, "text": f"not run: {why}", "wrong": []}
    except Exception as error:  # the other parts go on
        found = {"found": None, "text": f"not run: {type(error).__name__}: {error}", "wrong": [f"{name}: {type(error).__name__}: {error}"]}
    return found | {"seconds": time.monotonic() - begin}


def written(record: dict, command: str) -> str:
    facts = [f"* {key}: {value}" for key, value in record["machine"].items()]
    lines = ["# nephrite beside its peers on a GPU", "", f"`{command}`. Raw data: `record.json`.", "", *facts, f"* date: {record['date']}"]
    for name, part in record["parts"].items():
        lines += ["", f"## {PARTS[name][0]}", "", part["text"]]
    return "\n".join(lines) + "\n"


def keep(options, record: dict, command: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9]+", "-", record["machine"]["card"]).strip("-")
    folder = options.out or ROOT / f"benches/runs/{record['date'][:10]}-gpu-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in (("table.md", written(record, command)), ("record.json", json.dumps(record, indent=1, default=str) + "\n")):
        (folder / file).write_text(text.replace(f"{ROOT}/", "").replace(f"{ROOT.parent}/", "../"))
    return folder


def main() -> int:
    serve.harness.in_client_environment()
    parser = common.parser(__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas")
    parser.add_argument("--networks", default=",".join(network.NETWORKS), help="of part network")
    parser.add_argument("--time-network", type=Path, help="program that times one patch; see network.py")
    parser.add_argument("--cases", default=",".join(cases.CASES), help="of part cases")
    parser.add_argument("--peer-rounds", type=int, default=1, help="of nnunetv2 in part cases")
    parser.add_argument("--peer-cases", default=cases.PEER_CASES, help="cases that nnunetv2 runs, too")
    parser.add_argument("--peer-until", choices=("inference", "write"), default="write", help="last stage of nnunetv2 in part cases")
    parser.add_argument("--agreement", nargs=2, action="append", metavar=("MODEL", "SCAN"), help="instead of the default pairs")
    mixed.add_options(parser)
    cards.add_options(parser)
    parser.add_argument("--out", type=Path, help="where the record goes")
    options = parser.parse_args()
    for given, known in ((options.parts, PARTS), (options.networks, network.NETWORKS), (options.cases, cases.CASES)):
        if unknown := set(given.split(",")) - set(known):
            parser.error(f"not known: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    common.settle(options)
    date = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    record = {"date": date, "machine": machine(options), "parts": {}}
    command = f"make bench-gpu, rounds {options.rounds}, provider {options.provider}{', small' if options.small else ''}"
    for name in options.parts.split(","):
        record["parts"][name] = one_part(options, name)
        folder = keep(options, record, command)  # so that an interrupted run leaves what it has
    print(written(record, command))
    print(f"kept in {folder}")
    mistakes = [mistake for part in record["parts"].values() for mistake in part["wrong"]]
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return int(bool(mistakes))


if __name__ == "__main__":
    sys.exit(main())
