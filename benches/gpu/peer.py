"""The peer's Python, and the inputs that are made with it."""

import json
import subprocess
import sys
from pathlib import Path

from common import FOLDER, HERE, PEER, ROOT, NotRun, seconds_left

# Of all that may take part; a package that is not there has none.
VERSIONS = """
import importlib.metadata, json, sys
found = {"python": sys.version.split()[0]}
for name in ("torch", "nnunetv2", "numpy", "triton"):
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
import torch
found["torch"] = torch.__version__
found["cuda_of_torch"], found["cudnn_of_torch"] = torch.version.cuda, torch.backends.cudnn.version()
print(json.dumps(found))
"""


def has(python: Path, modules: str) -> bool:
    return subprocess.run([python, "-W", "ignore", "-c", f"import {modules}"], capture_output=True).returncode == 0


def python(options) -> Path:
    """Python with torch and nnunetv2; made if it is missing. Raises `NotRun`."""
    if options.skip_peer:
        raise NotRun("left out (--skip-peer)")
    if options.peer_python is None:
        here = Path(sys.executable)
        options.peer_python = here if has(here, "torch, dynamic_network_architectures, SimpleITK") else made()
    if not has(options.peer_python, "torch"):
        raise NotRun(f"no torch in {options.peer_python.name} (--peer-python)")
    return options.peer_python


def made() -> Path:
    python = ROOT / "build/bench-venv/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", PEER / "requirements.txt"], check=True)
    return python


def versions(options) -> dict:
    try:
        found = subprocess.run([python(options), "-W", "ignore", "-c", VERSIONS], capture_output=True, text=True)
        return json.loads(found.stdout) if found.returncode == 0 else {}
    except NotRun:
        return {}


def demo(options) -> Path:
    """The folder with demo models and their scans, as `nephrite demo` leaves it. Raises `NotRun`."""
    folder = options.data / "demo"
    if not folder.exists():
        found = subprocess.run([options.nephrite, "demo", "--output", folder, "--quiet"], capture_output=True, text=True)
        if found.returncode != 0:
            raise NotRun(f"nephrite demo: {found.stderr.strip()[-150:]}")
    return folder


def inputs(options) -> Path:
    """The folder with `scan.nii.gz` and `models/NAME`. Raises `NotRun`."""
    data = options.data
    if not (data / "scan.nii.gz").exists():
        base = options.scan or sorted(demo(options).glob("scan_portal_venous*.nii.gz"))[0]
        command = [python(options), "-W", "ignore", HERE / "inputs.py", data, base, *(["--small"] if options.small else [])]
        try:
            found = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds_left(options))
        except subprocess.TimeoutExpired as late:
            raise NotRun("out of time while inputs were made (--part-seconds)") from late
        if found.returncode != 0:
            raise NotRun(f"inputs cannot be made: {found.stderr.strip()[-150:]}")
    return data


def model(options, name: str) -> Path:
    return inputs(options) / "models" / name / FOLDER
