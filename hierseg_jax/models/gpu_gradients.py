"""Convolutions whose gradients are written in terms that GPUs are fast at.

Same arguments, same results up to rounding. XLA hands convolutions on NVIDIA's GPUs to cuDNN. It
recognises the gradient of a kernel by its form, and not that of a dilated or of a transposed
convolution: those become a forward convolution whose window is as large as the picture, with
three or nine numbers a channel as its result, at which few of a GPU's cores can work. In ESNet's
step these were 21 of 197 convolutions (docs/kernels.md).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Sides = tuple[tuple[int, int], tuple[int, int]]
"""Zeros (before, after) along height and along width."""
NHWC = ("NHWC", "HWIO", "NHWC")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve_dilated(
    x_bhwc: jax.Array, kernel_hwio: jax.Array, dilation: tuple[int, int], padding: Sides
) -> jax.Array:
    """Convolution with stride 1, whose kernel's gradient is a matrix product for every tap."""
    return lax.conv_general_dilated(
        x_bhwc, kernel_hwio, (1, 1), padding, rhs_dilation=dilation, dimension_numbers=NHWC
    )


def _dilated_forward(
    x_bhwc: jax.Array, kernel_hwio: jax.Array, dilation: tuple[int, int], padding: Sides
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return convolve_dilated(x_bhwc, kernel_hwio, dilation, padding), (x_bhwc, kernel_hwio)


def _dilated_backward(
    dilation: tuple[int, int],
    padding: Sides,
    kept: tuple[jax.Array, jax.Array],
    dy_bhwf: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x_bhwc, kernel_hwio = kept
    (dx_bhwc,) = jax.linear_transpose(
        lambda x_bhwc: lax.conv_general_dilated(
            x_bhwc, kernel_hwio, (1, 1), padding, rhs_dilation=dilation, dimension_numbers=NHWC
        ),
        x_bhwc,
    )(dy_bhwf)
    padded_bhwc = jnp.pad(x_bhwc, ((0, 0), *padding, (0, 0)))
    height, width = dy_bhwf.shape[1:3]

    def tap(i: int, j: int) -> jax.Array:
        top, left = i * dilation[0], j * dilation[1]
        seen_bhwc = padded_bhwc[:, top : top + height, left : left + width]
        return jnp.einsum("bhwc,bhwf->cf", seen_bhwc, dy_bhwf)

    sides = kernel_hwio.shape[:2]
    taps = [tap(i, j) for i, j in np.ndindex(sides)]
    return dx_bhwc, jnp.stack(taps).reshape(kernel_hwio.shape)


convolve_dilated.defvjp(_dilated_forward, _dilated_backward)


@jax.custom_vjp
def convolve_transposed(x_bhwc: jax.Array, kernel_hwoi: jax.Array) -> jax.Array:
    """Transposed convolution with stride 2 and kernel 2 or 3, [B, h, w, C] -> [B, 2h, 2w, O].

    Its gradients are written as those of the strided convolution that it is the transpose of.
    """
    return transposed(x_bhwc, kernel_hwoi)


def transposed(x_bhwc: jax.Array, kernel_hwoi: jax.Array) -> jax.Array:
    """The same, whose gradients are left to JAX."""
    # The gradient of a strided convolution: the input dilated by the stride and the kernel
    # turned by 180 degrees.
    return lax.conv_general_dilated(
        x_bhwc,
        kernel_hwoi[::-1, ::-1],
        (1, 1),
        [(1, kernel_hwoi.shape[0] - 1)] * 2,
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )


def _strided(y_bhwo: jax.Array, kernel_hwoi: jax.Array) -> jax.Array:
    """What `transposed` is the transpose of: [B, 2h, 2w, O] -> [B, h, w, C]."""
    # Padded alike on both sides, as cuDNN wants it: a last row of zeros that no window reaches.
    padding = [(kernel_hwoi.shape[0] - 2,) * 2] * 2
    return lax.conv_general_dilated(y_bhwo, kernel_hwoi, (2, 2), padding, dimension_numbers=NHWC)


def _transposed_forward(
    x_bhwc: jax.Array, kernel_hwoi: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return transposed(x_bhwc, kernel_hwoi), (x_bhwc, kernel_hwoi)


def _transposed_backward(
    kept: tuple[jax.Array, jax.Array], dy_bhwo: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x_bhwc, kernel_hwoi = kept
    (d_kernel_hwoi,) = jax.linear_transpose(
        lambda kernel_hwoi: _strided(dy_bhwo, kernel_hwoi), kernel_hwoi
    )(x_bhwc)
    return _strided(dy_bhwo, kernel_hwoi), d_kernel_hwoi


convolve_transposed.defvjp(_transposed_forward, _transposed_backward)
