"""The tables of a record: `python3 benches/network/report.py RECORD.json` writes the README.md beside it anew."""

import json
import math
import statistics
import sys
from pathlib import Path

RACES = ("all_cores", "one_core", "avx2")
PEERS = ("torch", "openvino")
SHOWN = {"nephrite": "nephrite", "nephrite bf16": "nephrite bf16", "torch": "torch", "openvino": "OpenVINO"}
LAYERS_OF = "plain-96"
MANY = 16  # threads


def readme(record: dict) -> str:
    about = record["machine"]
    peers = [f"{SHOWN[peer]} {versions(record, peer)}" for peer in PEERS]
    return (
        f"# One tile of a network beside its peers, {record['date']}\n\n"
        f"`python3 benches/network/run.py {record['command']}` on {about['cores']} cores of {about['cpu']}, kernel "
        f"{about['kernel']}, commit {about['commit']}; {' and '.join(peers)}, both in f32. {record['rounds']} alternating "
        "rounds, of more those that other work disturbed least; medians, with the range over rounds in parentheses; ratios "
        "are those of a round. Loading, reading of tiles, and first runs are not in the times. Raw data: `record.json`.\n\n"
        f"{tables(record)}\n"
    )


def sections() -> list:
    """Of each its title, what its table says, and what makes that of a record."""
    return [
        ("Seconds per tile, all cores",
         "GFLOP/s are of the direct convolution everywhere: two operations for each of its multiply-adds.",
         lambda record: times(record["networks"], "all_cores")),
        ("The same on one core", "", lambda record: times(record["networks"], "one_core")),
        ("The same with AVX2 alone",
         "Peers with `ONEDNN_MAX_CPU_ISA=AVX2`: their convolutions heed it. OpenVINO's norm does not and stays with AVX-512.",
         lambda record: times(record["networks"], "avx2")),
        ("bf16",
         "Factors of the products are held in bf16. The class is that of nephrite in f32; random weights leave many voxels "
         "undecided, a trained network (`demo`) does not.",
         lambda record: bf16(record["networks"])),
        ("Distance from double precision",
         "Largest difference of logits, as a share of their spread (largest minus smallest logit), from torch's module in double "
         "precision on the same tile.",
         lambda record: agreement(record["networks"])),
        ("Loading and memory",
         "*Peak* is of the whole process, *before* what it held when it began to load: for the peers Python and their libraries.",
         lambda record: memory(record["networks"])),
        ("The machine", "The better of before and after.", roofline),
        ("Where the time goes, all cores",
         "Layers without multiply-adds are *outside convolutions*.", kinds),
        (f"Layers of {LAYERS_OF}",
         "*Multiply-adds* and GFLOP/s are of the direct convolution; *products* are what is multiplied in fact, *of peak* is their "
         "speed beside that in registers alone, *of roofline* beside the lesser of that and what memory allows for the bytes "
         "that the layer moves.",
         layers),
        (f"What {MANY} threads would do",
         f"Counted, not measured: how layers are cut for {MANY} threads. *Busy*: the share of the time in which all of them have "
         "work, if tasks of a layer take equally long and layers as much of the whole as here. *GB/s*: what memory and the "
         "third-level cache would have to move, if the time shrank by that.",
         lambda record: many_threads(record["networks"], record["machine"]["cores"])),
        ("Who else was busy",
         "Cores that other processes kept busy in the rounds that count, the driver with them.",
         lambda record: noise(record["networks"])),
    ]


def tables(record: dict) -> str:
    parts = [(f"## {title}", about, make(record)) for title, about, make in sections()]
    return "\n\n".join("\n\n".join(filter(None, part)) for part in parts if part[2])


def table(header: list, rows: list) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def digits(value: float) -> str:
    """Three of them that count."""
    return f"{value:.{max(0, 2 - exponent(value))}f}"


def exponent(value: float) -> int:
    return int(f"{value:e}".split("e")[1]) if value else 0


def spread(values: list) -> str:
    return f"{digits(statistics.median(values))} ({digits(min(values))}–{digits(max(values))})"


def ratios(own: dict | None, peer: dict | None) -> str:
    return spread([a / b for a, b in zip(own["seconds"], peer["seconds"])]) if own and peer else "—"


def gflops(multiply_adds: int, seconds: float) -> float:
    return 2 * multiply_adds / seconds / 1e9


def raced(networks: dict, race: str) -> list:
    """Name, network, and contestants of the networks that had such a race."""
    return [(name, network, network[race]["contestants"]) for name, network in networks.items() if race in network]


