"""Convolutions with fewer products than their sums have are as exact, and as reproducible."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.convolution import Geometry, convolve

pytestmark = pytest.mark.skipif(
    bool(library.problem()), reason=f"the kernels can't be compiled: {library.problem()}"
)


def random(seed, *shape):
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def shifted(x_bhwc, offset, sides):
    """x at every pixel of `sides` plus the offset, with zeros outside."""
    padded = np.pad(x_bhwc, ((0, 0), (64, 64), (64, 64), (0, 0)))
    row, column = 64 + offset[0], 64 + offset[1]
    return padded[:, row : row + sides[0], column : column + sides[1]]


def exact(x_bhwc, kernel_hwio, dy_bhwc, dilation, padding):
    """Of the float64 convolution: results, and the gradients of input, kernel and bias."""
    x, kernel, dy = (a.astype(np.float64) for a in (x_bhwc, kernel_hwio, dy_bhwc))
    y, dx, d_kernel = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(kernel)
    for i, j in np.ndindex(*kernel.shape[:2]):
        row, column = i * dilation[0] - padding[0], j * dilation[1] - padding[1]
        under = shifted(x, (row, column), dy.shape[1:3])
        y += under @ kernel[i, j]
        dx += shifted(dy, (-row, -column), x.shape[1:3]) @ kernel[i, j].T
        d_kernel[i, j] = np.einsum("bhwi,bhwo->io", under, dy)
    return y, dx, d_kernel, dy.sum((0, 1, 2))


@given(
    sides=st.tuples(st.integers(9, 24), st.integers(9, 24)),
    channels=st.sampled_from([(48, 48), (64, 40), (72, 64), (128, 33)]),
    kernel=st.sampled_from([(3, 1), (1, 3), (5, 1), (1, 5), (3, 3)]),
    dilation=st.integers(1, 3),
    less=st.integers(0, 1),
)
@example(sides=(16, 24), channels=(64, 64), kernel=(5, 1), dilation=1, less=0)
@example(sides=(16, 24), channels=(128, 128), kernel=(1, 3), dilation=2, less=0)
@example(sides=(24, 24), channels=(72, 64), kernel=(3, 3), dilation=1, less=0)
@settings(max_examples=14)
def test_results_and_gradients_equal_those_in_float64(sides, channels, kernel, dilation, less):
    dilations = tuple(dilation if size > 1 else 1 for size in kernel)
    padding = tuple(d * (size // 2) for size, d in zip(kernel, dilations, strict=True))
    before = tuple(max(p - less, 0) for p in padding)
    geometry = Geometry(1, dilations, before, padding)
    x, weights = random(0, 2, *sides, channels[0]), random(1, *kernel, *channels)
    y, backward = jax.vjp(lambda *a: convolve(*a, geometry), x, weights, jnp.zeros(channels[1]))
    dy = random(2, *y.shape)
    found = (y, *backward(jnp.asarray(dy)))
    for computed, wanted in zip(found, exact(x, weights, dy, dilations, before), strict=True):
        scale = np.sqrt((wanted**2).mean())
        np.testing.assert_allclose(computed / scale, wanted / scale, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("kernel", "dilation"), [((5, 1), (1, 1)), ((1, 3), (1, 2))])
def test_bits_of_an_image_do_not_depend_on_its_batch(kernel, dilation):
    geometry = Geometry(1, dilation, (kernel[0] // 2, dilation[1] * (kernel[1] // 2)))
    x, weights, bias = random(0, 3, 20, 24, 64), random(1, *kernel, 64, 64), random(2, 64)
    together = convolve(x, weights, bias, geometry, True)
    for image in range(3):
        alone = convolve(x[image : image + 1], weights, bias, geometry, True)
        np.testing.assert_array_equal(alone[0], together[image])
