"""Writes small ONNX models, sound and broken, to `../fuzz/seeds/onnx`, and one that a transformer was exported to.

    python make_onnx_seeds.py        (versions: requirements.txt)

`tests/onnx.rs` says what is wrong with each. Written with onnx's own classes, not with nephrite's.
"""

from pathlib import Path

import onnx
import torch
from dynamic_network_architectures.architectures.primus import Primus
from onnx import TensorProto, helper, numpy_helper
import numpy as np

SEEDS = Path(__file__).parent.parent / "fuzz" / "seeds" / "onnx"
PATCH = [4, 4, 4]


def value(name, dims, data_type=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, data_type, dims)


def weight(name="weight"):
    return numpy_helper.from_array(np.arange(2, dtype=np.float32).reshape(2, 1, 1, 1, 1), name)


def model(nodes=None, initializers=None, inputs=None, outputs=None):
    nodes = nodes or [helper.make_node("Conv", ["input", "weight"], ["logits"], "conv", kernel_shape=[1, 1, 1])]
    graph = helper.make_graph(
        nodes, "g", inputs or [value("input", [1, 1, *PATCH])], outputs or [value("logits", [1, 2, *PATCH])],
        [weight()] if initializers is None else initializers)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def with_weight(change):
    tensor = weight()
    change(tensor)
    return model(initializers=[tensor])


def int64s(name, values):
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def then(node, initializers=()):
    """The sound model with a node after its convolution."""
    conv = helper.make_node("Conv", ["input", "weight"], ["x"], "conv", kernel_shape=[1, 1, 1])
    return model([conv, node], [weight(), *initializers])


def changed(change):
    m = model()
    change(m)
    return m


def external(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"


def external_without_location(tensor):
    external(tensor)
    tensor.data_location = TensorProto.DEFAULT


def constant(change):
    tensor = weight("constant")
    change(tensor)
    return then(helper.make_node("Constant", [], ["logits"], "constant", value=tensor))


def as_floats(tensor):
    tensor.ClearField("raw_data")
    tensor.float_data.extend([0, 1])


def subgraph(op_type, attribute, inputs):
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "body", [], [value("y", [1])])
    external_body = helper.make_graph([], "body", [], [value("e", [1])], [])
    tensor = external_body.initializer.add()
    tensor.CopyFrom(weight("e"))
    external(tensor)
    attributes = {attribute: body}
    if op_type == "If":
        attributes["else_branch"] = external_body
    return then(helper.make_node(op_type, inputs, ["logits"], "control", **attributes))


def smuggled_subgraph():
    """An allowed operator that carries a subgraph nobody asked for."""
    m = model()
    attribute = m.graph.node[0].attribute.add()
    attribute.name, attribute.type = "body", onnx.AttributeProto.GRAPH
    attribute.g.name = "body"
    return m


def function():
    m = model()
    m.functions.append(helper.make_function(
        "", "Conv", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]))
    return m


def sparse():
    m = model()
    values, indices = numpy_helper.from_array(np.ones(1, np.float32), "s"), numpy_helper.from_array(np.zeros(1, np.int64))
    m.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    return m


def set_attr(obj, **fields):
    for key, val in fields.items():
        setattr(obj, key, val)


