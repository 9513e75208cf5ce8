"""Bicubic doubling in exported graphs, beside the network's own."""

import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from hierseg_jax.bridge.contracts import Graph
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.models import upsampling
from hierseg_jax.models.graph import ops


def expected(x_nchw):
    doubled_nhwc = upsampling.double_bicubic(jnp.asarray(x_nchw.transpose(0, 2, 3, 1)))
    return np.asarray(doubled_nhwc).transpose(0, 3, 1, 2)


def random_image(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_the_graphs_bicubic_doubling_is_the_networks():
    x_nchw = random_image(2, 3, 5, 4)
    found = ops.double_bicubic(jnp.asarray(x_nchw))
    np.testing.assert_allclose(found, expected(x_nchw), atol=1e-6)


@pytest.mark.parametrize("opset", [13, pytest.param(21, marks=pytest.mark.slow)])
def test_exported_bicubic_doubling_holds_at_every_size_and_without_resize(opset):
    graph = Graph(lambda x: (ops.double_bicubic(x),), "image", np.float32, False, ("mask",))
    model = convert(graph, (8, 8), opset=opset, dynamic_size=True, dynamic_batch=True)
    # onnxruntime's cubic Resize takes longer than a small network.
    assert {node.op_type for node in model.graph.node} == {"Pad", "Conv", "DepthToSpace"}
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for shape in ((1, 3, 8, 8), (2, 3, 1, 7)):
        (found,) = session.run(None, {"image": random_image(*shape)})
        np.testing.assert_allclose(found, expected(random_image(*shape)), atol=1e-6)
