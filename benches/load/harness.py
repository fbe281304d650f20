"""What soak and storm share: data, a server process, and what the kernel says of it."""

import gzip
import importlib.util
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CLIENT = ROOT / "compose/client"
NEPHRITE = ROOT / "target/release/nephrite"
FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"
ISO = f"models/Dataset901_Iso/{FOLDER}"
DEMO = f"models/Dataset902_DemoKidney/{FOLDER}"


def client_python() -> Path:
    """Python with grpcio, in an environment of its own."""
    venv = ROOT / "build/bench-client"
    python = venv / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", CLIENT / "requirements.txt"], check=True)
    return python


def in_client_environment() -> None:
    """Starts the script again where grpcio is, unless it is here."""
    sys.path.insert(0, str(CLIENT))
    if importlib.util.find_spec("grpc") and importlib.util.find_spec("grpc_reflection"):
        return
    python = client_python()
    if Path(sys.prefix) != python.parents[1]:
        os.execv(python, [str(python), *sys.argv])


def prepare(data: Path, nephrite: Path) -> None:
    """A root with two models, small scans, and scans that want more memory than a small machine has."""
    if not (data / "ready").exists():
        shutil.rmtree(data, ignore_errors=True)
        for folder in ("models", "scans"):
            (data / folder).mkdir(parents=True)
        subprocess.run([nephrite, "demo", "--output", data / "demo", "--quiet"], check=True)
        shutil.copytree(data / "demo/Dataset902_DemoKidney", data / "models/Dataset902_DemoKidney")
        shutil.copytree(ROOT / "tests/golden/models/Dataset901_Iso", data / "models/Dataset901_Iso")
        small = ROOT / "tests/golden/cases/iso3d/input_0000.nii.gz"
        shutil.copy(small, data / "scans/small.nii.gz")
        shutil.copy(data / "demo/scan_portal_venous.nii.gz", data / "scans/medium.nii.gz")
        resize = [nephrite, "resize", "--quiet", "--input", small]
        subprocess.run([*resize, "--output", data / "scans/large.nii.gz", "--shape", "640,640,640",
                        "--interpolation", "nearest"], check=True)
        write_coarse_scan(data / "scans/coarse.nii.gz")
        (data / "scans/broken.nii.gz").write_bytes(b"\x1f\x8bnot a scan at all")
        (data / "ready").touch()
    shutil.rmtree(data / "results", ignore_errors=True)
    (data / "results").mkdir()
    (data / "case.toml").write_text(
        f'reference = "portal_venous"\n[[models]]\nid = "iso"\nmodel = "{ISO}"\nphases = ["portal_venous"]\n'
        'no_mirroring = true\n[[masks]]\nid = "clean"\noperation = "cleanup"\ninputs = { mask = "iso" }\n'
        'parameters = { keep_largest = 1 }\n[[save]]\nstep = "clean"\nfile = "clean.nii.gz"\n')


def write_coarse_scan(path: Path) -> None:
    """240 kB whose voxels of 60 mm a network sees as 10⁹ of its own."""
    shape, spacing = (64, 64, 30), 60.0
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)  # int16
    struct.pack_into("<8f", header, 76, 1, *[spacing] * 3, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2  # millimetres
    struct.pack_into("<2h", header, 252, 0, 1)
    for row in range(3):
        struct.pack_into("<f", header, 280 + 16 * row + 4 * row, spacing)
    header[344:348] = b"n+1\0"
    n_voxels = shape[0] * shape[1] * shape[2]
    voxels = bytes((i * 7919 + i // 251) % 256 if i % 2 == 0 else 0 for i in range(2 * n_voxels))
    path.write_bytes(gzip.compress(bytes(header) + voxels, 1))


class ServerProcess:
    """`nephrite serve` on a free port of the loopback interface."""

    def __init__(self, nephrite: Path, data: Path, config: str = "", prefix: tuple = (), environment: dict | None = None):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.data, self.nephrite = data, nephrite
        self.file = data / "server.toml"
        self.file.write_text(f"listen = '127.0.0.1:{self.port}'\nroot = '.'\n{config}")
        self.log = data / "server.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen([*prefix, nephrite, "serve", "--config", self.file], stdout=log, stderr=log,
                                          env=os.environ | (environment or {}))
        for _ in range(600):
            if subprocess.run([nephrite, "health", "--config", self.file], capture_output=True).returncode == 0:
                return
            if self.child.poll() is not None:
                raise RuntimeError(f"the server ended: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)
        raise RuntimeError("the server does not serve")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def status(self, key: str) -> int:
        text = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(rf"{key}:\s*(\d+)", text).group(1))

    def figures(self) -> dict:
        return {"rss_mb": self.status("VmRSS") / 1024, "peak_mb": self.status("VmHWM") / 1024,
                "threads": self.status("Threads"), "descriptors": len(os.listdir(f"/proc/{self.child.pid}/fd"))}

    def is_alive(self) -> bool:
        return self.child.poll() is None

    def stop(self) -> int:
        if self.is_alive():
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=120)


def leftovers(data: Path) -> list:
    """Files that only a crash may leave: hidden ones and partial ones."""
    return [str(path.relative_to(data)) for path in data.rglob("*")
            if path.name.startswith(".") or ".partial" in path.name]
