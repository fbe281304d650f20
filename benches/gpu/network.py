"""Part `network`: one patch of a network, batch 1, by torch and by nephrite, in turn.

nephrite's side is a program of its own (--time-network), since a patch alone is nothing that its users ask for:

    PROGRAM --network plain|plain118|resenc --patch 128 --precision half|tf32|f32 --json OUT

writes `{"network_ms": …, "tile_ms": …, "load_s": …}` to OUT: milliseconds of the network alone, and of all that a patch takes
on the card (cut out, network, added to the class sums), both medians of several runs; and seconds to load.
"""

import json
import select
import statistics
import subprocess

import peer
import watch
from common import HERE, NotRun, not_run, seconds_left, spread, table

NETWORKS = {
    "plain": "PlainConvUNet, 5 classes", "plain118": "PlainConvUNet, 118 classes", "resenc": "ResidualEncoderUNet, 5 classes",
}
PATCH, SMALL_PATCH = 128, 32
TORCH = {"autocast": "torch, autocast as nnU-Net", "compiled": "torch.compile, half, channels-last"}
PRECISIONS = ("half", "tf32", "f32")
RUNS = 20
HEADER = ["network", "program", "network, ms", "of torch.compile", "whole patch, ms", "load, s"]


class Torch:
    """`peer_network.py`, alive while its network is measured; `NotRun` from any call if it cannot be."""

    def __init__(self, options, name: str):
        command = [peer.python(options), "-W", "ignore", HERE / "peer_network.py", peer.model(options, name), options.device]
        self.options, self.log = options, options.data / "peer_network.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self._answer()

    def _answer(self) -> dict:
        if not select.select([self.process.stdout], [], [], seconds_left(self.options))[0]:
            self.close()
            raise NotRun("out of time (--part-seconds)")
        line = self.process.stdout.readline()
        if not line:
            raise NotRun(watch.last_line(self.log.read_text().splitlines(), self.process.wait()))
        answer = json.loads(line)
        if "error" in answer:
            raise NotRun(answer["error"])
        return answer

    def time(self, mode: str) -> dict:
        if self.process.poll() is not None:
            raise NotRun("torch has ended")
        self.process.stdin.write(f"time {mode} {3 if self.options.small else RUNS}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def nephrite(options, name: str, precision: str) -> dict:
    if not options.time_network:
        raise NotRun("no program (--time-network)")
    out = options.data / "network.json"
    out.unlink(missing_ok=True)
    patch = SMALL_PATCH if options.small else PATCH
    watched = watch.run([options.time_network.resolve(), "--network", name, "--patch", patch, "--precision", precision, "--json", out],
                        seconds_left(options))
    return json.loads(out.read_text()) | {key: watched[key] for key in ("peak_rss_bytes", "device_bytes")}


def contestants(options, name: str) -> tuple:
    """What measures one patch, by name; and what must be closed in the end."""
    found = {}
    try:
        torch = Torch(options, name)
        for mode, title in TORCH.items():
            found[title] = lambda mode=mode: torch.time(mode)
    except NotRun as why:
        torch, reason = None, str(why)

        def refuse():
            raise NotRun(reason)

        found = {title: refuse for title in TORCH.values()}
    for precision in PRECISIONS:
        found[f"nephrite, {precision}"] = lambda precision=precision: nephrite(options, name, precision)
    return found, torch


def measure(options, name: str) -> dict:
    wanted, torch = contestants(options, name)
    runs, left_out = {title: [] for title in wanted}, {}
    try:
        for round_ in range(options.rounds):
            for title in [title for title in wanted if title not in left_out]:
                try:
                    runs[title].append(wanted[title]())
                    print(f"  {name}, round {round_ + 1}: {title}: {runs[title][-1]}", flush=True)
                except NotRun as why:
                    left_out[title] = str(why)
                    print(f"  {name}: {title} not run: {why}", flush=True)
    finally:
        if torch:
            torch.close()
    return {"runs": runs, "left_out": left_out}


def rows(found: dict) -> list:
    lines = []
    for name, result in found.items():
        best = [run["network_ms"] for run in result["runs"][TORCH["compiled"]]]
        for title, runs in result["runs"].items():
            first = [NETWORKS[name], title]
            if not runs:
                lines.append(not_run(first, len(HEADER), result["left_out"].get(title, "no round")))
                continue
            times = [run["network_ms"] for run in runs]
            pairs = [own / other for own, other in zip(times, best)]
            lines.append([*first, spread(times), f"{statistics.median(pairs):.2f}" if pairs else "–",
                          spread([run["tile_ms"] for run in runs if "tile_ms" in run]),
                          spread([run["load_s"] for run in runs if "load_s" in run])])
    return lines


def run(options) -> dict:
    found = {name: measure(options, name) for name in options.networks.split(",")}
    patch = SMALL_PATCH if options.small else PATCH
    text = f"One patch of {patch}³, batch 1, median of {options.rounds} rounds (range).\n\n" + table(HEADER, rows(found))
    return {"found": found, "text": text, "wrong": []}