def times(networks: dict, race: str) -> str:
    rows = []
    for name, network, found in raced(networks, race):
        seconds = [spread(found[who]["seconds"]) if who in found else "—" for who in ("nephrite", *PEERS)]
        speeds = [f"{gflops(network['multiply_adds'], statistics.median(found[who]['seconds'])):.0f}"
                  for who in ("nephrite", *PEERS) if who in found]
        beside = [ratios(found.get("nephrite"), found[peer]) for peer in PEERS]
        shape = "×".join(map(str, network["shape"][1:]))
        rows.append([name, shape, f"{network['multiply_adds'] / 1e9:.1f}", *seconds, *beside, " / ".join(speeds)])
    return table(["network", "patch", "G multiply-adds", "nephrite s", "torch s", "OpenVINO s", "nephrite / torch",
                  "nephrite / OpenVINO", "GFLOP/s, likewise"], rows)


def bf16(networks: dict) -> str:
    rows = []
    for name, _, found in raced(networks, "all_cores"):
        if "nephrite bf16" in found:
            own = found["nephrite bf16"]
            rows.append([name, spread(own["seconds"]), ratios(own, found["nephrite"]), ratios(own, found["torch"]),
                         ratios(own, found["openvino"]), f"{100 * own['agreement']['same_class_as_first']:.3f} %",
                         f"{own['agreement']['largest']:.1e}", f"{own['agreement']['rms']:.1e}"])
    return table(["network", "nephrite bf16 s", "/ nephrite f32", "/ torch f32", "/ OpenVINO f32", "voxels of the same class",
                  "largest difference", "root mean square"], rows)


def agreement(networks: dict) -> str:
    rows = []
    for race in ("all_cores", "avx2"):
        for name, network, found in raced(networks, race):
            cells = [f"{found[who]['agreement']['largest']:.1e}" if who in found else "—" for who in ("nephrite", *PEERS)]
            rows.append([network[race]["title"], *cells])
    return table(["network", "nephrite", "torch", "OpenVINO"], rows)


def megabytes(n_bytes: int | None) -> str:
    return "—" if n_bytes is None else f"{n_bytes / 1e6:.0f}"


def memory(networks: dict) -> str:
    rows = []
    for name, network, found in raced(networks, "all_cores"):
        for who, contestant in found.items():
            load = contestant["load"]
            parts = f" ({load['read_seconds']:.2f} + {load['prepare_seconds']:.2f})" if "read_seconds" in load else ""
            held = [load.get("weight_bytes"), load.get("activation_bytes"), load.get("scratch_bytes"), load["rss_bytes_before"]]
            sizes = map(megabytes, [*held, contestant["memory"]["peak_rss_bytes"]])
            rows.append([name, f"{network['parameters'] / 1e6:.1f}", SHOWN[who], f"{load['load_seconds']:.2f}{parts}", *sizes])
    return table(["network", "M parameters", "", "load s (read + prepare)", "weights MB", "activations MB", "scratch MB",
                  "before MB", "peak MB"], rows)


def roofline(record: dict) -> str:
    rows = []
    for found in record.get("roofline", []):
        peaks = ", ".join(f"{peak['level']} {peak['gflops']:.0f}" for peak in found["peaks"])
        copies = ", ".join(f"{size(copy['bytes'])} {copy['gbytes_per_second']:.0f}" for copy in found["copies"])
        rows.append([found["threads"], peaks, copies])
    return table(["threads", "multiply-adds in registers, GFLOP/s", "copy of a block per thread, GB/s"], rows)


def size(n_bytes: int) -> str:
    return f"{n_bytes >> 20} MiB" if n_bytes >= 1 << 20 else f"{n_bytes >> 10} KiB"


def limits(record: dict, isa: str) -> tuple | None:
    """GFLOP/s of an instruction set and bytes per second of memory, with all threads."""
    if not record.get("roofline"):
        return None
    found = record["roofline"][-1]
    peak = next((peak["gflops"] for peak in found["peaks"] if peak["level"] == isa), None)
    return peak and (peak, found["copies"][-1]["gbytes_per_second"] * 1e9)


def kinds(record: dict) -> str:
    """Shares of every kind of layer; those without multiply-adds are what is outside convolutions."""
    rows = []
    for name, network, _ in raced(record["networks"], "all_cores"):
        found = network["all_cores"].get("layers")
        if not found:
            continue
        total = sum(layer["seconds"] for layer in found)
        shares = {}
        for layer in found:
            shares[layer["kind"]] = shares.get(layer["kind"], 0) + layer["seconds"] / total
        outside = sum(layer["seconds"] for layer in found if not layer["multiply_adds"]) / total
        listed = ", ".join(f"{kind} {100 * share:.1f} %" for kind, share in sorted(shares.items(), key=lambda item: -item[1]))
        run = statistics.median(network["all_cores"]["contestants"]["nephrite"]["seconds"])
        rows.append([name, digits(total), digits(run), f"{100 * outside:.1f} %", listed])
    return table(["network", "sum of layers s", "whole run s", "outside convolutions", "kinds"], rows)


