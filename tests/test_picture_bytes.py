"""Graphs of 8-bit integers begin with the picture's own bytes."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hierseg_jax.bridge.picture_bytes import of_pictures, ranges
from hierseg_jax.bridge.precision import with_integers

FLOAT = TensorProto.FLOAT


def network(mean):
    """Bytes / 255 - mean, moved into blocks, and one convolution."""
    rng = np.random.default_rng(0)
    tensors = {
        "scale": np.float32(1 / 255),
        "mean": np.float32(mean)[:, None, None],
        "kernel": rng.normal(size=(6, 12, 2, 2)).astype(np.float32),
        "bias": rng.normal(size=6).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["frame"], ["nchw"], "t", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["nchw"], ["float"], "c", to=FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["unit"], "m"),
        helper.make_node("Sub", ["unit", "mean"], ["centred"], "s"),
        helper.make_node("SpaceToDepth", ["centred"], ["blocks"], "d", blocksize=2),
        helper.make_node("Conv", ["blocks", "kernel", "bias"], ["logits"], "conv"),
    ]
    given = helper.make_tensor_value_info("frame", TensorProto.UINT8, (1, 8, 10, 3))
    result = helper.make_tensor_value_info("logits", FLOAT, (1, 6, 3, 4))
    constants = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "one", [given], [result], constants)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def pictures(count=8):
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (1, 8, 10, 3), np.uint8) for _ in range(count)]


def run(model, picture):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"frame": picture})[0]


def moved(kind):
    return "QuantizeLinear", kind, "DequantizeLinear"


def assert_close(model, quantised):
    """But for the few results beyond the range, which are cut off."""
    expected, found = (run(each, pictures(1)[0]) for each in (model, quantised))
    differences = np.abs(found - expected)
    assert np.percentile(differences, 90) < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("byte", [0, 127])
def test_the_convolution_takes_the_bytes_that_were_moved(byte):
    model = network([byte / 255] * 3)
    assert of_pictures(model) == ["t", "c", "m", "s", "d"]
    (found,) = ranges(model)["blocks"]
    assert found["scale"] == np.float32(1 / 255)
    assert found["zero_point"] == byte

    quantised = with_integers(model, "frame", pictures())
    makers = {node.output[0]: node for node in quantised.graph.node}
    assert not {"Cast", "Mul", "Sub"} & {node.op_type for node in makers.values()}
    (name,) = (node.input[0] for node in makers.values() if node.op_type == "Conv")
    for kind in ("DequantizeLinear", *moved("SpaceToDepth"), *moved("Transpose")):
        assert makers[name].op_type == kind
        name = makers[name].input[0]
    assert name == "frame"
    # Numbers and bytes follow one another exactly.
    scales = {tuple(node.input[1:]) for node in makers.values() if node.op_type == "QuantizeLinear"}
    assert len(scales) == 2  # the bytes' and the results'
    there = {name for node in quantised.graph.node for name in (*node.input, *node.output)}
    assert {tensor.name for tensor in quantised.graph.initializer} <= there
    assert_close(model, quantised)


@pytest.mark.parametrize("mean", [[0.485, 0.456, 0.406], [0.5, 0.5, 0.5]])
def test_means_that_are_no_byte_are_quantised_as_all_else(mean):
    """Of several numbers, or of one between two bytes."""
    model = network(mean)
    assert "blocks" not in ranges(model)
    quantised = with_integers(model, "frame", pictures())
    assert "Cast" in [node.op_type for node in quantised.graph.node]
    assert_close(model, quantised)


def test_nodes_without_inputs_are_no_bytes():
    """As the graph of a user's own network may have them."""
    model = network([0, 0, 0])
    constant = helper.make_node("Constant", [], ["seven"], "k", value_float=7.0)
    model.graph.node.insert(0, constant)
    assert of_pictures(model) == ["t", "c", "m", "s", "d"]


def test_pictures_of_numbers_have_no_bytes():
    model = network([0, 0, 0])
    model.graph.input[0].type.tensor_type.elem_type = FLOAT
    assert of_pictures(model) == []
    assert ranges(model) == {}
