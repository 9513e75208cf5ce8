"""Files of 8-bit integers on processors whose products of 8 bits are added in 16 bits."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hierseg_jax.bridge.precision import with_integers
from hierseg_jax.bridge.weight_ranges import scales


def saturated_sums(activations_u8, weights_s8):
    """What AVX2's `vpmaddubsw` gives: products added in pairs, cut off at 16 bits."""
    products = activations_u8.astype(np.int64) * weights_s8
    pairs = products.reshape(*products.shape[:-1], -1, 2).sum(-1)
    return pairs.clip(-(2**15), 2**15 - 1).sum(-1)


def every_order(weights_oihw):
    """The rows that engines may make of a kernel, from any first pair on: int8 [O, 2 k]."""
    for order in ((0, 1, 2, 3), (0, 2, 3, 1)):
        row = weights_oihw.transpose(order).reshape(len(weights_oihw), -1)
        for first in (0, 1):
            even = (row.shape[1] - first) // 2 * 2
            yield row[:, first : first + even]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([1, 3]))
def test_no_pair_of_any_weights_is_cut_off_and_they_are_hardly_smaller(seed, channels, side):
    rng = np.random.default_rng(seed)
    kernel = rng.standard_cauchy((5, channels, side, side)).astype(np.float32)
    kernel[0] = 0
    scale_o = scales(kernel)
    unit = np.where(scale_o > 0, scale_o, 1)[:, None, None, None]
    weights = np.rint(kernel / unit).astype(int)
    assert np.abs(weights).max() <= 127
    assert (scale_o <= np.abs(kernel).max((1, 2, 3)) / 63.5 * (1 + 1e-6)).all()
    for rows in every_order(weights):
        pairs = rows.reshape(len(rows), -1, 2)
        for sign in (1, -1):
            assert (sign * pairs).clip(0).sum(-1).max(initial=0) <= 128


@pytest.fixture(scope="module")
def quantised():
    """One convolution whose weights all go to the limit, over bright pictures."""
    rng = np.random.default_rng(0)
    kernel = rng.choice(np.array([-1, 1, 0.99], np.float32), (6, 8, 3, 3))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 8, 8, 8))
    result = helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, 6, 6, 6))
    node = helper.make_node("Conv", ["image", "kernel"], ["logits"], name="conv")
    tensors = [numpy_helper.from_array(kernel, "kernel")]
    graph = helper.make_graph([node], "one", [image], [result], tensors)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    pictures = [rng.choice(np.array([0, 1], np.float32), (1, 8, 8, 8)) for _ in range(4)]
    return model, with_integers(model, "image", pictures), pictures[0]


def test_no_pair_of_products_is_cut_off(quantised):
    _, model, _ = quantised
    (weights,) = (
        numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    )
    for rows in every_order(weights):
        # Two neighbours of the same sign, all of which are at the limit here.
        assert np.abs(rows.astype(int)).max() == 64
        for brightness in (255, 0, (255, 0), (0, 255)):
            bright = np.resize(np.array(brightness, np.uint8), rows.shape)
            exact = (bright.astype(np.int64) * rows).sum(-1)
            np.testing.assert_array_equal(saturated_sums(bright, rows), exact)
    # With all 8 bits they would be.
    wide = np.full((1, 2), 127, np.int8)
    assert saturated_sums(np.full((1, 2), 255, np.uint8), wide) < 2 * 255 * 127


def test_it_still_computes_the_convolution(quantised):
    exact, rounded = (
        onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, {"image": quantised[2]})[0]
        for model in quantised[:2]
    )
    np.testing.assert_allclose(rounded, exact, atol=0.02 * np.abs(exact).max())
