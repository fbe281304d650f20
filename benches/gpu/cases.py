"""Part `cases`: whole cases by nephrite, cold and warm, and by nnunetv2; a CT of 66 million voxels, networks at 1.5 mm.

*Cold* is `nephrite segment` from the start of the process; *warm* a request to `nephrite serve` after a first one, which is
discarded. nnunetv2 is a process of its own for every case, as `nnUNetv2_predict` is.
"""

import json
import statistics
import subprocess

import peer
import serve
import watch
from common import PEER, NotRun, megabytes, not_run, seconds_left, spread, table

# By name: the model, mirroring, what it is called.
CASES = {
    "plain": ("plain", False, "PlainConvUNet, 5 classes"),
    "plain-mirrored": ("plain", True, "the same, mirroring"),
    "plain118": ("plain118", False, "PlainConvUNet, 118 classes"),
    "resenc": ("resenc", False, "ResidualEncoderUNet, 5 classes"),
}
# nnunetv2 holds 118 classes of 66 million voxels in f32 on the host, twice, and exports for minutes.
PEER_CASES = "plain,plain-mirrored,resenc"
PROGRAMS = ("nephrite, cold", "nephrite, warm", "nnunetv2")
STAGES = ("load_model", "read", "preprocess", "inference", "export", "write")
HEADER = ["case", "program", "load", "read", "preprocess", "network", "export", "write", "wall", "first tile after",
          "host MB", "card MB"]


def cold(options, name: str) -> dict:
    model, mirroring, _ = CASES[name]
    report, data = options.data / "report.json", peer.inputs(options)
    command = [options.nephrite, "segment", "--model", peer.model(options, model), "--folds", "0", "--input", data / "scan.nii.gz",
               "--output", data / "results/cold.nii.gz", "--report", report, "--provider", options.provider,
               *(["--precision", options.precision] if options.precision else []), *([] if mirroring else ["--no-mirroring"]),
               *(["--half-agreement", serve.RANDOM_AGREEMENT] if options.provider == "cuda" else [])]
    found = watch.run(command, seconds_left(options), first=r"tile \d+ of")
    return found | {"stages": json.loads(report.read_text())["stages"]}


def warm(options, server: serve.Warm, name: str) -> dict:
    import grpc

    model, mirroring, _ = CASES[name]
    data, sampler = peer.inputs(options), watch.Sampler(server.pid)
    try:
        found = server.run(peer.model(options, model), [data / "scan.nii.gz"], data / "results/warm.nii.gz", seconds_left(options),
                           mirroring=mirroring)
    except grpc.RpcError as error:
        raise NotRun(serve.refusal(error)) from error
    finally:
        sampler.stop()
    done = found.pop("done")
    # The card is held by the server all the time: what it holds was counted when it started.
    device = None if server.device_before is None else max(used for _, used, _ in sampler.samples) - server.device_before
    return found | {"stages": serve.stages(done), "peak_rss_bytes": watch.resident(server.pid, "VmHWM"), "device_bytes": device}


def nnunetv2(options, name: str) -> dict:
    if name not in options.peer_cases.split(","):
        raise NotRun("not asked for (--peer-cases)")
    model, mirroring, _ = CASES[name]
    python, data, report = peer.python(options), peer.inputs(options), options.data / "peer.json"
    if not peer.has(python, "nnunetv2"):
        raise NotRun("no nnunetv2 in the peer's Python")
    command = [python, "-W", "ignore", PEER / "peer_nnunetv2.py", peer.model(options, model), data / "scan.nii.gz",
               data / "results/peer.nii.gz", report, "--device", options.device, "--until", options.peer_until,
               *(["--mirroring"] if mirroring else [])]
    found = watch.run(command, seconds_left(options))
    return found | {"stages": json.loads(report.read_text())["stages"]}


