"""The CPU kernels equal XLA's own operations and autodiff's gradients; without them all goes on."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from hierseg_jax.models import create_model
from hierseg_jax.models.efficient_unet.backbone import SqueezeExcite
from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.batch_norm import normalize
from hierseg_jax.models.kernels.convolution import (
    Geometry,
    convolve,
    convolve_depthwise,
    convolve_transposed,
)
from hierseg_jax.models.layers import Compute, Conv
from hierseg_jax.models.normalization import BatchNorm

pytestmark = pytest.mark.skipif(
    bool(library.problem()), reason=f"the kernels can't be compiled: {library.problem()}"
)

SIDES = st.integers(1, 19)
# Around the widths of one and two vectors of 4, 8 and 16 numbers.
CHANNELS = st.sampled_from([1, 3, 7, 8, 13, 16, 17, 32, 33, 40])
KERNELS = st.sampled_from([(1, 1), (3, 1), (1, 5), (3, 3), (5, 5), (2, 2)])


def random(seed, *shape):
    # NumPy's, here and below: JAX compiles every operation outside of a program, for every shape.
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def values_and_gradients(kernel, plain, arguments, without=False):
    """Output and gradients of both, each one program; none come back where `without` is True."""
    dy = np.where(without, np.float32(0), random(9, *jax.eval_shape(plain, *arguments).shape))

    def both(function):
        y, backward = jax.vjp(function, *arguments)
        return y, *backward(dy)

    both = jax.jit(both, static_argnums=0)
    return [list(map(np.asarray, both(function))) for function in (kernel, plain)]


def assert_same_values_and_gradients(kernel, plain, arguments):
    """All outputs and gradients, to 1e-4 of the largest number."""
    of_kernel, of_plain = values_and_gradients(kernel, plain, arguments)
    # What nobody differentiates may be computed otherwise.
    alone = np.asarray(jax.jit(kernel)(*arguments))
    for found, wanted in zip((alone, *of_kernel), (of_plain[0], *of_plain), strict=True):
        assert found.shape == wanted.shape
        scale = np.abs(wanted).max() + 1e-6
        np.testing.assert_allclose(found / scale, wanted / scale, rtol=1e-4, atol=1e-5)


@given(
    batch=st.integers(1, 3),
    sides=st.tuples(SIDES, SIDES),
    channels=st.tuples(CHANNELS, CHANNELS),
    kernel=KERNELS,
    stride=st.integers(1, 3),
    dilation=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    less=st.integers(0, 1),
    relu=st.booleans(),
)
@settings(max_examples=12)
def test_convolutions(batch, sides, channels, kernel, stride, dilation, less, relu):
    padding = tuple(d * (k // 2) for k, d in zip(kernel, dilation, strict=True))
    before = tuple(max(p - less, 0) for p in padding)
    if any(
        s + 2 * p - less < d * (k - 1) + 1
        for s, p, d, k in zip(sides, padding, dilation, kernel, strict=True)
    ):
        return

    def plain(x, weights, bias):
        y = bias + lax.conv_general_dilated(
            x,
            weights,
            (stride, stride),
            list(zip(before, padding, strict=True)),
            rhs_dilation=dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return jnp.maximum(y, 0) if relu else y

    arguments = (
        random(0, batch, *sides, channels[0]),
        random(1, *kernel, *channels),
        random(2, channels[1]),
    )
    geometry = Geometry(stride, dilation, before, padding)
    assert_same_values_and_gradients(
        lambda x, w, b: convolve(x, w, b, geometry, relu), plain, arguments
    )


@given(
    batch=st.integers(1, 3),
    sides=st.tuples(SIDES, SIDES),
    channels=st.tuples(CHANNELS, CHANNELS),
    size=st.sampled_from([2, 3]),
)
@settings(max_examples=6)
def test_transposed_convolutions(batch, sides, channels, size):
    def plain(x, weights, bias):
        return bias + lax.conv_general_dilated(
            x,
            weights[::-1, ::-1],
            (1, 1),
            [(1, size - 1)] * 2,
            lhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "HWOI", "NHWC"),
        )

    geometry = Geometry(stride=2, padding=(size - 2, size - 2))
    double = tuple(2 * side for side in sides)
    arguments = (
        random(0, batch, *sides, channels[0]),
        random(1, size, size, channels[1], channels[0]),
        random(2, channels[1]),
    )
    assert_same_values_and_gradients(
        lambda x, w, b: convolve_transposed(x, w, b, geometry, double), plain, arguments
    )


@given(
    batch=st.integers(1, 3),
    sides=st.tuples(SIDES, SIDES),
    channels=CHANNELS,
    size=st.sampled_from([3, 5]),
    stride=st.integers(1, 2),
    less=st.integers(0, 1),
)
@settings(max_examples=8)
def test_depthwise_convolutions(batch, sides, channels, size, stride, less):
    after = size // 2
    before = after - less
    if min(sides) + before + after < size:
        return

    def plain(x, weights):
        return lax.conv_general_dilated(
            x,
            weights[:, :, None],
            (stride, stride),
            [(before, after)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=channels,
        )

    arguments = random(0, batch, *sides, channels), random(1, size, size, channels)
    assert_same_values_and_gradients(
        lambda x, w: convolve_depthwise(x, w, stride, (before, before), (after, after)),
        plain,
        arguments,
    )


@given(
    batch=st.integers(2, 4),
    sides=st.tuples(SIDES, SIDES),
    channels=CHANNELS,
    activation=st.sampled_from([None, "relu", "relu6", "silu"]),
    extras=st.tuples(st.booleans(), st.booleans()),
    offset=st.sampled_from([0.0, 100.0]),
)
@example(  # A value is -3e-6, and XLA's rounding has it above 0.
    batch=3,
    sides=(10, 14),
    channels=17,
    activation="relu6",
    extras=(False, True),
    offset=100.0,
)
@settings(max_examples=12)
def test_batch_norm(batch, sides, channels, activation, extras, offset):
    with_factor, with_shortcut = extras[0] and activation != "silu", extras[1]
    with_shortcut = with_shortcut and activation != "silu"
    factor = np.float32(2) * (random(4, batch, 1, 1, channels) > 0) if with_factor else None

    def before_activation(x, scale, bias, shortcut):
        x = x.astype(jnp.float32)
        mean = x.mean((0, 1, 2))
        var = jnp.square(x - mean).mean((0, 1, 2))
        y = (x - mean) * (lax.rsqrt(var + 1e-3) * scale) + bias
        y = y if factor is None else y * factor
        return y + shortcut if with_shortcut else y

    def plain(*arguments):
        y = before_activation(*arguments)
        functions = {
            None: lambda y: y,
            "relu": jax.nn.relu,
            "relu6": jax.nn.relu6,
            "silu": jax.nn.silu,
        }
        return functions[activation](y)

    def kernel(x, scale, bias, shortcut):
        given_shortcut = shortcut if with_shortcut else None
        return normalize(x, scale, bias, factor, given_shortcut, 1e-3, activation, None)[0]

    x = random(0, batch, *sides, channels) * 3 + offset
    # So that ReLU6 meets its upper end as well.
    scale = random(1, channels) * (4 if activation == "relu6" else 1)
    arguments = (x, scale, random(2, channels), random(3, *x.shape))
    # Within rounding of a kink the slope is either side's; at it, as where all is dropped, it is 0.
    kinks = {"relu": (0.0,), "relu6": (0.0, 6.0)}.get(activation, ())
    y = np.asarray(jax.jit(before_activation)(*arguments))
    rounding = 1e-5 if offset == 0 else 1e-3
    near_kink = [(np.abs(y - kink) < rounding) & (y != kink) for kink in kinks]
    at_kink = functools.reduce(np.logical_or, near_kink, False)
    assert np.sum(at_kink) <= 3 + 0.02 * y.size
    (y, *slopes), (expected, *wanted_slopes) = values_and_gradients(
        kernel, plain, arguments, at_kink
    )
    # Numbers around 100 carry 1e-5 of rounding, which the variance of few pixels enlarges.
    tolerance = 1e-4 if offset == 0 else 3e-3
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
    for found, wanted in zip(slopes, wanted_slopes, strict=True):
        scale = np.abs(wanted).max() + 1e-2
        np.testing.assert_allclose(found / scale, wanted / scale, rtol=0, atol=tolerance)


@given(
    sides=st.tuples(SIDES, SIDES),
    channels=CHANNELS,
    activation=st.sampled_from([None, "relu", "relu6", "silu"]),
    extras=st.tuples(st.booleans(), st.booleans()),
)
@settings(max_examples=8)
def test_batch_norm_by_running_statistics(sides, channels, activation, extras):
    x = random(0, 2, *sides, channels)
    factor = np.float32(2) * (random(4, 2, 1, 1, channels) > 0) if extras[0] else None
    shortcut = random(3, *x.shape) if extras[1] else None
    statistics = {"mean": random(5, channels), "var": np.abs(random(6, channels)) + 0.1}

    def by(conv_impl):
        norm = BatchNorm(1e-3, activation=activation, compute=Compute(conv_impl=conv_impl))
        return lambda x, scale, bias: norm.apply(
            {"params": {"scale": scale, "bias": bias}, "batch_stats": statistics},
            x,
            train=False,
            factor_b11c=factor,
            shortcut_bhwc=shortcut,
        )

    arguments = x, 4 * random(1, channels), random(2, channels)
    assert_same_values_and_gradients(by("tuned"), by("xla"), arguments)


@given(
    sides=st.tuples(SIDES, SIDES),
    channels=st.tuples(CHANNELS, CHANNELS),
    kernel=KERNELS.filter(lambda sides: sides != (2, 2)),
    stride=st.integers(1, 2),
    depthwise=st.booleans(),
    activation=st.sampled_from([None, "relu", "relu6", "silu"]),
    with_shortcut=st.booleans(),
)
@settings(max_examples=12)
# Those with fewer products, and channels that fill no vectors.
@example((17, 13), (64, 64), (5, 1), 1, False, "relu", True)
@example((9, 14), (67, 90), (3, 3), 1, False, "silu", False)
def test_convolutions_with_the_batch_norm_behind_them(
    sides, channels, kernel, stride, depthwise, activation, with_shortcut
):
    inputs, outputs = (max(channels), max(channels)) if depthwise else channels
    statistics = {"mean": random(5, outputs), "var": np.abs(random(6, outputs)) + 0.1}

    def by(conv_impl):
        compute = Compute(conv_impl=conv_impl)
        conv = Conv(
            outputs,
            kernel,
            stride=stride,
            groups=inputs if depthwise else 1,
            compute=compute,
        )
        norm = BatchNorm(1e-3, activation=activation, compute=compute)

        def both(x, weights, bias, scale, offset, shortcut):
            of_norm = {"params": {"scale": scale, "bias": offset}, "batch_stats": statistics}
            of_conv = conv.bind({"params": {"kernel": weights, "bias": bias}})
            assert of_conv.can_normalize(inputs) == (conv_impl == "tuned")
            shortcut = shortcut if with_shortcut else None
            return norm.apply(of_norm, x, train=False, shortcut_bhwc=shortcut, conv=of_conv)

        return both

    y_sides = [-(-side // stride) for side in sides]
    per_group = 1 if depthwise else inputs
    arguments = (
        random(0, 2, *sides, inputs),
        random(1, *kernel, per_group, outputs) / (kernel[0] * kernel[1] * per_group) ** 0.5,
        random(2, outputs),
        # So that ReLU6 meets its upper end as well.
        4 * random(3, outputs),
        random(4, outputs),
        random(7, 2, *y_sides, outputs),
    )
    assert_same_values_and_gradients(by("tuned"), by("xla"), arguments)


def test_squeeze_excite():
    x = random(0, 3, 19, 11, 37)
    module = functools.partial(SqueezeExcite, 5)
    plain, kernel = (module(Compute(conv_impl=impl)) for impl in ("xla", "tuned"))
    variables = plain.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, variables, kernel.init(jax.random.key(0), x))
    leaves, structure = jax.tree.flatten(variables)

    def function(network):
        return lambda x, *leaves: network.apply(structure.unflatten(leaves), x)

    assert_same_values_and_gradients(function(kernel), function(plain), (x, *leaves))


def test_batch_moments_are_exact_far_from_zero():
    x = np.random.RandomState(0).randn(2, 40, 30, 5) * 0.01 + 1000
    _, mean, var = normalize(
        jnp.asarray(x, jnp.float32), jnp.ones(5), jnp.zeros(5), None, None, 1e-3, None, None
    )
    rounded = np.asarray(x, np.float32).astype(np.float64)
    np.testing.assert_allclose(mean, rounded.mean((0, 1, 2)), rtol=1e-7)
    np.testing.assert_allclose(var, rounded.var((0, 1, 2)), rtol=1e-3)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "silu"])
def test_what_is_no_number_is_not_hidden(activation):
    x = random(0, 2, 4, 4, 20)
    x[1, 2, 3, 17] = np.nan
    y, _, _ = normalize(x, jnp.ones(20), jnp.zeros(20), None, None, 1e-3, activation, None)
    assert np.isnan(y[..., 17]).all()
    assert np.isfinite(np.delete(y, 17, axis=-1)).all()
    y = convolve(x, random(1, 1, 1, 20, 20), jnp.zeros(20), Geometry(), True)
    assert np.isnan(y[1, 2, 3]).all()


DIGEST = """
import hashlib, jax, jax.numpy as jnp, numpy as np
from hierseg_jax.models.kernels.convolution import Geometry, convolve
x = jnp.asarray(np.random.RandomState(0).randn(4, 40, 40, 24), jnp.float32)
h = x.astype(jnp.bfloat16)
w = jnp.asarray(np.random.RandomState(1).randn(3, 3, 24, 20), jnp.float32)
f = lambda x, w: (convolve(x, w, jnp.zeros(20), Geometry(padding=(1, 1))) ** 2).sum()
gradients_of = lambda f, *xs: jax.jit(jax.grad(f, (0, 1)))(*xs)
gradients = [*gradients_of(f, x, w), *gradients_of(f, h, w)]
x, w = jnp.tile(x, 2), jnp.tile(w[:, 1:2], (1, 1, 2, 3))
f = lambda x, w: (convolve(x, w, jnp.zeros(60), Geometry(padding=(1, 0))) ** 2).sum()
gradients += gradients_of(f, x, w)
print([hashlib.sha256(np.asarray(g).tobytes()).hexdigest() for g in gradients])
"""


def test_bits_do_not_depend_on_the_number_of_threads():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"NPROC": count},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for count in ("1", "2", "3")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_networks_have_the_kernels_of_their_precision(dtype):
    with jax.enable_x64(dtype == "float64"):
        model = create_model("esnet_mini", 4, dtype=dtype)
        shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
        text = jax.jit(model.apply).lower(shapes, jnp.zeros((1, 16, 16, 3))).as_text()
    has = {name for name in ("float32", "bfloat16") if f"hierseg_convolve_{name}" in text}
    assert has == {dtype} - {"float64"}
