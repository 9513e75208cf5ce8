"""Exported graphs in other engines than onnxruntime."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import cv2
import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.models import Variant, create_model, init_variables
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from hierseg_jax.tree.siblings import find_siblings
from tests.test_pretrained import uneven

SIZES = {"esnet_mini": (16, 24), "conditional": (16, 24), "lite0_short": (32, 64)}
NAMES = {
    "reference": ["mask"],
    "deploy": ["body", "upper_lower", "part", "confidence", "scores"],
}
TOLERANCES = {"mask": 1e-5, "confidence": 1e-5, "scores": 1}
"""Of the outputs that are no label maps; `scores` are rounded."""


def network(name):
    if name == "esnet_mini":
        return create_model(name, 7, conv_impl="xla")
    if name == "conditional":
        siblings = find_siblings(PASCAL_PERSON_PART)
        return create_model(
            "esnet_mini", siblings.num_nodes, conv_impl="xla", conditional_head=siblings
        )
    lite = Variant("same", 1e-3, "lite")
    return create_model(
        "effunet", 7, backbone=name, variant=lite, upsampling="bicubic", conv_impl="xla"
    )


@pytest.fixture(scope="module", params=SIZES)
def trained(request):
    model = network(request.param)
    return model, uneven(init_variables(model, jax.random.key(1))), SIZES[request.param]


@pytest.fixture(scope="module", params=["reference", "deploy"])
def exported(request, trained, tmp_path_factory):
    """Of a contract, at the default opset: the file, an input and what onnxruntime gives."""
    contract = request.param
    model, variables, size = trained
    graph = build_graph(contract, model, variables, PASCAL_PERSON_PART)
    file = tmp_path_factory.mktemp(contract) / "network.onnx"
    file.write_bytes(convert(graph, size).SerializeToString())
    frame_nhwc = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    image_nchw = (frame_nhwc.astype(np.float32) / 255).transpose(0, 3, 1, 2)
    given = frame_nhwc if graph.channels_last else np.ascontiguousarray(image_nchw)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    outputs = session.run(NAMES[contract], {graph.input_name: given})
    return file, given, dict(zip(NAMES[contract], outputs, strict=True))


def assert_equal(found, expected):
    """Probabilities to 1e-5, and every label."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        tolerance = TOLERANCES.get(name, 0)
        np.testing.assert_allclose(
            found[name].astype(np.float64), array, atol=tolerance, rtol=0, err_msg=name
        )


def test_opencv_reads_them(exported):
    file, given, expected = exported
    net = cv2.dnn.readNetFromONNX(str(file))
    net.setInput(given)
    assert_equal(dict(zip(expected, net.forward(list(expected)), strict=True)), expected)


def test_onnxs_own_evaluator_reads_them(exported):
    file, given, expected = exported
    evaluator = ReferenceEvaluator(str(file))
    outputs = evaluator.run(list(expected), {evaluator.input_names[0]: given})
    assert_equal(dict(zip(expected, outputs, strict=True)), expected)


def test_openvino_reads_them(exported):
    openvino = pytest.importorskip("openvino")
    file, given, expected = exported
    core = openvino.Core()
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(core.read_model(file), "CPU", hint)
    outputs = model([given])
    assert_equal({name: outputs[name] for name in expected}, expected)


def test_ncnn_reads_the_contract_reference(exported, tmp_path):
    ncnn = pytest.importorskip("ncnn")
    pnnx = find_spec("pnnx")  # importing it needs torch
    if pnnx is None:
        pytest.skip("pnnx, which converts for ncnn, is not installed")
    file, given, expected = exported
    if "mask" not in expected:
        pytest.skip("ncnn has no integers, which deploy gives")
    shutil.copy(file, tmp_path / "m.onnx")
    shape = str(list(given.shape)).replace(" ", "")
    command = [Path(pnnx.origin).with_name("pnnx"), "m.onnx", f"inputshape={shape}", "fp16=0"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param(str(tmp_path / "m.ncnn.param")) == 0
    assert net.load_model(str(tmp_path / "m.ncnn.bin")) == 0
    extractor = net.create_extractor()
    image = ncnn.Mat(given[0])  # shares the array's memory
    extractor.input("in0", image)
    status, mask = extractor.extract("out0")
    assert status == 0
    assert_equal({"mask": np.array(mask)[None]}, expected)


def test_they_hold_nothing_that_some_engine_misreads(exported):
    graph = onnx.load(exported[0]).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        # OpenCV 5 takes exp, a sum and a division for a softmax; pnnx loses the sum's axes.
        assert node.op_type != "ReduceSum"
        if node.op_type == "GatherElements":
            # OpenCV 4 has no arrays of one axis, and takes 128 from constants of type uint8.
            table = constants[node.input[0]]
            assert (len(table.dims), table.data_type) == (2, onnx.TensorProto.INT32)
        if node.op_type == "ConvTranspose":
            (pads,) = (list(a.ints) for a in node.attribute if a.name == "pads")
            assert pads[:2] == pads[2:]  # neither OpenCV 4 nor ncnn has others
