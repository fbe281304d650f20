"""Runs programs and watches them: wall time, memory on the host and on the card, twenty times a second."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import card
from common import NotRun

PAUSE_SECONDS = 0.05


class Sampler:
    """Memory of the card, and of a process if one is named, with the time of each sample."""

    def __init__(self, pid: int | None = None):
        self.card, self.pid = card.find(), pid
        self.before = self.card.used_bytes() if self.card else None
        self.samples = []  # (monotonic seconds, bytes of the card or None, resident bytes or None)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def _sample(self) -> None:
        while True:
            used = self.card.used_bytes() if self.card else None
            self.samples.append((time.monotonic(), used, resident(self.pid)))
            if self.over.wait(PAUSE_SECONDS):
                return

    def stop(self) -> None:
        self.over.set()
        self.thread.join()

    def device_peak(self, begin: float = 0, end: float = float("inf")) -> int | None:
        """Most that was in use between two times, without what was in use when sampling began."""
        found = [used for at, used, _ in list(self.samples) if used is not None and begin <= at <= end]
        return max(found) - self.before if found else None

    def resident_peak(self, begin: float = 0, end: float = float("inf")) -> int | None:
        return max((rss for at, _, rss in list(self.samples) if rss is not None and begin <= at <= end), default=None)


def resident(pid: int | None, key: str = "VmRSS") -> int | None:
    """Bytes that a process holds; with `VmHWM`, the most that it ever held."""
    try:
        return int(re.search(rf"{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) * 1024
    except (OSError, AttributeError):
        return None


def run(command: list, timeout: float, environment: dict | None = None, first: str | None = None) -> dict:
    """Runs a program to its end. `first_seconds` is when a line of its standard error first matched `first`.

    Raises `NotRun` with the end of that output if the program fails, or takes longer than `timeout` seconds.
    """
    lines, found, device = [], {}, Sampler()
    begin = time.perf_counter()
    child = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             env=os.environ | (environment or {}), start_new_session=True)

    def read() -> None:
        for line in child.stderr:
            if first and "first_seconds" not in found and re.match(first, line):
                found["first_seconds"] = time.perf_counter() - begin
            lines.append(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while True:
        ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        wall = time.perf_counter() - begin
        if ended:
            break
        if wall > timeout:
            os.killpg(child.pid, signal.SIGKILL)
            os.wait4(child.pid, 0)
            child.returncode = -signal.SIGKILL
            device.stop()
            raise NotRun(f"took longer than {timeout:.0f} s")
        time.sleep(0.005)
    child.returncode = os.waitstatus_to_exitcode(status)
    reader.join(timeout=5)
    device.stop()
    if child.returncode != 0:
        raise NotRun(last_line(lines, child.returncode))
    return {"wall_seconds": wall, "peak_rss_bytes": usage.ru_maxrss * 1024, "device_bytes": device.device_peak(), **found}


def last_line(lines: list, code: int) -> str:
    """What a program that failed said last."""
    said = [line.strip() for line in lines if line.strip()]
    return f"exit code {code}: {said[-1] if said else 'nothing said'}"