def layers(record: dict) -> str:
    network = record["networks"].get(LAYERS_OF, {}).get("all_cores", {})
    found = network.get("layers", [])
    if not found:
        return ""
    bounds = limits(record, network["contestants"]["nephrite"]["load"]["isa"])
    total = sum(layer["seconds"] for layer in found)
    rows = []
    for layer in found:
        seconds = max(layer["seconds"], 1e-9)
        cells = ["", "", "", "", ""]
        if layer["multiply_adds"]:
            cells[:2] = [f"{layer['multiply_adds'] / 1e9:.2f}", f"{gflops(layer['multiply_adds'], seconds):.0f}"]
        if layer["products"]:
            cells[2] = f"{layer['products'] / 1e9:.2f}"
            if bounds:
                peak, bandwidth = bounds
                speed = gflops(layer["products"], seconds)
                memory_bound = gflops(layer["products"], layer["bytes"] / bandwidth) if layer["bytes"] else peak
                cells[3:] = [f"{100 * speed / peak:.0f} %", f"{100 * speed / min(peak, memory_bound):.0f} %"]
        rows.append([layer["name"], layer["kind"], layer["output"], f"{1e3 * seconds:.2f}", f"{100 * seconds / total:.1f} %",
                     *cells, f"{layer['bytes'] / seconds / 1e9:.1f}"])
    return table(["layer", "kind", "output", "ms", "of all", "G multiply-adds", "GFLOP/s", "G products", "of peak", "of roofline",
                  "GB/s"], rows)


def many_threads(networks: dict, cores: int) -> str:
    rows = []
    for name, network in networks.items():
        cut, timed = network.get("many_threads", []), network["all_cores"].get("layers", [])
        if not cut or not timed:
            continue
        seconds = seconds_of(cut, timed)
        busy = sum(seconds) / sum(took * idle_factor(layer) for took, layer in zip(seconds, cut))
        moved = sum(layer["bytes"] for layer in cut)
        expected = sum(seconds) * cores / MANY / busy
        rows.append([name, sum(layer["tasks"] for layer in cut), sum(layer["barriers"] for layer in cut), f"{100 * busy:.0f} %",
                     f"{moved / 1e9:.2f}", f"{moved / expected / 1e9:.0f}"])
    return table(["network", "tasks", "barriers", "busy", "GB moved", "GB/s"], rows)


def seconds_of(cut: list, timed: list) -> list:
    """Measured seconds of layers as they are cut for other threads, for which two may be joined, `a + b`, or be apart."""
    parts = {part: layer for layer in timed for part in layer["name"].split(" + ")}
    found = [parts[layer["name"].split(" + ")[-1]] for layer in cut]
    n_shares = {id(layer): sum(other is layer for other in found) for layer in found}
    return [layer["seconds"] / n_shares[id(layer)] for layer in found]


def idle_factor(layer: dict) -> float:
    """How much longer a layer takes because its tasks do not divide evenly among threads."""
    at_once = layer["tasks"] / max(layer["barriers"], 1)
    return math.ceil(at_once / MANY) * MANY / at_once


def noise(networks: dict) -> str:
    races = [network[race] for network in networks.values() for race in RACES if race in network]
    rows = [[race["title"], f"{race['busy_cores_of_others']:.2f}", len(race["all_rounds"])] for race in races]
    return table(["network", "cores", "rounds until enough were quiet"], rows)


def versions(record: dict, peer: str) -> str:
    loads = [found[peer]["load"] for _, _, found in raced(record["networks"], "all_cores")]
    return loads[0]["version"] if loads else ""


def compact(record: dict) -> str:
    """JSON with a line per layer and per contestant."""
    def written(value, depth):
        if isinstance(value, dict) and depth < 5:
            inner = [f"{json.dumps(key)}: {written(item, depth + 1)}" for key, item in value.items()]
            return "{\n" + ",\n".join(" " * (depth + 1) + line for line in inner) + "\n" + " " * depth + "}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n" + ",\n".join(" " * (depth + 1) + json.dumps(item) for item in value) + "\n" + " " * depth + "]"
        return json.dumps(value)
    return written(record, 0) + "\n"


if __name__ == "__main__":
    kept = Path(sys.argv[1])
    (kept.parent / "README.md").write_text(readme(json.loads(kept.read_text())))
