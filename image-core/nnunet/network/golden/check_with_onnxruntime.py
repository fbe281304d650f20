"""Compares the ONNX models that nephrite writes with PyTorch's logits, through ONNX Runtime.

    cargo build --release --example onnx_from_safetensors -p nephrite-nnunet-network
    python check_with_onnxruntime.py target/release/examples/onnx_from_safetensors [FILE.safetensors ...]

Every model must pass onnx's full check; prints the largest difference relative to the range of the logits.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

TARGET = 1e-5


def main():
    program, *files = sys.argv[1:]
    files = files or sorted(Path(__file__).parent.glob("*.safetensors"))
    assert files
    worst = 0.0
    for file in files:
        with tempfile.NamedTemporaryFile(suffix=".onnx") as model:
            subprocess.run([program, str(file), model.name], check=True, stdout=subprocess.DEVNULL)
            onnx.checker.check_model(model.name, full_check=True)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 2
            session = onnxruntime.InferenceSession(model.name, options, providers=["CPUExecutionProvider"])
        tensors = load_file(file)
        tile, expected = tensors["golden.input"][None], tensors["golden.logits"][None]
        found = session.run(None, {session.get_inputs()[0].name: tile})[0]
        start = time.perf_counter()
        session.run(None, {session.get_inputs()[0].name: tile})
        seconds = time.perf_counter() - start
        difference = np.abs(found - expected).max() / np.ptp(expected)
        worst = max(worst, difference)
        print(f"{Path(file).stem:32} relative difference {difference:.1e}   {seconds:.3f} s")
    assert worst <= TARGET, f"{worst} is over {TARGET}"


if __name__ == "__main__":
    main()
