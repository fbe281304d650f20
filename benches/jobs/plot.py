#!/usr/bin/env python3
"""Draws a kept run of simulated workers.

    python3 benches/jobs/plot.py [RECORD] [--output docs/src/images/jobs-workers.svg]

Without RECORD, the newest one in benches/runs.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
INK, FAINT, PAPER = "#24292f", "#d0d7de", "#ffffff"
SQLITE, NATS, NATS_ONE = "#0969da", "#bc4c00", "#8250df"
TOP, BOTTOM, WIDTH, GAP, LEFT = 64, 300, 236, 84, 64
LOAD = 0.8


class Panel:
    """A pair of axes; values go to pixels through `x` and `y`."""

    def __init__(self, number: int, title: str, x_range: tuple, y_range: tuple, log_x=False, log_y=False):
        self.left = LEFT + number * (WIDTH + GAP)
        self.x_range, self.y_range, self.log_x, self.log_y = x_range, y_range, log_x, log_y
        self.parts = [text(self.left, TOP - 16, title, weight="600")]

    def x(self, value: float) -> float:
        return self.left + WIDTH * part(value, self.x_range, self.log_x)

    def y(self, value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * part(value, self.y_range, self.log_y)

    def axes(self, x_ticks: list, y_ticks: list, x_label: str) -> None:
        for value, label in y_ticks:
            y = self.y(value)
            self.parts.append(line([(self.left, y), (self.left + WIDTH, y)], FAINT, 1))
            self.parts.append(text(self.left - 8, y + 4, label, anchor="end"))
        for value, label in x_ticks:
            self.parts.append(text(self.x(value), BOTTOM + 18, label, anchor="middle"))
        self.parts.append(line([(self.left, BOTTOM), (self.left + WIDTH, BOTTOM)], INK, 1))
        self.parts.append(text(self.left + WIDTH / 2, BOTTOM + 38, x_label, anchor="middle"))

    def curve(self, points: list, color: str, dots=True) -> None:
        pixels = [(self.x(x), self.y(y)) for x, y in points]
        self.parts.append(line(pixels, color, 2))
        if dots:
            self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in pixels]

    def dashed(self, points: list, label: str, at: tuple) -> None:
        self.parts.append(line([(self.x(x), self.y(y)) for x, y in points], INK, 1, dash="4 4"))
        self.parts.append(text(self.x(at[0]), self.y(at[1]), label, size=11))


def part(value: float, limits: tuple, is_log: bool) -> float:
    low, high, value = (math.log(v) for v in (*limits, value)) if is_log else (*limits, value)
    return (value - low) / (high - low)


def text(x: float, y: float, words: str, anchor="start", weight="400", size=12) -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" '
            f'fill="{INK}">{escape(words)}</text>')


def line(points: list, color: str, width: float, dash="") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    more = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"{more}/>'


def scaling(record: dict) -> list:
    """Rows of each series: name, color, rows."""
    series = []
    for result in record["results"]:
        parameters = result["parameters"]
        if result["scenario"] != "scaling" or parameters["spread"] == 0:
            continue
        if result["engine"] == "sqlite":
            series.append(("SQLite, one process", SQLITE, result["rows"]))
        elif parameters["workers_per_process"] == 1:
            series.append(("NATS, every worker a process", NATS_ONE, result["rows"]))
        else:
            n = parameters["workers_per_process"]
            series.append((f"NATS, {n} workers a process", NATS, result["rows"]))
    return series


def waits(record: dict) -> list:
    """Color and waits, shortest first, of each engine."""
    colors = {"sqlite": SQLITE, "nats": NATS}
    found = []
    for result in record["results"]:
        if result["scenario"] == "latency":
            rows = [row for row in result["rows"] if row["load"] == LOAD]
            found += [(colors[result["engine"]], sorted(row["waits_ms"])) for row in rows]
    return found


def draw(record: dict) -> str:
    series = scaling(record)
    workers = [row["workers"] for row in series[0][2]]
    x_ticks = [(n, str(n)) for n in workers]
    ends = (workers[0] / 1.15, workers[-1] * 1.15)

    rate = Panel(0, "Jobs per second", ends, (0.35, 40), log_x=True, log_y=True)
    rate.axes(x_ticks, [(n, f"{n:g}") for n in (0.5, 1, 2, 4, 8, 16, 32)], "workers")
    one = series[0][2][0]["jobs_per_second"] / series[0][2][0]["busy"]
    rate.dashed([(n, n * one) for n in workers], "no overhead", (1.3, 3.2))

    lowest = min(row["efficiency"] for _, _, rows in series for row in rows)
    floor = min(0.85, math.floor(lowest * 20) / 20)
    share = Panel(1, "Efficiency, 1 worker = 1", ends, (floor, 1.05), log_x=True)
    steps = [round(floor + 0.05 * n, 2) for n in range(round((1.05 - floor) / 0.05) + 1)]
    share.axes(x_ticks, [(step, f"{step:.2f}") for step in steps], "workers")
    share.dashed([(workers[0], 0.95), (workers[-1], 0.95)], "goal", (workers[0], 0.954))
    for _, color, rows in series:
        rate.curve([(row["workers"], row["jobs_per_second"]) for row in rows], color)
        share.curve([(row["workers"], row["efficiency"]) for row in rows], color)

    longest = max((values[-1] for _, values in waits(record)), default=1000)
    limit = math.ceil(longest / 250) * 250
    started = Panel(2, f"Jobs started, 8 workers, load {LOAD:.0%}", (0, limit), (0, 1))
    step = 250 if limit <= 1500 else 500
    started.axes([(ms, str(ms)) for ms in range(0, limit + 1, step)],
                 [(tick, f"{tick:.0%}") for tick in (0, 0.25, 0.5, 0.75, 1)], "ms after submission")
    for color, values in waits(record):
        points = [(0, 0)] + [(ms, (n + 1) / len(values)) for n, ms in enumerate(values)] + [(limit, 1)]
        started.curve(points, color, dots=False)

    parts = [part for panel in (rate, share, started) for part in panel.parts]
    x = LEFT
    for name, color, _ in series:
        parts += [line([(x, 20), (x + 24, 20)], color, 3), text(x + 30, 24, name)]
        x += 60 + 6.6 * len(name)
    width, height = LEFT + 3 * WIDTH + 2 * GAP + 28, BOTTOM + 56
    title = f"Simulated workers through the real engines of jobs, {record['date']}"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" '
            f'font-family="system-ui, sans-serif">\n<title>{escape(title)}</title>\n'
            f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>\n' + "\n".join(parts) + "\n</svg>\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path, nargs="?")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/src/images/jobs-workers.svg")
    arguments = parser.parse_args()
    record = arguments.record or max((ROOT / "benches/runs").glob("*-jobs-*/record.json"), default=None)
    if record is None:
        print("no kept run of jobs", file=sys.stderr)
        return 1
    arguments.output.write_text(draw(json.loads(record.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
