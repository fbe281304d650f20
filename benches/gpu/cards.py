"""Part `cards`: a case of four models on one card and on all that `--devices` names, in turn.

The models are the four of part `cases`, with mirroring: what takes most of a case's time, and what cards can share. *Steps* is the
sum of what the steps took, which run beside each other.
"""

import json
import shutil
import statistics

import peer
import serve
import watch
from common import FOLDER, NotRun, seconds_left, spread, table

MODELS = ("plain", "plain118", "resenc", "plain-again")
HEADER = ["precision", "cards", "wall", "steps", "of one card"]


def pipeline(options) -> str:
    """Four models of one scan, each saved."""
    again = peer.inputs(options) / "models/plain-again" / FOLDER
    if not again.exists():
        shutil.copytree(peer.model(options, "plain"), again)
    step = '[[models]]\nid = "{0}"\nmodel = "models/{0}/' + FOLDER + '"\nphases = ["portal_venous"]\nfolds = [0]\n' \
           '[[save]]\nstep = "{0}"\nfile = "{0}.nii.gz"\n'
    return "".join(step.format(name) for name in MODELS)


def one(options, precision: str, devices: list) -> dict:
    data = peer.inputs(options)
    path, output = data / "four.toml", data / "results/four"
    path.write_text(pipeline(options))
    output.parent.mkdir(exist_ok=True)
    shutil.rmtree(output, ignore_errors=True)
    command = [options.nephrite, "run", "--root", data, "--pipeline", path, "--scan", f"portal_venous={data / 'scan.nii.gz'}",
               "--output", output, "--provider", "cuda", "--precision", precision, "--devices", ",".join(devices),
               "--half-agreement", serve.RANDOM_AGREEMENT]
    found = watch.run(command, seconds_left(options))
    steps = json.loads((output / "record.json").read_text())["steps"]
    masks = {mask.name: mask.read_bytes() for mask in output.glob("*.nii.gz")}
    return found | {"step_seconds": sum(step["seconds"] for step in steps), "masks": masks}


def run(options) -> dict:
    if options.provider != "cuda":
        raise NotRun("needs provider cuda")
    devices = options.devices.split(",")
    if len(devices) < 2:
        raise NotRun("--devices names one card")
    found, lines, wrong = {}, [], []
    for precision in options.card_precisions.split(","):
        runs = {1: [], len(devices): []}
        for _ in range(options.rounds):
            for n in runs:
                runs[n].append(one(options, precision, devices[:n]))
                print(f"  {precision}, {n} cards: {runs[n][-1]['wall_seconds']:.2f} s", flush=True)
        masks = [each.pop("masks") for of_n in runs.values() for each in of_n]
        if any(other != masks[0] for other in masks):
            wrong.append(f"{precision}: masks differ between runs")
        walls = {n: [each["wall_seconds"] for each in of_n] for n, of_n in runs.items()}
        for n, of_n in runs.items():
            ratio = statistics.median(walls[1]) / statistics.median(walls[n])
            steps = spread([each["step_seconds"] for each in of_n])
            lines.append([precision, n, spread(walls[n]), steps, f"{ratio:.2f} times as fast"])
        found[precision] = runs
    text = f"Four models with mirroring on one scan, `nephrite run`; seconds, medians of {options.rounds} rounds (range). Cards: " \
           f"{', '.join(devices)}. Masks {'differ' if wrong else 'are the same bytes'} on any number of cards.\n\n{table(HEADER, lines)}"
    return {"found": found, "text": text, "wrong": wrong}


def add_options(parser) -> None:
    parser.add_argument("--devices", default="cuda:0", help="of part cards")
    parser.add_argument("--card-precisions", default="half", help="of part cards")
