"""Layers against direct formulas; the golden files cover them in the networks."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.models.dropout import ChannelDropout
from hierseg_jax.models.layers import Compute, Conv, ConvTranspose, max_pool_2x2
from hierseg_jax.models.normalization import BatchNorm
from hierseg_jax.models.upsampling import double_bicubic, upsample_nearest

RNG = np.random.RandomState(0)


class Formulated(Compute):
    """Computes as told, whatever the machine has."""

    def __init__(self, formulation):
        super().__init__()
        object.__setattr__(self, "told", formulation)

    @property
    def formulation(self):
        return self.told


def direct_conv(x, kernel, bias, stride, dilation, groups):
    """Output pixel by output pixel."""
    b, h, w, _ = x.shape
    kh, kw, per_group, features = kernel.shape
    ph, pw = (d * (k // 2) for k, d in zip((kh, kw), dilation, strict=True))
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    out = np.zeros((b, -(-h // stride), -(-w // stride), features))
    for i, j, f in np.ndindex(out.shape[1:]):
        group = f // (features // groups)
        channels = slice(group * per_group, (group + 1) * per_group)
        patch = padded[
            :,
            i * stride : i * stride + dilation[0] * (kh - 1) + 1 : dilation[0],
            j * stride : j * stride + dilation[1] * (kw - 1) + 1 : dilation[1],
            channels,
        ]
        out[:, i, j, f] = (patch * kernel[..., f]).sum((1, 2, 3)) + bias[f]
    return out


@pytest.mark.parametrize(
    ("kernel_size", "stride", "dilation", "groups"),
    [
        ((3, 3), 2, (1, 1), 1),
        ((5, 1), 1, (1, 1), 1),
        ((3, 1), 1, (5, 1), 1),
        ((1, 3), 1, (1, 2), 1),
        ((1, 1), 1, (1, 1), 1),
        ((5, 5), 2, (1, 1), 4),
        ((3, 3), 1, (1, 1), 2),
    ],
)
def test_conv_equals_its_definition(kernel_size, stride, dilation, groups):
    x = RNG.randn(2, 8, 6, 4).astype(np.float32)
    layer = Conv(8, kernel_size, stride=stride, dilation=dilation, groups=groups)
    variables = layer.init(jax.random.key(0), x)
    expected = direct_conv(x, *(
        np.asarray(variables["params"][k], np.float64) for k in ("kernel", "bias")
    ), stride, dilation, groups)  # fmt: skip
    np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_conv_transpose_equals_its_definition(kernel_size):
    """Every input pixel adds its kernel at twice its place, less a padding of 1 for size 3."""
    x = RNG.randn(1, 3, 4, 2).astype(np.float32)
    layer = ConvTranspose(5, kernel_size)
    variables = layer.init(jax.random.key(0), x)
    kernel, bias = (np.asarray(variables["params"][k], np.float64) for k in ("kernel", "bias"))
    full = np.zeros((1, 2 * 3 + 2, 2 * 4 + 2, 5))
    for i, j in np.ndindex(3, 4):
        full[0, 2 * i : 2 * i + kernel_size, 2 * j : 2 * j + kernel_size] += np.einsum(
            "hwoi,i->hwo", kernel, x[0, i, j]
        )
    start = 1 if kernel_size == 3 else 0
    expected = full[:, start : start + 6, start : start + 8] + bias
    np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)
    with pytest.raises(ValueError, match="2 or 3"):
        ConvTranspose(5, 4).init(jax.random.key(0), x)


SIDES = st.integers(1, 6)


@given(
    layer=st.one_of(
        st.builds(
            lambda k, s, c: (Conv, (c, (k, k)), {"stride": s, "groups": c, "use_bias": False}, c),
            st.sampled_from([3, 5]),
            st.sampled_from([1, 2]),
            st.integers(2, 4),
        ),
        st.builds(
            lambda k, d, vertical: (
                Conv,
                (8, (k, 1) if vertical else (1, k)),
                {"dilation": (d, 1) if vertical else (1, d)},
                32,
            ),
            st.sampled_from([3, 5]),
            st.sampled_from([1, 2, 5]),
            st.booleans(),
        ),
        st.builds(
            lambda k, f, c: (ConvTranspose, (f, k), {}, c),
            st.sampled_from([2, 3]),
            st.integers(1, 4),
            st.integers(1, 4),
        ),
    ),
    batch=st.integers(1, 2),
    height=SIDES,
    width=SIDES,
)
@settings(max_examples=6, deadline=None)
def test_layers_as_products_equal_plain_ones_forward_and_backward(layer, batch, height, width):
    kind, arguments, options, channels = layer
    x = np.random.RandomState(height).randn(batch, height, width, channels).astype(np.float32)
    variables, results = None, []
    for formulation in ("xla", "products"):
        module = kind(*arguments, **options, compute=Formulated(formulation))
        variables = variables or module.init(jax.random.key(0), x)  # the same of both
        weights = np.random.RandomState(1).randn(*jax.eval_shape(module.apply, variables, x).shape)

        @jax.jit
        def output_and_gradients(variables, x, module=module, weights=weights):
            y, backward = jax.vjp(module.apply, variables, x)
            return y, backward(weights.astype(np.float32))

        results.append(output_and_gradients(variables, x))
    for plain, tuned in zip(*map(jax.tree.leaves, results), strict=True):
        scale = np.abs(plain).max() + 1e-3
        np.testing.assert_allclose(tuned, plain, rtol=1e-4, atol=1e-5 * scale)


def test_batch_norm_averages_the_unbiased_variance_as_pytorch_does():
    x = RNG.randn(2, 3, 2, 4) * 3 + 5
    layer = BatchNorm(epsilon=1e-3)
    variables = layer.init(jax.random.key(0), x.astype(np.float32), train=True)
    y, updates = layer.apply(variables, x.astype(np.float32), train=True, mutable=["batch_stats"])
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-3), atol=1e-5)
    np.testing.assert_allclose(updates["batch_stats"]["mean"], 0.1 * mean, rtol=1e-5)
    unbiased = x.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(updates["batch_stats"]["var"], 0.9 + 0.1 * unbiased, rtol=1e-5)


def test_batch_norm_shares_statistics_over_a_mapped_axis():
    x = RNG.randn(4, 2, 3, 2, 5).astype(np.float32)
    alone = BatchNorm(epsilon=1e-5)
    shared = BatchNorm(epsilon=1e-5, compute=Compute(axis_name="data"))
    variables = alone.init(jax.random.key(0), x[0], train=True)
    whole, whole_updates = alone.apply(
        variables, x.reshape(8, 3, 2, 5), train=True, mutable=["batch_stats"]
    )
    parts, updates = jax.vmap(
        lambda part: shared.apply(variables, part, train=True, mutable=["batch_stats"]),
        axis_name="data",
    )(x)
    np.testing.assert_allclose(parts.reshape(8, 3, 2, 5), whole, atol=1e-6)
    for name, value in whole_updates["batch_stats"].items():
        for part in updates["batch_stats"][name]:
            np.testing.assert_allclose(part, value, rtol=1e-6, atol=1e-7)


def test_channel_dropout_drops_whole_channels_and_keeps_the_mean():
    x = np.ones((64, 3, 2, 100), np.float32)
    factor = ChannelDropout(0.3).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert factor.shape == (64, 1, 1, 100)
    np.testing.assert_allclose(np.unique(factor), [0, 1 / 0.7], rtol=1e-6)
    np.testing.assert_allclose(np.mean(factor), 1, atol=0.02)
    assert ChannelDropout(0.3).apply({}, x, train=False) is None
    assert ChannelDropout(0.0).apply({}, x, train=True) is None


def test_bicubic_doubling_is_that_of_opencv():
    x = RNG.randn(2, 5, 9, 3).astype(np.float32)
    doubled = np.asarray(double_bicubic(jnp.asarray(x)))
    for image, found in zip(x, doubled, strict=True):
        expected = cv2.resize(image, (18, 10), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_max_pool_and_nearest_upsampling():
    x = RNG.randn(2, 4, 6, 3).astype(np.float32)
    pooled = max_pool_2x2(x)
    for i, j in np.ndindex(2, 3):
        block = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        np.testing.assert_array_equal(pooled[:, i, j], block.max((1, 2)))
    expected = x.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_array_equal(upsample_nearest(jnp.asarray(x), 4), expected)
