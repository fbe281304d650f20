"""A network on the CPU by OpenVINO, in f32: `python peer_openvino.py GRAPH.xml THREADS`, then as `line_server.py` says."""

import collections
import sys
import time

import openvino

from line_server import memory, serve


def main(graph: str, threads: str) -> None:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": int(threads)}
    before, begin = memory()["rss_bytes"], time.perf_counter()
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    request = compiled.create_infer_request()
    seconds = time.perf_counter() - begin
    about = {
        "version": openvino.__version__.split("-")[0], "load_seconds": seconds, "rss_bytes_before": before,
        "isa": convolutions(compiled), "threads": compiled.get_property("INFERENCE_NUM_THREADS"),
    }

    def run(tile):
        request.set_input_tensor(openvino.Tensor(tile, shared_memory=True))
        begin = time.perf_counter()
        request.infer()
        seconds = time.perf_counter() - begin
        return request.get_output_tensor().data, seconds

    serve(about, list(compiled.input().shape), run)


def convolutions(compiled) -> str:
    """What computes them: the names of the plugin's implementations, with how many of each."""
    infos = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    names = [text(info["primitiveType"]) for info in infos if text(info["layerType"]) in ("Convolution", "Deconvolution")]
    return ", ".join(f"{name} ×{n}" for name, n in collections.Counter(names).most_common())


def text(value) -> str:
    return str(getattr(value, "astype", lambda _: value)(str))


if __name__ == "__main__":
    main(*sys.argv[1:3])
