"""Of a graph, what leads to some of its outputs."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hierseg_jax.runtime.onnx_part import part_for
from hierseg_jax.runtime.protobuf import fields, message_head
from tests.test_runtime import deploy_file


def model_of(nodes, outputs, **tensors):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in outputs]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])]
    constants = [numpy_helper.from_array(np.float32(v), name) for name, v in tensors.items()]
    graph = helper.make_graph(nodes, "g", given, values, constants)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


@pytest.fixture
def branches():
    """x + 1 = shared; 2 shared = a; shared - 3 = between; between / 4 = b."""
    nodes = [
        helper.make_node("Add", ["x", "one"], ["shared"]),
        helper.make_node("Mul", ["shared", "two"], ["a"]),
        helper.make_node("Sub", ["shared", "three"], ["between"]),
        helper.make_node("Div", ["between", "four"], ["b"]),
    ]
    return model_of(nodes, ["a", "b"], one=[1, 1], two=[2, 2], three=[3, 3], four=[4, 4])


@pytest.mark.parametrize(
    ("outputs", "nodes", "constants"),
    [
        (["a"], ["Add", "Mul"], {"one", "two"}),
        (["b"], ["Add", "Sub", "Div"], {"one", "three", "four"}),
        (["b", "a"], ["Add", "Mul", "Sub", "Div"], {"one", "two", "three", "four"}),
    ],
)
def test_nodes_and_constants_that_lead_to_outputs_stay(branches, outputs, nodes, constants):
    helper.set_model_props(branches, {"key": "value"})
    part = onnx.load_from_string(part_for(branches.SerializeToString(), outputs))
    onnx.checker.check_model(part, full_check=True)
    assert [node.op_type for node in part.graph.node] == nodes
    assert {tensor.name for tensor in part.graph.initializer} == constants
    assert [value.name for value in part.graph.output] == sorted(outputs)
    assert part.metadata_props == branches.metadata_props
    x = np.float32([5, -7])
    found, expected = (
        onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(outputs, {"x": x})
        for model in (part, branches)
    )
    np.testing.assert_array_equal(found, expected)


def test_all_outputs_are_the_whole_file(tmp_path):
    data = deploy_file(tmp_path / "a.onnx").read_bytes()
    names = [value.name for value in onnx.load_from_string(data).graph.output]
    part, whole = onnx.load_from_string(part_for(data, names)), onnx.load_from_string(data)
    assert part.graph.node == whole.graph.node
    assert part.graph.output == whole.graph.output


def test_what_can_t_be_told_apart_is_left_alone(branches):
    data = branches.SerializeToString()
    assert part_for(data, ["c"]) is None
    assert part_for(data[: len(data) // 2], ["a"]) is None
    assert part_for(b"hello", ["a"]) is None

    then = helper.make_graph(
        [helper.make_node("Neg", ["shared"], ["y"])],
        "then",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    nodes = [*branches.graph.node, helper.make_node("If", ["x"], ["c"], then_branch=then)]
    nested = model_of(nodes, ["a", "c"])
    assert part_for(nested.SerializeToString(), ["c"]) is None

    tensor = branches.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    assert part_for(branches.SerializeToString(), ["a"]) is None


@pytest.mark.parametrize("field", [1, 5, 12, 13])
def test_a_number_in_a_message_s_place_is_left_alone(branches, field):
    """onnxruntime passes over it."""
    (graph,) = (each for each in fields(memoryview(branches.SerializeToString())) if each[0] == 7)
    content = bytes(graph.value) + bytes([field << 3, 1])
    data = message_head(7, len(content)) + content
    assert part_for(data, ["a"]) is None
