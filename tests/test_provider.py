"""What a network runs on is what the session says after it was made, not what it was asked for."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.session import choose_providers, settle_provider

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.mark.parametrize(
    ("wanted", "available", "asked", "actual", "settled"),
    [
        ("auto", [CUDA, CPU], [CUDA, CPU], [CUDA, CPU], "cuda"),
        ("auto", ["AzureExecutionProvider", CPU], [CPU], [CPU], "cpu"),
        ("cuda", [CUDA, CPU], [CUDA], [CUDA, CPU], "cuda"),
        ("cpu", [CUDA, CPU], [CPU], [CPU], "cpu"),
    ],
)
def test_the_best_provider_is_asked_for_and_named(wanted, available, asked, actual, settled):
    assert choose_providers(wanted, available) == asked
    assert settle_provider(wanted, available, actual) == (settled, "")


def test_cuda_that_ends_on_the_cpu_is_an_error_and_auto_says_so():
    with pytest.raises(ValueError, match=r"could not start it .*; give --provider=cpu"):
        settle_provider("cuda", [CUDA, CPU], [CPU])
    provider, note = settle_provider("auto", [CUDA, CPU], [CPU])
    assert provider == "cpu"
    assert note.endswith("the network runs on the CPU.")


@pytest.fixture
def file(tmp_path):
    kernel = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "kernel")
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["mask"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 2, 8, 8])
    graph = helper.make_graph(nodes, "g", [image], [mask], [kernel])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def test_a_session_says_what_it_runs_on(file):
    assert Segmenter(file, provider="cpu").provider == "cpu"


@pytest.mark.skipif(
    CUDA in onnxruntime.get_available_providers(), reason="onnxruntime has CUDA here"
)
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_real_session_that_falls_back_is_found_out(file, monkeypatch):
    """onnxruntime without CUDA falls back as one with CUDA but without its libraries does."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    with pytest.raises(ValueError, match="could not start it"):
        Segmenter(file, provider="cuda")
    assert "the network runs on the CPU" in Segmenter(file).note
