#!/usr/bin/env python3
"""Runs a case on a nephrite server, follows it, and prints what was found.

    client.py run --pipeline pipelines/demo.toml --scan arterial=scans/demo/arterial.nii.gz --output results/demo
    client.py estimate --pipeline pipelines/demo.toml --scan arterial=scans/demo/arterial.nii.gz
    client.py call nephrite.v1.ModelService/List '{}'
    client.py services

Only strings travel: paths are those of the server's shared volume, relative to its root.
"""

import argparse
import json
import os
import sys

import grpc
from google.protobuf import json_format

from server import Server

CASES = "nephrite.v1.CaseService"


def enum(prefix, word):
    """A word as protobuf's JSON has it: `arterial` is PHASE_ARTERIAL."""
    return f"{prefix}_{word.upper()}"


def word(prefix, enum):
    """The other way."""
    return enum.removeprefix(f"{prefix}_").lower()


def case(arguments):
    """The request of a case."""
    models, scans = [m.rpartition("=") for m in arguments.model], [s.partition("=") for s in arguments.scan]
    return {
        "pipeline": arguments.pipeline or "",
        "models": [{"model": model} | ({"phase": enum("PHASE", phase)} if phase else {}) for phase, _, model in models],
        "scans": [{"phase": enum("PHASE", phase), "path": path} for phase, _, path in scans],
        "steps": arguments.steps.split(",") if arguments.steps else [],
        "profile": enum("PROFILE", arguments.profile),
        "output": arguments.output or "",
    }


def run(server, arguments):
    done = None
    for event in server.call(f"{CASES}/Run", case(arguments), arguments.timeout):
        if arguments.json:
            print(json.dumps(event), flush=True)
        elif "progress" in event:
            print(progress_line(event["progress"]), flush=True)
        done = event.get("done", done)
    if done and not arguments.json:
        print_result(done)


def progress_line(progress):
    """One line about a step."""
    words = [progress["step"] + ":", word("STEP_STATE", progress.get("state", ""))]
    if "tiles_total" in progress:
        words.append(f"{progress.get('tiles_done', 0)} of {progress['tiles_total']} tiles")
    elif "stage" in progress:
        words.append(word("STAGE", progress["stage"]))
    if "seconds_left" in progress:
        words.append(f"{progress['seconds_left']:.1f} s left")
    if place := progress.get("place"):
        words.append(f"(at {place['name']}, {place['address']})" if "name" in place else "(in process)")
    if "reason" in progress:
        words.append(f"({progress['reason']})")
    return " ".join(words)


def print_result(done):
    """Labels with their volumes, then the files."""
    for mask in done.get("masks", []):
        print(f"\n{mask['path'] or mask['step']}")
        for label in mask.get("labels", []):
            print(f"  {label['id']:>3} {label['name']:<16} {word('LABEL_STATUS', label['status']):<10} {label.get('volume_ml', 0):8.1f} mL")
    print(f"\n{len(done.get('files', []))} files in {done['output']}, {done['total_seconds']:.1f} s")


def estimate(server, arguments):
    for answer in server.call(f"{CASES}/Estimate", {"request": case(arguments)}, arguments.timeout):
        print(json.dumps(answer, indent=2))


def call(server, arguments):
    for answer in server.call(arguments.method, json.loads(arguments.request), arguments.timeout):
        print(json.dumps(answer, indent=2), flush=True)


def services(server, arguments):
    print("\n".join(server.services()))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("NEPHRITE_SERVER", "127.0.0.1:7443"), help="host:port")
    parser.add_argument("--timeout", type=float, help="seconds until the case is given up")
    commands = parser.add_subparsers(required=True)
    for name, command in (("run", run), ("estimate", estimate)):
        sub = commands.add_parser(name)
        sub.set_defaults(command=command)
        sub.add_argument("--pipeline", help="pipeline file")
        sub.add_argument("--model", action="append", default=[], metavar="[PHASE=]DIR", help="instead of a pipeline")
        sub.add_argument("--scan", action="append", default=[], metavar="PHASE=FILE", help="one per contrast phase")
        sub.add_argument("--steps", help="only these, comma-separated, and what they need")
        sub.add_argument("--profile", default="full", choices=["full", "quick"])
        sub.add_argument("--output", help="result folder; must not exist")
        sub.add_argument("--json", action="store_true", help="print the events as they come")
    sub = commands.add_parser("call", help="any method, as grpcurl does")
    sub.set_defaults(command=call)
    sub.add_argument("method", metavar="SERVICE/METHOD")
    sub.add_argument("request", nargs="?", default="{}", metavar="JSON")
    commands.add_parser("services", help="what the server offers").set_defaults(command=services)
    return parser.parse_args()


def main():
    arguments = parse()
    try:
        arguments.command(Server(arguments.server), arguments)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except (KeyError, ValueError, json_format.Error) as error:  # no such method, no JSON, no such field
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
