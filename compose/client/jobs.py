"""The commands about jobs: cases that were submitted, and go on whoever watches."""

import json
import sys
import time

import grpc

from words import enum, progress_line, word

JOBS = "nephrite.v1.JobService"
PRIORITIES = ["high", "normal", "low"]

# Seconds that a server which went away is waited for, and between two tries.
AWAY, PAUSE = 60, 0.5


def job_line(job):
    """One line about a job."""
    state, priority = word("JOB_STATE", job["state"]), word("JOB_PRIORITY", job["priority"])
    tries = f"{job.get('attempts', 0)}/{job['max_attempts']}"
    words = [f"{job['id']} {state:<9} {priority:<6} {tries} {job['request']['output']}"]
    if "place" in job:
        words.append(f"(place {job['place']})")
    if "blocked" in job:
        words.append(f"(blocked: {job['blocked']})")
    if "worker" in job:
        words.append(f"({job['worker']})")
    if "cancel_requested" in job and state == "running":
        words.append("(stops)")
    if "error" in job:
        words.append(f"({job['error']['message']})")
    return " ".join(words)


def list_jobs(server, arguments):
    states = arguments.state.split(",") if arguments.state else []
    request = {"states": [enum("JOB_STATE", state) for state in states]}
    if arguments.tenant is not None:
        request["tenant"] = arguments.tenant
    if arguments.priority:
        request["priority"] = enum("JOB_PRIORITY", arguments.priority)
    left = arguments.limit
    while left > 0:
        (page,) = server.call(f"{JOBS}/List", request | {"page_size": min(left, 1000)}, arguments.timeout)
        jobs = page.get("jobs", [])
        for job in jobs:
            print(json.dumps(job) if arguments.json else job_line(job))
        left -= len(jobs)
        request["page_token"] = page.get("next_page_token")
        if not request["page_token"]:
            return


def get(server, job, timeout):
    (answer,) = server.call(f"{JOBS}/Get", {"id": job}, timeout)
    return answer["job"]


def show(server, arguments):
    print(json.dumps(get(server, arguments.id, arguments.timeout), indent=2))


def watch(server, arguments):
    """Until the job has ended. A server that went away is asked again, for what came after the last event that is known."""
    after, away = arguments.after, None
    until = time.monotonic() + arguments.timeout if arguments.timeout else None
    while True:
        timeout = max(until - time.monotonic(), 0) if until else None
        try:
            for event in server.call(f"{JOBS}/Watch", {"id": arguments.id, "after_sequence": after}, timeout):
                after, away = int(event["sequence"]), None
                print_event(event, arguments.json)
            job = get(server, arguments.id, timeout)
            if job["state"] not in ("JOB_STATE_QUEUED", "JOB_STATE_RUNNING"):
                break
        except grpc.RpcError as error:
            away = away or time.monotonic()
            if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() - away > AWAY:
                raise
        time.sleep(PAUSE)
    if job["state"] != "JOB_STATE_SUCCEEDED":
        sys.exit(job_line(job))


def print_event(event, as_json):
    if as_json:
        print(json.dumps(event), flush=True)
    elif "progress" in event:
        print(progress_line(event["progress"]), flush=True)
    elif "state" in event:
        print(state_line(event["state"]), flush=True)


def state_line(change):
    """One line about a job whose state changed."""
    words = [word("JOB_STATE", change["state"])]
    if "worker" in change:
        words.append(f"(try {change['attempt']}, at {change['worker']})")
    if "reason" in change:
        words.append(f"({change['reason']})")
    return " ".join(words)


def change(server, arguments):
    for job in arguments.id:
        (answer,) = server.call(f"{JOBS}/{arguments.method}", {"id": job}, arguments.timeout)
        print(json.dumps(answer["job"]) if arguments.json else job_line(answer["job"]))


def purge(server, arguments):
    request = {"ids": arguments.id, "with_results": arguments.with_results}
    (answer,) = server.call(f"{JOBS}/Purge", request, arguments.timeout)
    for job in answer["jobs"]:
        words = ["forgotten" if "purged" in job else "kept"]
        if "result_removed" in job:
            words.append("result folder removed")
        if "error" in job:
            words.append(job["error"]["message"])
        print(json.dumps(job) if arguments.json else f"{job['id']} {', '.join(words)}")
    if any("error" in job for job in answer["jobs"]):
        sys.exit(1)


def add_jobs(parser):
    """Declares the commands."""
    commands = parser.add_subparsers(required=True)

    def add(name, command, help):
        sub = commands.add_parser(name, help=help)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="one object a line")
        return sub

    sub = add("list", list_jobs, "jobs, the youngest first")
    sub.add_argument("--state", help="only these, comma-separated")
    sub.add_argument("--tenant")
    sub.add_argument("--priority", choices=PRIORITIES)
    sub.add_argument("--limit", type=int, default=50, metavar="N")
    add("show", show, "everything about a job, as JSON").add_argument("id")
    sub = add("watch", watch, "follow a job to its end; fails if the job does")
    sub.add_argument("id")
    sub.add_argument("--after", type=int, default=0, metavar="SEQUENCE", help="of the last event that is known")
    for name, method, help in (("cancel", "Cancel", "stop jobs"), ("retry", "Retry", "put jobs into the queue again")):
        sub = add(name, change, help)
        sub.set_defaults(method=method)
        sub.add_argument("id", nargs="+")
    sub = add("purge", purge, "forget jobs that have ended")
    sub.add_argument("id", nargs="+")
    sub.add_argument("--with-results", action="store_true", help="remove their result folders, too")
