#!/usr/bin/env python3
"""Part `mixed`: hundreds of mixed requests to one server, some cancelled in mid-run.

    python3 benches/gpu/mixed.py [--requests 200] [--clients 2] [--provider cuda] [--small] [--json OUT]

Models, scans, folds, mirroring, and on a card precision change in a fixed random order, the same in every quarter.
Memory must level off: the most that card and host held in the last quarter is compared with that in the second. Equal requests must
give equal bytes. Exit code 1 if memory grew, if bytes differ, if a request ends otherwise than it should, or if the server dies.
"""

import datetime
import hashlib
import json
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import common
import peer
import serve
import watch
from common import FOLDER, ROOT, NotRun, not_run, seconds_left, spread, table

GOLDEN = ROOT / "tests/golden"
GROWTH = 1.05  # two large requests may meet in one quarter and not in the other
CANCELLED = 0.1  # of the requests
# Of a request; none is that of the server. Half precision is what a server on a card takes by itself.
PRECISIONS = {"cuda": [None, "tf32", "f32"]}
HEADER = ["what", "measured"]


def recipes(options) -> list:
    """Requests that differ: model, scan, and options."""
    demo = peer.demo(options)
    iso = serve.beneath(options.data, GOLDEN / "models/Dataset901_Iso" / FOLDER, "agreement/Dataset901_Iso")
    small = serve.beneath(options.data, GOLDEN / "cases/iso3d/input_0000.nii.gz", "agreement/iso3d")
    medium = demo / "scan_portal_venous.nii.gz"
    kidney, artery = demo / "Dataset902_DemoKidney" / FOLDER, demo / "Dataset901_DemoArtery" / FOLDER
    found = [(kidney, medium, ["0"], True), (artery, demo / "scan_arterial.nii.gz", ["0"], True), (kidney, medium, ["0"], False),
             (artery, demo / "scan_arterial.nii.gz", ["0"], False), (iso, small, ["0"], False), (iso, small, ["0", "1"], True)]
    try:
        models = {name: peer.model(options, name) for name in ("plain", "plain118", "resenc")}
        scan = peer.inputs(options) / "scan.nii.gz"
        found = [(models["plain"], scan, ["0"], True), (models["resenc"], scan, ["0"], False), *found,
                 *((models[name], medium, ["0"], False) for name in models)]
    except NotRun as why:
        print(f"  without the networks of the cases: {why}", flush=True)
    return [{"model": model, "scan": scan, "folds": folds, "options": {"mirroring": mirroring, "precision": precision}}
            for model, scan, folds, mirroring in found for precision in PRECISIONS.get(options.provider, [None])]


