#!/usr/bin/env python3
"""Tests the kernels and networks of this crate on the first NVIDIA card of this machine.

    python3 test_gpu.py
    python3 test_gpu.py --binaries KERNEL_TESTS CASES

builds the tests with cargo, or takes them as they were built elsewhere (`cargo test --release -p nephrite-cuda --no-run` prints where
they are: of `src/lib.rs`, then of `tests/cases/main.rs`). Where `compute-sanitizer` is on the PATH, every kernel runs under its memcheck
and racecheck as well. `NEPHRITE_CUDA_LIBRARIES` names folders of cuDNN and NVRTC that the system does not find; `build/nvrtc` is taken
if it is not set and was fetched.
"""

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FETCHED = HERE.parents[2] / "build/nvrtc"
PACKAGE = "nephrite-cuda"
EVERY_KERNEL = "kernel_tests::every_kernel_does_what_its_twin_does"
SANITIZER, TOOLS = "compute-sanitizer", ("memcheck", "racecheck")
# As the kernels are declared: those of cuDNN are not ours to check.
KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\(\w+\) )?(\w+)\(')
# Of the sanitizer if it finds something; test programs end with 101 if a test fails.
FOUND_SOMETHING = 86


def fail(why: str) -> None:
    sys.exit(f"test-gpu: {why}")


def check_card() -> None:
    """Ends the program, and says why, if there is no card to test."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        fail("libcuda.so.1 cannot be loaded: this machine has no NVIDIA driver, or a container was started without one")
    status, n_cards = driver.cuInit(0), ctypes.c_int(0)
    if status == 0:
        status = driver.cuDeviceGetCount(ctypes.byref(n_cards))
    if status != 0 or n_cards.value == 0:
        fail(f"the NVIDIA driver finds no card ({n_cards.value} cards, status {status})")


def show_card() -> None:
    """Prints what `nvidia-smi` says; tests do without it."""
    if shutil.which("nvidia-smi"):
        query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        subprocess.run(["nvidia-smi", *query], check=False)
    else:
        print("test-gpu: no nvidia-smi; the tests say which card they run on", flush=True)


def built() -> list[Path]:
    """Builds the tests: of the library, then of whole networks."""
    command = [os.environ.get("CARGO", "cargo"), "test", "--release", "--locked", "-p", PACKAGE, "--no-run"]
    built = subprocess.run([*command, "--message-format=json-render-diagnostics"], cwd=HERE, stdout=subprocess.PIPE, check=False)
    if built.returncode != 0:
        fail("the tests cannot be built")
    return programs(map(json.loads, built.stdout.splitlines()))


def programs(messages) -> list[Path]:
    """Test programs that cargo speaks of, that of the library first."""
    found = {}
    for message in messages:
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            found[message["target"]["kind"][0]] = Path(message["executable"])
    return [found["lib"], found["test"]]


def environment() -> dict[str, str]:
    """That of the tests: it asks for a card, and says where libraries are."""
    asked = {**os.environ, "NEPHRITE_TEST_GPU": "1"}
    if not asked.get("NEPHRITE_CUDA_LIBRARIES"):
        asked.pop("NEPHRITE_CUDA_LIBRARIES", None)
        if FETCHED.is_dir():
            asked["NEPHRITE_CUDA_LIBRARIES"] = str(FETCHED)
    return asked


def kernels() -> list[str]:
    """Names of all kernels."""
    sources = sorted((HERE / "kernels").glob("*.cu"))
    names = [name for source in sources for name in KERNEL.findall(source.read_text())]
    if not names:
        fail(f"there are no kernels in {HERE / 'kernels'}, which must lie beside this script")
    return names


def sanitize(sanitizer: str, tool: str, program: Path) -> bool:
    """Whether every kernel ran under `tool`, and it found nothing."""
    command = [sanitizer, "--tool", tool, "--error-exitcode", str(FOUND_SOMETHING)]
    if tool == "memcheck":
        command += ["--report-api-errors", "no"]  # cuDNN probes for what a card may lack
    for name in kernels():
        command += ["--kernel-name", f"kernel_name={name}"]
    command += [str(program), EVERY_KERNEL, "--exact", "--nocapture"]
    print(f"test-gpu: {tool}", flush=True)
    asked = environment() | {"NEPHRITE_TEST_OWN_KERNELS": "1"}  # racecheck breaks kernels of cuDNN
    ran = subprocess.run(command, env=asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(ran.stdout, flush=True)
    return ran.returncode == 0 and "1 passed" in ran.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, nargs=2, metavar=("KERNEL_TESTS", "CASES"), help="tests that were built elsewhere")
    arguments = parser.parse_args()

    check_card()
    show_card()
    kernel_tests, cases = [program.resolve() for program in arguments.binaries or built()]
    failed = []
    for program in (kernel_tests, cases):
        print(f"test-gpu: {program.name}", flush=True)
        if subprocess.run([program, "--nocapture"], env=environment(), cwd=HERE, check=False).returncode != 0:
            failed.append(program.name)
    sanitizer = shutil.which(SANITIZER)
    if sanitizer is None:
        print(f"test-gpu: no {SANITIZER} on the PATH: memory and races were not checked")
    else:
        failed += [tool for tool in TOOLS if not sanitize(sanitizer, tool, kernel_tests)]
    if failed:
        fail(f"failed: {', '.join(failed)}")
    print("test-gpu: all passed")


if __name__ == "__main__":
    main()
