"""Part `agreement`: masks by nephrite in every precision, and by nnunetv2 as it usually runs, beside those of nnunetv2 in f32.

nnunetv2 in f32 is without autocast and without TF32. Default pairs of model and scan: the golden cases of `tests/golden` that are
one run of one model, and the trained models of `nephrite demo`.
"""

import json
import subprocess
from pathlib import Path

import peer
import serve
from common import FOLDER, HERE, ROOT, NotRun, not_run, seconds_left, table

GOLDEN = ROOT / "tests/golden"
DEMO = {"Dataset901_DemoArtery": "arterial", "Dataset902_DemoKidney": "portal_venous", "Dataset903_DemoUreter": "delayed"}
REFERENCE, USUAL, OWN, HALF = "nnunetv2, f32", "nnunetv2, autocast", "nephrite", "nephrite, half"
HEADER = ["model", "program", "in", "equal voxels", "worst Dice", "its label"]


def programs(options) -> dict:
    """Of nephrite: provider, precision, and configuration, by name. By itself it computes in half precision where a model's check of that
    passes; a precision that is asked for here is taken without a check."""
    found = {"nephrite on the CPU, f32": ("cpu", "f32", "")}
    if options.provider == "cpu":
        return found
    asked = {f"nephrite, {precision}": (options.provider, precision, serve.UNCHECKED) for precision in ("half", "tf32", "f32")}
    return {OWN: (options.provider, None, "")} | asked | found


def job(name: str, model: Path, scans: list, **more) -> dict:
    return {"name": name, "model": model, "scans": scans, "folds": ["0"], "mirroring": False, "step": 0.5, "checkpoint": "final"} | more


def golden() -> list:
    found = []
    for file in sorted(GOLDEN.glob("cases/*/case.json")):
        case = json.loads(file.read_text())
        if case["kind"] != "segment" or case["previous_stage"] or case["run_previous_stage"] or case["postprocessing"]:
            continue
        scans = [GOLDEN / path for path in case["inputs"]]
        found.append(job(case["name"], GOLDEN / case["model"], scans, folds=case["folds"], mirroring=case["mirroring"],
                         step=case["tile_step_size"], checkpoint=case["checkpoint"]))
    return found


def jobs(options) -> list:
    if options.agreement:
        given = [job(f"{model.parent.name}/{model.name.split('__')[1]} on {scan.name.split('.')[0]}", model, [scan])
                 for model, scan in ((Path(model).resolve(), Path(scan)) for model, scan in options.agreement)]
        return [one | {"mirroring": mirroring, "name": one["name"] + (", mirroring" if mirroring else "")}
                for one in given for mirroring in (False, True)]
    found = golden()
    try:
        demo = peer.demo(options)
        found += [job(dataset, demo / dataset / FOLDER, [demo / f"scan_{phase}.nii.gz"]) for dataset, phase in DEMO.items()]
    except NotRun as why:
        print(f"  demo models not run: {why}", flush=True)
    return found


def placed(options, one: dict) -> dict:
    """The same job with files where a server may read them."""
    def place(path: Path) -> Path:
        # The folder above tells models and cases of equal names apart.
        return serve.beneath(options.data, path, f"agreement/{path.resolve().parent.name}")

    return one | {"model": place(one["model"]), "scans": [place(scan) for scan in one["scans"]]}


def mask(options, one: dict, program: str) -> Path:
    folder = options.data / "results" / program.replace(",", "").replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{one['name'].replace(' ', '-').replace(',', '').replace('/', '-')}.nii.gz"


def by_nephrite(options, wanted: list, program: str, provider: str, precision: str | None, config: str) -> tuple:
    """What went wrong, and in what was computed, by job."""
    import grpc

    wrong, computed = {}, {}
    try:
        server = serve.Warm(options, precision, provider, config)
    except NotRun as why:
        return {one["name"]: str(why) for one in wanted}, {}
    try:
        for one in wanted:
            try:
                found = server.run(one["model"], one["scans"], mask(options, one, program), seconds_left(options), folds=one["folds"],
                                   checkpoint=one["checkpoint"], mirroring=one["mirroring"], tile_step_size=one["step"])
                computed[one["name"]] = serve.precision(found["done"])
            except grpc.RpcError as error:
                wrong[one["name"]] = serve.refusal(error)
            except NotRun as why:
                wrong[one["name"]] = str(why)
    finally:
        server.stop()
    return wrong, computed


