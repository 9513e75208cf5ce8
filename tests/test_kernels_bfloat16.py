"""The CPU kernels on bfloat16 equal XLA's operations in float32 on numbers as they are stored."""

import functools
import os
import platform
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from hierseg_jax.models.efficient_unet.backbone import SqueezeExcite
from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.batch_norm import NormArrays, NormOptions, activate, normalize
from hierseg_jax.models.kernels.convolution import (
    Geometry,
    convolve,
    convolve_and_normalize,
    convolve_depthwise,
    convolve_transposed,
)
from hierseg_jax.models.layers import Compute

pytestmark = pytest.mark.skipif(
    bool(library.problem(jnp.bfloat16)),
    reason=f"the kernels can't be compiled: {library.problem(jnp.bfloat16)}",
)

# Around the sizes of vectors and tiles: 16 pixels, 16 and 32 channels.
SIDES = st.sampled_from([1, 2, 5, 9, 16, 17, 33])
CHANNELS = st.sampled_from([1, 3, 7, 16, 17, 24, 33, 48, 70])
KERNELS = st.sampled_from([(1, 1), (3, 1), (1, 5), (3, 3), (5, 5)])


def rounded(x):
    return x.astype(jnp.bfloat16).astype(jnp.float32)


@jax.custom_jvp
def weights_rounded(weights):
    """As products have them; their gradients are not rounded."""
    return rounded(weights)


weights_rounded.defjvp(lambda primals, tangents: (weights_rounded(*primals), *tangents))


def random(seed, *shape):
    # NumPy's: JAX compiles every operation outside of a program, for every shape.
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def assert_as_in_float32(kernel, plain, activations, parameters, tolerance=1e-4):
    """Outputs and gradients: of what is stored to half a unit in the last place of bfloat16.

    Args:
      kernel: (*activations of bfloat16, *parameters) -> y of bfloat16.
      plain: the same of float32.
      tolerance: for gradients of parameters, of the largest number.
    """
    halves = [x.astype(jnp.bfloat16) for x in activations]
    dy = random(9, *jax.eval_shape(kernel, *halves, *parameters).shape).astype(jnp.bfloat16)

    def both(function, dtype, *arguments):
        y, backward = jax.vjp(function, *arguments)
        assert y.dtype == dtype
        return y, *backward(dy.astype(dtype))

    run = jax.jit(both, static_argnums=(0, 1))
    found = map(np.asarray, run(kernel, jnp.bfloat16, *halves, *parameters))
    wanted = map(np.asarray, run(plain, jnp.float32, *map(rounded, activations), *parameters))
    for of, like in zip(found, wanted, strict=True):
        scale = np.abs(like).max() + 1e-6
        # Sums end up a little off, on the other side of a tie between two numbers.
        relative = 2**-8 if of.dtype == jnp.bfloat16 else tolerance
        difference = np.asarray(of, np.float32) / scale - like / scale
        allowed = relative * np.abs(like / scale) + tolerance / 10
        assert (np.abs(difference) <= allowed).all(), (of.dtype, np.abs(difference).max())


