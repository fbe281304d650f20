#!/usr/bin/env python3
"""Runs a case on a nephrite server, follows it, and prints what was found.

    client.py run --pipeline pipelines/demo.toml --scan arterial=scans/demo/arterial.nii.gz --output results/demo
    client.py estimate --pipeline pipelines/demo.toml --scan arterial=scans/demo/arterial.nii.gz
    client.py mask --output results/demo --step kidney --save kidney.npz
    client.py submit --pipeline pipelines/demo.toml --scan arterial=scans/demo/arterial.nii.gz --output results/demo
    client.py jobs list --state queued,running
    client.py jobs watch 0123456789abcdef0123456789abcdef
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

from jobs import JOBS, PRIORITIES, add_jobs
from server import Server
from words import enum, progress_line, word

CASES = "nephrite.v1.CaseService"


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
        "check_phases": arguments.check_phase,
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


def submit(server, arguments):
    names = ("key", "tenant", "capability", "max_attempts", "deadline_seconds")
    given = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    request = {"request": case(arguments), "reuse": arguments.reuse} | given
    if arguments.priority:
        request["priority"] = enum("JOB_PRIORITY", arguments.priority)
    (answer,) = server.call(f"{JOBS}/Submit", request, arguments.timeout)
    print(json.dumps(answer, indent=2) if arguments.json else answer["job"]["id"])


def estimate(server, arguments):
    for answer in server.call(f"{CASES}/Estimate", {"request": case(arguments)}, arguments.timeout):
        print(json.dumps(answer, indent=2))


def call(server, arguments):
    for answer in server.call(arguments.method, json.loads(arguments.request), arguments.timeout):
        print(json.dumps(answer, indent=2), flush=True)


def services(server, arguments):
    print("\n".join(server.services()))


def add_case(sub):
    sub.add_argument("--pipeline", help="pipeline file")
    sub.add_argument("--model", action="append", default=[], metavar="[PHASE=]DIR", help="instead of a pipeline")
    sub.add_argument("--scan", action="append", default=[], metavar="PHASE=FILE|DIR[#UID]", help="one per contrast phase")
    sub.add_argument("--steps", help="only these, comma-separated, and what they need")
    sub.add_argument("--profile", default="full", choices=["full", "quick"])
    sub.add_argument("--check-phase", action="store_true", help="refuse a scan whose DICOM tags contradict its phase")
    sub.add_argument("--output", help="result folder; must not exist")
    sub.add_argument("--json", action="store_true", help="print what the server sends, as it comes")


def add_job(sub):
    sub.add_argument("--key", help="the same key again is the same job [default: a hash of the case]")
    sub.add_argument("--priority", choices=PRIORITIES)
    sub.add_argument("--deadline", dest="deadline_seconds", type=float, metavar="SECONDS", help="until the job must have ended")
    sub.add_argument("--tenant", help="whose job it is")
    sub.add_argument("--capability", help="what its worker must have")
    sub.add_argument("--max-attempts", type=int, metavar="N", help="tries that it may have")
    sub.add_argument("--reuse", action="store_true", help="take the result of an equal case, if there is one")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("NEPHRITE_SERVER", "127.0.0.1:7443"), help="host:port")
    parser.add_argument("--timeout", type=float, help="seconds until the case is given up")
    commands = parser.add_subparsers(required=True)
    for name, command in (("run", run), ("estimate", estimate), ("submit", submit)):
        sub = commands.add_parser(name)
        sub.set_defaults(command=command)
        add_case(sub)
        if command is submit:
            add_job(sub)
    add_jobs(commands.add_parser("jobs", help="what became of cases that were submitted"))
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