NODE = helper.make_node
SEEDS_BY_NAME = {
    # sound
    "good": model(),
    "good_symbolic_batch": model(inputs=[value("input", ["n", 1, *PATCH])], outputs=[value("logits", ["n", 2, *PATCH])]),
    "good_float_data": with_weight(as_floats),
    "good_old_style_inputs": model(inputs=[value("input", [1, 1, *PATCH]), value("weight", [2, 1, 1, 1, 1])]),
    "good_metadata": changed(lambda m: helper.set_model_props(m, {"author": "nobody"})),
    # data elsewhere
    "external_data": with_weight(external),
    "external_data_without_location": with_weight(external_without_location),
    "external_data_in_attribute": constant(external),
    # code
    "subgraph_if": subgraph("If", "then_branch", ["x"]),
    "subgraph_loop": subgraph("Loop", "body", ["", "", "x"]),
    "subgraph_smuggled": smuggled_subgraph(),
    "function": function(),
    "training_info": changed(lambda m: m.training_info.add().initialization.node.add()),
    "sparse_initializer": sparse(),
    "operator_random": then(NODE("RandomNormalLike", ["x"], ["logits"], "noise")),
    "operator_other_domain": then(NODE("FusedConv", ["x"], ["logits"], "fused", domain="com.microsoft")),
    "operator_same_name_other_domain": then(NODE("Relu", ["x"], ["logits"], "relu", domain="evil")),
    "dropout_training": then(NODE("Dropout", ["x", "", "train"], ["logits"], "dropout"),
                             [numpy_helper.from_array(np.array(True), "train")]),
    "attribute_reference": changed(lambda m: set_attr(m.graph.node[0].attribute[0], ref_attr_name="k")),
    # interface
    "input_channels": model(inputs=[value("input", [1, 3, *PATCH])]),
    "input_patch": model(inputs=[value("input", [1, 1, 4, 4, 8])]),
    "input_symbolic_patch": model(inputs=[value("input", [1, 1, "z", 4, 4])]),
    "input_rank": model(inputs=[value("input", [1, 1, 4, 4])]),
    "input_batch_of_two": model(inputs=[value("input", [2, 1, *PATCH])]),
    "input_half": model(inputs=[value("input", [1, 1, *PATCH], TensorProto.FLOAT16)]),
    "input_no_shape": model(inputs=[value("input", None)]),
    "input_sequence": model(inputs=[helper.make_tensor_sequence_value_info("input", 1, None)]),
    "two_inputs": model(inputs=[value("input", [1, 1, *PATCH]), value("more", [1])]),
    "output_classes": model(outputs=[value("logits", [1, 3, *PATCH])]),
    "two_outputs": model(outputs=[value("logits", [1, 2, *PATCH]), value("weight", [2])]),
    # tensors
    "tensor_short": with_weight(lambda t: set_attr(t, raw_data=t.raw_data[:-1])),
    "tensor_long": with_weight(lambda t: set_attr(t, raw_data=t.raw_data * 2)),
    "tensor_negative_dim": with_weight(lambda t: t.dims.__setitem__(0, -2)),
    "tensor_overflowing_dims": with_weight(lambda t: t.dims.extend([2**40, 2**40])),
    "tensor_rank": with_weight(lambda t: t.dims.extend([1] * 20)),
    "tensor_two_forms": with_weight(lambda t: t.float_data.extend([0, 1])),
    "tensor_wrong_form": with_weight(lambda t: (t.ClearField("raw_data"), t.int32_data.extend([0, 1]))),
    "tensor_strings": with_weight(lambda t: (t.ClearField("raw_data"), set_attr(t, data_type=8), t.string_data.extend([b"a", b"b"]))),
    "tensor_unknown_type": with_weight(lambda t: set_attr(t, data_type=99)),
    "tensor_short_in_attribute": constant(lambda t: set_attr(t, raw_data=t.raw_data[:-1])),
    "tensor_same_name": model(initializers=[weight(), weight()]),
    # structure
    "memory_expand": then(NODE("Expand", ["x", "shape"], ["logits"], "expand"), [int64s("shape", [4096, 2, 4, 4, 4])]),
    "memory_constant_of_shape": model(
        [NODE("Conv", ["input", "weight"], ["x"], "conv", kernel_shape=[1, 1, 1]),
         NODE("ConstantOfShape", ["shape"], ["c"], "c"), NODE("Identity", ["x"], ["logits"], "identity")],
        [weight(), int64s("shape", [1024, 1024])]),
    "shape_of_values": model(
        [NODE("Conv", ["input", "weight"], ["x"], "conv", kernel_shape=[1, 1, 1]),
         NODE("Cast", ["input"], ["s"], "cast", to=TensorProto.INT64),
         NODE("ConstantOfShape", ["s"], ["c"], "c"), NODE("Identity", ["x"], ["logits"], "identity")], [weight()]),
    "value_undefined": then(NODE("Add", ["x", "nowhere"], ["logits"], "add")),
    "value_cycle": then(NODE("Add", ["x", "logits"], ["logits"], "add")),
    "value_written_twice": then(NODE("Relu", ["x"], ["x"], "relu")),
    "output_unwritten": then(NODE("Relu", ["x"], ["other"], "relu")),
    "opset_future": changed(lambda m: set_attr(m.opset_import[0], version=99)),
    "opset_missing": changed(lambda m: m.ClearField("opset_import")),
    "ir_version_future": changed(lambda m: set_attr(m, ir_version=99)),
    "graph_missing": changed(lambda m: m.ClearField("graph")),
    # sizes
    "many_attributes": changed(lambda m: [m.graph.node[0].attribute.add() for _ in range(100)]),
    "many_inputs": changed(lambda m: m.graph.node[0].input.extend([""] * 2000)),
}


def main():
    SEEDS.mkdir(parents=True, exist_ok=True)
    for name, m in SEEDS_BY_NAME.items():
        (SEEDS / f"{name}.onnx").write_bytes(m.SerializeToString(deterministic=True))
    good = SEEDS_BY_NAME["good"].SerializeToString(deterministic=True)
    onnx.checker.check_model(SEEDS_BY_NAME["good"], full_check=True)
    graph = SEEDS_BY_NAME["good"].graph.SerializeToString(deterministic=True)
    raw = {
        "empty": b"",
        "not_protobuf": b"nephrite, a green stone\n",
        "truncated": good[:-10],
        "two_graphs": good + b"\x3a" + bytes([len(graph) & 0x7F | 0x80, len(graph) >> 7]) + graph,
        "group": b"\x08\x08\x3b\x3c",
        "long_varint": b"\x08" + b"\xff" * 11,
        "length_past_end": b"\x08\x08\x3a\xff\xff\xff\xff\x0f",
        "field_zero": b"\x00\x00" + good,
        # 30 000 nodes of two bytes each
        "many_nodes": b"\x08\x08\x3a" + bytes([0xE0, 0xD4, 0x03]) + b"\x0a\x00" * 30000,
    }
    for name, data in raw.items():
        (SEEDS / f"{name}.onnx").write_bytes(data)

    torch.manual_seed(0)
    network = Primus(1, 12, (8, 8, 8), 2, eva_depth=1, eva_numheads=2, input_shape=(16, 16, 16)).eval()
    torch.onnx.export(
        network, (torch.randn(1, 1, 16, 16, 16),), SEEDS / "exported_primus.onnx", dynamo=False, opset_version=17,
        input_names=["input"], output_names=["logits"], dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}})
    print(len(list(SEEDS.glob("*.onnx"))), "seeds")


if __name__ == "__main__":
    main()
