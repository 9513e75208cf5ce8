"""Convolutions written as products, for CPUs, where XLA's own are slow.

Same arguments, same results up to rounding; what is slow is chiefly the backward pass.
"""

import functools
import itertools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def conv_as_products(
    x_bhwc: jax.Array, kernel_hwio: jax.Array, dilation: tuple[int, int]
) -> jax.Array:
    """Convolution, padded to keep its sides, as a sum of matrix products of shifted inputs.

    XLA's own backward pass takes about twice as long on a CPU for 5 x 1 and for dilated
    kernels at 64 and 128 channels.
    """
    height, width = x_bhwc.shape[1:3]
    padding = [(d * (k // 2),) * 2 for k, d in zip(kernel_hwio.shape[:2], dilation, strict=True)]
    padded = jnp.pad(x_bhwc, ((0, 0), *padding, (0, 0)))

    def product(i: int, j: int) -> jax.Array:
        top, left = i * dilation[0], j * dilation[1]
        return padded[:, top : top + height, left : left + width] @ kernel_hwio[i, j]

    return functools.reduce(
        operator.add, itertools.starmap(product, np.ndindex(kernel_hwio.shape[:2]))
    )


def depthwise_as_products(
    x_bhwc: jax.Array,
    kernel_hwc: jax.Array,
    stride: int,
    padding: Sequence[tuple[int, int]],
) -> jax.Array:
    """Depthwise convolution to ceil(side / stride) as a sum of shifted products.

    `padding` is (before, after) along height and along width.

    XLA's own takes up to 20 times as long on a CPU, forward and backward (and 1000
    times in float64).
    """
    b, height, width, c = x_bhwc.shape
    kernel_height, kernel_width, _ = kernel_hwc.shape
    out_height, out_width = -(-height // stride), -(-width // stride)
    padded = jnp.pad(x_bhwc, ((0, 0), *padding, (0, 0)))

    def shifted(i: int, j: int) -> jax.Array:
        stop = (b, i + (out_height - 1) * stride + 1, j + (out_width - 1) * stride + 1, c)
        return lax.slice(padded, (0, i, j, 0), stop, (1, stride, stride, 1))

    products = (
        shifted(i, j) * kernel_hwc[i, j] for i in range(kernel_height) for j in range(kernel_width)
    )
    return jnp.asarray(sum(products))


def conv_transpose_as_product(x_bhwc: jax.Array, kernel_hwoi: jax.Array) -> jax.Array:
    """Stride-2 transposed convolution as one matrix product and a depth-to-space.

    Each input pixel gives a 2x2 block of the output. With a 2x2 kernel that is all of
    it; a 3x3 one also reaches the first row and column of the next block, so the block
    depends on the pixel and its three neighbours below and to the right. XLA's own
    backward pass takes up to 14 times as long on a CPU.
    """
    b, h, w, _ = x_bhwc.shape
    size, _, features, channels = kernel_hwoi.shape
    if size == 2:
        inputs = x_bhwc
        matrix = kernel_hwoi.transpose(3, 0, 1, 2).reshape(channels, 4 * features)
    else:
        padded = jnp.pad(x_bhwc, ((0, 0), (0, 1), (0, 1), (0, 0)))
        neighbours = [padded[:, i : i + h, j : j + w] for i in (0, 1) for j in (0, 1)]
        inputs = jnp.concatenate(neighbours, axis=-1)
        # taps[i, a]: the kernel's row that leads from the pixel i below to row a of the
        # block, where there is one; columns alike.
        taps = {(0, 0): 1, (0, 1): 2, (1, 1): 0}
        nothing = jnp.zeros((channels, features), kernel_hwoi.dtype)
        matrix = jnp.block(
            [
                [
                    kernel_hwoi[taps[i, a], taps[j, c]].T
                    if (i, a) in taps and (j, c) in taps
                    else nothing
                    for a in (0, 1)
                    for c in (0, 1)
                ]
                for i in (0, 1)
                for j in (0, 1)
            ]
        )
    blocks = (inputs @ matrix).reshape(b, h, w, 2, 2, features)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, features)
