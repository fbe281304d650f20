#!/usr/bin/env python3
"""Runs a case on a nephrite server, follows it, and prints what was found.

    client.py run --pipeline pipelines/demo.toml --scan arterial=scans/demo/arterial.nii.gz --output results/demo
    client.py estimate --pipeline pipelines/demo.toml --scan arterial=scans/demo/arterial.nii.gz
    client.py mask --output results/demo --step kidney --save kidney.npz
    client.py call nephrite.v1.ModelService/List '{}'
    client.py services

Paths are those of the server's shared volume, relative to its root; what `mask` saves is written here.
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
        print(f"\n{done['output']}/{mask['file']}" if "file" in mask else f"\n{mask['step']}")
        for label in mask.get("labels", []):
            print(label_line(label["id"], label["name"], label["status"], label.get("volume_ml", 0)))
    n_files = len(done.get("files", []))
    print(f"\n{n_files} file{'s' if n_files != 1 else ''} in {done['output']}, {done['total_seconds']:.1f} s")


def label_line(label, name, status, volume_ml):
    return f"  {label:>3} {name:<16} {word('LABEL_STATUS', status):<10} {volume_ml:8.1f} mL"


def mask(server, arguments):
    from mask import decode, save, voxel_ml  # no other command needs numpy

    request = {"output": arguments.output, "step": arguments.step}
    (answer,) = server.messages(f"{CASES}/GetMask", request, arguments.timeout)
    ids, voxels = decode(answer.mask)
    if arguments.save:
        save(arguments.save, answer.mask, ids)
    ml = voxel_ml(answer.mask)
    print(f"{arguments.output}/{answer.file}, {' x '.join(map(str, ids.shape))} voxels (z, y, x)")
    statuses = answer.mask.DESCRIPTOR.fields_by_name["labels"].message_type.fields_by_name["status"].enum_type
    for label in answer.mask.labels:
        status = statuses.values_by_number[label.status].name
        print(label_line(label.id, label.name, status, voxels[label.id] * ml))


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
    sub = commands.add_parser("mask", help="a mask of a case that is done")
    sub.set_defaults(command=mask)
    sub.add_argument("--output", required=True, help="result folder of the case")
    sub.add_argument("--step", required=True, help="whose mask")
    sub.add_argument("--save", metavar="FILE.npz", help="write ids, affine and labels")
    sub = commands.add_parser("call", help="any method, as grpcurl does")
    sub.set_defaults(command=call)
    sub.add_argument("method", metavar="SERVICE/METHOD")
    sub.add_argument("request", nargs="?", default="{}", metavar="JSON")
    commands.add_parser("services", help="what the server offers").set_defaults(command=services)
    return parser.parse_args()


def failure_line(error):
    """`CODE (nephrite-error-code): message`; statuses that the client makes itself have no such entry."""
    name = dict(error.trailing_metadata() or ()).get("nephrite-error-code")
    return f"{error.code().name}{f' ({name})' if name else ''}: {error.details()}"


def main():
    arguments = parse()
    try:
        arguments.command(Server(arguments.server), arguments)
    except grpc.RpcError as error:
        sys.exit(failure_line(error))
    except (KeyError, ValueError, json_format.Error) as error:  # no such method, no JSON, no such field
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