def lines(options, *command) -> dict:
    """Answers of `peer_masks.py`, by name; those that came before it ran out of time."""
    try:
        limit = seconds_left(options)
        output = subprocess.run(list(map(str, [peer.python(options), "-W", "ignore", HERE / "peer_masks.py", *command])),
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=limit).stdout
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode()
    answers = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {answer["name"]: answer for answer in answers}


def by_peer(options, wanted: list, program: str) -> dict:
    """What went wrong, by job."""
    if program == USUAL and options.device == "cpu":
        return {one["name"]: "nnU-Net has autocast on a GPU only" for one in wanted}
    file = options.data / "jobs.json"
    asked = [one | {"autocast": program == USUAL, "mask": mask(options, one, program)} for one in wanted]
    file.write_text(json.dumps(asked, default=str))
    try:
        answers = lines(options, "predict", file, options.device)
    except NotRun as why:
        return {one["name"]: str(why) for one in wanted}
    missing = {"error": "nnunetv2 ended, or ran out of time"}
    return {one["name"]: error for one in wanted if (error := answers.get(one["name"], missing).get("error"))}


def compare(options, wanted: list, names: list, wrong: dict) -> dict:
    """Agreement by job and program."""
    pairs = [{"name": f"{one['name']}|{program}", "reference": mask(options, one, REFERENCE), "mask": mask(options, one, program)}
             for one in wanted for program in names if one["name"] not in wrong[REFERENCE] | wrong[program]]
    file = options.data / "pairs.json"
    file.write_text(json.dumps(pairs, default=str))
    found = {one["name"]: {} for one in wanted}
    for name, answer in (lines(options, "compare", file) if pairs else {}).items():
        case, program = name.split("|")
        found[case][program] = {key: value for key, value in answer.items() if key != "name"}
    return found


def worst(dice: dict) -> tuple:
    return min(((value, label) for label, value in dice.items()), default=(1.0, "–"))


def rows(found: dict, names: list, wrong: dict, computed: dict) -> list:
    written = []
    for case, programs_ in found.items():
        for program in names:
            answer = programs_.get(program, {})
            if "equal" in answer:
                dice, label = worst(answer["dice"])
                written.append([case, program, computed.get(program, {}).get(case, "–"), f"{100 * answer['equal']:.4f} %", f"{dice:.5f}", label])
            else:
                why = answer.get("error") or wrong[program].get(case) or wrong[REFERENCE].get(case) or "out of time"
                written.append(not_run([case, program], len(HEADER), why))
    return written


def verdict(found: dict, program: str) -> str:
    """How far a program is from f32, and whether it is ever further than nnU-Net's autocast."""
    both = {case: (answers[program]["equal"], answers[USUAL]["equal"]) for case, answers in found.items()
            if all("equal" in answers.get(one, {}) for one in (program, USUAL))}
    if not both:
        return f"{program} beside {USUAL}: not run."
    least, name = min((own, case) for case, (own, _) in both.items())
    mean = sum(own for own, _ in both.values()) / len(both)
    worse = [f"{case} ({100 * own:.4f} % beside {100 * usual:.4f} %)" for case, (own, usual) in both.items() if own < usual]
    return (f"{program}: mean {100 * mean:.4f} %, least {100 * least:.4f} % ({name}); further from f32 than {USUAL} in {len(worse)} of "
            f"{len(both)}{': ' if worse else ''}{'; '.join(worse)}.")


def run(options) -> dict:
    wanted = [placed(options, one) for one in jobs(options)]
    own = programs(options)
    wrong, computed = {}, {}
    for program in (REFERENCE, USUAL):
        print(f"  {program}", flush=True)
        wrong[program] = by_peer(options, wanted, program)
    for program, how in own.items():
        print(f"  {program}", flush=True)
        wrong[program], computed[program] = by_nephrite(options, wanted, program, *how)
    names = [USUAL, *own]
    try:
        found = compare(options, wanted, names, wrong)
    except NotRun as why:
        found = {one["name"]: {program: {"error": str(why)} for program in names} for one in wanted}
    text = f"Beside masks of {REFERENCE}, without TF32.\n\n{table(HEADER, rows(found, names, wrong, computed))}\n\n"
    text += "\n\n".join(verdict(found, program) for program in (OWN, HALF) if program in own)
    return {"found": found, "computed_in": computed, "left_out": wrong, "text": text, "wrong": []}