@given(
    batch=st.integers(1, 3),
    sides=st.tuples(SIDES, SIDES),
    channels=st.tuples(CHANNELS, CHANNELS),
    kernel=KERNELS,
    stride=st.integers(1, 2),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 5)),
    relu=st.booleans(),
)
@settings(max_examples=6)
# A strided convolution whose sides stay.
@example(2, (1, 1), (3, 5), (1, 1), 2, (1, 1), False)
def test_convolutions(batch, sides, channels, kernel, stride, dilation, relu):
    padding = tuple(d * (k // 2) for k, d in zip(kernel, dilation, strict=True))

    def plain(x, weights, bias):
        y = bias + lax.conv_general_dilated(
            x,
            weights_rounded(weights),
            (stride, stride),
            [(p, p) for p in padding],
            rhs_dilation=dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return jnp.maximum(y, 0) if relu else y

    geometry = Geometry(stride, dilation, padding, padding)
    assert_as_in_float32(
        lambda x, w, b: convolve(x, w, b, geometry, relu),
        plain,
        [random(0, batch, *sides, channels[0])],
        [random(1, *kernel, *channels), random(2, channels[1])],
    )


@pytest.mark.parametrize("size", [2, 3])
def test_transposed_convolutions(size):
    def plain(x, weights, bias):
        return bias + lax.conv_general_dilated(
            x,
            weights_rounded(weights)[::-1, ::-1],
            (1, 1),
            [(1, size - 1)] * 2,
            lhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "HWOI", "NHWC"),
        )

    geometry = Geometry(stride=2, padding=(size - 2, size - 2))
    assert_as_in_float32(
        lambda x, w, b: convolve_transposed(x, w, b, geometry, (14, 38)),
        plain,
        [random(0, 2, 7, 19, 35)],
        [random(1, size, size, 13, 35), random(2, 13)],
    )


def test_depthwise_convolutions():
    size, stride, channels = 5, 2, 40

    def plain(x, weights):
        return lax.conv_general_dilated(
            x,
            weights[:, :, None],
            (stride, stride),
            [(size // 2,) * 2] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=channels,
        )

    padding = (size // 2,) * 2
    assert_as_in_float32(
        lambda x, w: convolve_depthwise(x, w, stride, padding),
        plain,
        [random(0, 2, 11, 18, channels)],
        [random(1, size, size, channels)],
    )


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("activation", [None, "relu", "relu6", "silu"])
def test_convolutions_with_the_batch_norm_behind_them(activation, depthwise):
    channels, epsilon = 40, 1e-3
    x, shortcut = (random(i, 2, 9, 18, channels).astype(jnp.bfloat16) for i in (0, 1))
    weights = random(2, 3, 3, 1 if depthwise else channels, channels) / 6
    bias, mean, scale, offset = (random(i, channels) for i in range(3, 7))
    by = NormArrays(mean, np.abs(random(7, channels)) + 0.1, scale, offset, None, shortcut)
    how, geometry = NormOptions(epsilon, activation, jnp.bfloat16), Geometry(1, (1, 1), (1, 1))
    given = weights[:, :, 0] if depthwise else weights
    found = convolve_and_normalize(geometry, how, x, given, bias, by)
    slope = scale / np.sqrt(by.var + epsilon)
    wanted = lax.conv_general_dilated(
        x.astype(jnp.float32),
        weights * slope if depthwise else rounded(weights * slope),
        (1, 1),
        [(1, 1)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels if depthwise else 1,
    )
    wanted = activate(wanted + (bias - mean) * slope + offset + shortcut, activation)
    assert found.dtype == jnp.bfloat16
    # Half a unit in the last place of bfloat16, and a weight that was rounded the other way.
    np.testing.assert_allclose(found.astype(jnp.float32), wanted, rtol=2**-8, atol=2e-3)


@pytest.mark.parametrize(
    ("activation", "channels", "extras"),
    [(None, 24, True), ("relu", 16, True), ("relu6", 5, False), ("silu", 70, False)],
)
def test_batch_norm(activation, channels, extras):
    x, shortcut = random(0, 3, 9, 17, channels) * 3 + 1, random(3, 3, 9, 17, channels)
    factor = np.float32(2) * (random(4, 3, 1, 1, channels) > 0) if extras else None

    def plain(x, shortcut, scale, bias):
        mean = x.mean((0, 1, 2))
        var = jnp.square(x - mean).mean((0, 1, 2))
        y = (x - mean) * (lax.rsqrt(var + 1e-3) * scale) + bias
        y = y * factor + shortcut if extras else y + 0 * shortcut
        if activation == "relu6":  # whose gradient is told from the result as it is stored
            return jnp.where(rounded(y) < 6, jax.nn.relu(y), 6)
        return {None: lambda y: y, "relu": jax.nn.relu, "silu": jax.nn.silu}[activation](y)

    def kernel(x, shortcut, scale, bias):
        given = shortcut if extras else None
        y = normalize(x, scale, bias, factor, given, 1e-3, activation, None)[0]
        return y if extras else y + 0 * shortcut

    scale = random(1, channels) * (4 if activation == "relu6" else 1)
    assert_as_in_float32(kernel, plain, [x, shortcut], [scale, random(2, channels)], tolerance=2e-3)


def test_squeeze_excite():
    x = random(0, 3, 19, 11, 37)
    module = functools.partial(SqueezeExcite, 5)
    plain, kernel = module(Compute(conv_impl="xla")), module(Compute(jnp.bfloat16))
    leaves, structure = jax.tree.flatten(plain.init(jax.random.key(0), x))

    def function(network):
        return lambda x, *leaves: network.apply(structure.unflatten(leaves), x)

    assert_as_in_float32(function(kernel), function(plain), [x], leaves)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "silu"])
def test_what_is_no_number_is_not_hidden(activation):
    x = random(0, 2, 4, 4, 20)
    x[1, 2, 3, 17] = np.nan
    x = x.astype(jnp.bfloat16)
    y, _, _ = normalize(x, jnp.ones(20), jnp.zeros(20), None, None, 1e-3, activation, None)
    y = np.asarray(y, np.float32)
    assert np.isnan(y[..., 17]).all()
    assert np.isfinite(np.delete(y, 17, axis=-1)).all()
    y = convolve(x, random(1, 1, 1, 20, 20), jnp.zeros(20), Geometry(), True)
    assert np.isnan(np.asarray(y, np.float32)).all(-1).sum() == 1


def test_a_kernel_refuses_activations_of_another_size():
    kernel = library.call("hierseg_moments", (3,), (3,), storage=jnp.bfloat16)
    with pytest.raises(TypeError, match="float32 for 16 bits"):
        kernel(jnp.zeros((1, 2, 2, 3)))


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of that kind")
@pytest.mark.parametrize(
    "flags",
    [
        "-O1 -march=x86-64",
        "-O1 -march=x86-64-v3",
        "-O1 -march=native -mno-amx-tile -mno-amx-bf16 -mno-amx-int8",
        "-O1 -march=native -mno-avx512bf16",
    ],
)
def test_other_processors_compute_the_same(flags):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", __file__],
        env=os.environ | {"HIERSEG_JAX_KERNEL_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