def start(options, name: str) -> serve.Warm:
    """A server that has answered its first request."""
    card = watch.card.find()
    before = card.used_bytes() if card else None
    server = serve.Warm(options, options.precision, config=serve.random_weights(options))
    server.device_before = before
    try:
        warm(options, server, name)
    except BaseException:
        server.stop()
        raise
    return server


def agreement(options) -> dict:
    """Of the last masks by nephrite and nnunetv2."""
    results = options.data / "results"
    command = [peer.python(options), PEER / "compare_masks.py", results / "peer.nii.gz", results / "cold.nii.gz"]
    found = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds_left(options))
    return json.loads(found.stdout) if found.returncode == 0 else {}


def measure(options, name: str) -> dict:
    runs, left_out = {program: [] for program in PROGRAMS}, {}
    (options.data / "results").mkdir(exist_ok=True)
    for mask in ("cold", "warm", "peer"):
        (options.data / f"results/{mask}.nii.gz").unlink(missing_ok=True)
    result = {"runs": runs, "left_out": left_out}
    server = None

    def take(program: str, call) -> None:
        if program in left_out:
            return
        try:
            runs[program].append(call())
            print(f"  {name}: {program}: {runs[program][-1]['wall_seconds']:.2f} s", flush=True)
        except NotRun as why:
            left_out[program] = str(why)
            print(f"  {name}: {program} not run: {why}", flush=True)

    def served() -> dict:
        nonlocal server
        server = server or start(options, name)
        return warm(options, server, name)

    for round_ in range(options.rounds):
        take("nephrite, cold", lambda: cold(options, name))
        take("nephrite, warm", served)
        if round_ < options.peer_rounds:
            take("nnunetv2", lambda: nnunetv2(options, name))
    if server:
        server.stop()
    if runs["nnunetv2"] and runs["nephrite, cold"] and options.peer_until == "write":
        try:
            result["agreement"] = agreement(options)
        except (NotRun, subprocess.TimeoutExpired):
            pass
    return result


def rows(found: dict) -> list:
    lines = []
    for name, result in found.items():
        for program, runs in result["runs"].items():
            first = [CASES[name][2], program]
            if not runs:
                lines.append(not_run(first, len(HEADER), result["left_out"].get(program, "no round")))
                continue
            stages = [spread([run["stages"][stage] for run in runs if stage in run["stages"]]) for stage in STAGES]
            lines.append([*first, *stages, spread([run["wall_seconds"] for run in runs]),
                          spread([run["first_seconds"] for run in runs if "first_seconds" in run]),
                          megabytes([run["peak_rss_bytes"] for run in runs]), megabytes([run["device_bytes"] for run in runs])])
    return lines


def beside(found: dict) -> list:
    """nephrite beside nnunetv2, where both ran."""
    lines = []
    for name, result in found.items():
        peers, own = result["runs"]["nnunetv2"], result["runs"]["nephrite, cold"]
        if not peers or not own:
            continue

        def median(runs, of):
            return statistics.median(of(run) for run in runs)

        network = median(own, lambda run: run["stages"]["inference"]) / median(peers, lambda run: run["stages"]["inference"])
        wall = f"{median(own, lambda run: run['wall_seconds']) / median(peers, lambda run: run['wall_seconds']):.3f}"
        equal = result.get("agreement", {}).get("equal")
        lines.append([CASES[name][2], f"{network:.3f}", wall if "write" in peers[0]["stages"] else "–",
                      "–" if equal is None else f"{100 * equal:.4f} %"])
    return lines


def run(options) -> dict:
    found = {name: measure(options, name) for name in options.cases.split(",")}
    text = (f"Seconds, medians of {options.rounds} rounds (range); nnunetv2 {options.peer_rounds}. Random weights, fold 0, step one half. "
            "A server's host memory is the most that it ever held.\n\n" + table(HEADER, rows(found)))
    if compared := beside(found):
        text += "\n\n" + table(["case", "network, nephrite cold / nnunetv2", "wall", "equal voxels"], compared)
    return {"found": found, "text": text, "wrong": []}