class Soak:
    def __init__(self, options, server: serve.Warm):
        self.options, self.server = options, server
        self.recipes = recipes(options)
        chance = random.Random(7)
        quarter, every = max(1, options.requests // 4), range(len(self.recipes))
        # A scan of 66 million voxels with mirroring takes as long as a hundred others.
        weights = [1 if one["scan"].name == "scan.nii.gz" else 6 for one in self.recipes]
        chosen = [*every, *chance.choices(every, weights, k=max(0, quarter - len(every)))]
        chance.shuffle(chosen)
        long = [n for n, one in enumerate(self.recipes) if one["options"]["mirroring"] and one["scan"].parent.name != "iso3d"]
        slowest = [n for n in long if self.recipes[n]["options"]["precision"] == "f32" and self.recipes[n]["scan"].name == "scan.nii.gz"]
        long = slowest or long  # others may have ended before they hear of it
        given_up = {n: chance.choice(long) for n in range(quarter) if chance.random() < CANCELLED}
        self.order = [chosen[n % quarter] for n in range(options.requests)]
        self.cancelled = {n: given_up[n % quarter] for n in range(options.requests) if n % quarter in given_up}
        self.lock = threading.Lock()
        self.spans, self.hashes, self.failures, self.cancels, self.late = {}, {}, [], [], 0

    def one(self, n: int) -> None:
        import grpc

        if time.monotonic() > self.options.deadline or not self.server.process.is_alive():
            return
        begin = time.monotonic()
        try:
            self.cancel(n, self.cancelled[n]) if n in self.cancelled else self.whole(n, self.order[n])
        except grpc.RpcError as error:
            self.failures.append(f"request {n}: {serve.refusal(error)}"[:300])
        self.spans[n] = (begin, time.monotonic())
        if n % 25 == 24:
            print(f"  request {n + 1}: host {(watch.resident(self.server.pid) or 0) / 1e6:.0f} MB", flush=True)

    def start(self, n: int, index: int):
        one, output = self.recipes[index], self.options.data / f"results/mixed{n}.nii.gz"
        return output, self.server.events(one["model"], [one["scan"]], output, 600, one["folds"], **one["options"])

    def whole(self, n: int, index: int) -> None:
        output, events = self.start(n, index)
        for _ in events:
            pass
        found = hashlib.sha256(output.read_bytes()).hexdigest()
        output.unlink()
        with self.lock:
            self.hashes.setdefault(index, []).append(found)

    def cancel(self, n: int, index: int) -> None:
        """Goes away after the first tile; when its work has ended is in the log of the server."""
        output, events = self.start(n, index)
        request = None
        for event in events:
            request = event.get("accepted", {}).get("request_id", request)
            if "progress" in event:
                break
        at = time.time()
        events.close()
        for _ in range(3000):
            if output.exists():  # was done before it heard of it
                break
            if ended := self.ended(request):
                self.cancels.append(max(0.0, ended - at))
                return
            time.sleep(0.02)
        self.late += output.exists()
        if not output.exists():
            self.failures.append(f"request {n} was cancelled, and had not ended after a minute")
        output.unlink(missing_ok=True)

    def ended(self, request: str) -> float | None:
        for line in self.server.process.log.read_text().splitlines():
            if request in line and '"run ended"' in line:
                stamp = json.loads(line)["timestamp"].replace("Z", "+00:00")
                return datetime.datetime.fromisoformat(stamp).timestamp()
        return None


def quarters(spans: dict, requests: int) -> list:
    """From begin to end of the second and of the last quarter of the requests."""
    found = []
    for first, last in ((requests // 4, requests // 2), (3 * requests // 4, requests)):
        inside = [span for n, span in spans.items() if first <= n < last]
        if not inside:
            raise NotRun("out of time before the last quarter (--part-seconds)")
        found.append((min(begin for begin, _ in inside), max(end for _, end in inside)))
    return found


def growth(peak, spans: dict, requests: int) -> dict | None:
    """Most in the second and in the last quarter, bytes; none if it cannot be told."""
    try:
        values = [peak(*quarter) for quarter in quarters(spans, requests)]
    except NotRun:
        return None
    if None in values:
        return None
    return {"second_quarter_bytes": values[0], "last_quarter_bytes": values[1], "ratio": values[1] / values[0] if values[0] else None}


def measure(options) -> dict:
    seconds_left(options)
    config = f"max_concurrent_runs = {options.clients}\nmax_waiting_runs = 64\nlog_format = 'json'\n{serve.random_weights(options)}"
    card = watch.card.find()
    before = card.used_bytes() if card else None
    server = serve.Warm(options, options.precision, config=config)
    sampler = watch.Sampler(server.pid)
    sampler.before = before
    begin = time.monotonic()
    try:
        soak = Soak(options, server)
        with ThreadPoolExecutor(options.clients) as clients:
            list(clients.map(soak.one, range(options.requests)))
        alive = server.process.is_alive()
    finally:
        sampler.stop()
        server.stop()
    left = serve.harness.leftovers(options.data / "results")
    return {
        "requests": options.requests, "done": len(soak.spans), "seconds": time.monotonic() - begin, "alive": alive,
        "recipes": len(soak.recipes), "repeated": sum(len(found) > 1 for found in soak.hashes.values()),
        "unequal": [str(soak.recipes[index]) for index, found in soak.hashes.items() if len(set(found)) > 1],
        "failures": soak.failures, "left_over": left, "cancel_seconds": soak.cancels, "cancelled_too_late": soak.late,
        "card": growth(sampler.device_peak, soak.spans, options.requests) if options.provider != "cpu" else None,
        "host": growth(sampler.resident_peak, soak.spans, options.requests),
        "card_peak_bytes": sampler.device_peak(), "host_peak_bytes": sampler.resident_peak(),
    }


def enough(found: dict) -> bool:
    """Whether every kind of request is in every quarter, so that these can be compared."""
    return found["requests"] // 4 >= found["recipes"]


def wrong(found: dict) -> list:
    """What is not right, one a line."""
    mistakes = [f"mixed: {failure}" for failure in found["failures"]]
    mistakes += [f"mixed: equal requests gave unequal bytes: {recipe}" for recipe in found["unequal"]]
    for what in ("card", "host"):
        if enough(found) and found[what] and (found[what]["ratio"] or 0) > GROWTH:
            mistakes.append(f"mixed: memory of the {what} grew by a factor of {found[what]['ratio']:.3f}")
    if found["left_over"]:
        mistakes.append(f"mixed: left over: {found['left_over']}")
    if not found["alive"]:
        mistakes.append("mixed: the server died")
    return mistakes


def rows(found: dict) -> list:
    def level(what: str) -> list:
        memory = found[what]
        if not memory:
            return not_run([f"most memory of the {what}"], 2, "not known, or out of time")
        ratio = f" ({memory['ratio']:.3f})" if memory["ratio"] else ""
        ratio += "" if enough(found) else "; too few requests to compare them"
        return [f"most memory of the {what}, second and last quarter",
                f"{memory['second_quarter_bytes'] / 1e6:.0f} MB, {memory['last_quarter_bytes'] / 1e6:.0f} MB{ratio}"]

    cancels = found["cancel_seconds"]
    return [
        ["requests done, of", f"{found['done']} of {found['requests']} in {found['seconds']:.0f} s"],
        level("card"), level("host"),
        ["kinds of request; of them sent more than once", f"{found['recipes']}; {found['repeated']}"],
        ["equal requests gave equal bytes", "no" if found["unequal"] else "yes"],
        ["cancelled in mid-run; seconds until their work had ended",
         f"{len(cancels)}; {spread(cancels, 3)}" if cancels else "none"],
        ["cancelled too late: the mask was there", found["cancelled_too_late"]],
        ["unexpected ends", len(found["failures"])],
    ]


def run(options) -> dict:
    found = measure(options)
    about = f"{found['requests']} requests, {options.clients} at a time, provider {options.provider}."
    return {"found": found, "text": f"{about}\n\n{table(HEADER, rows(found))}", "wrong": wrong(found)}


def add_options(parser) -> None:
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=2, help="requests at a time")


def main() -> int:
    serve.harness.in_client_environment()
    parser = common.parser(__doc__)
    add_options(parser)
    parser.add_argument("--json", help="where the figures go")
    options = parser.parse_args()
    common.settle(options)
    found = run(options)
    print(found["text"])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found["found"], file, indent=1)
    for mistake in found["wrong"]:
        print(mistake, file=sys.stderr)
    return int(bool(found["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
