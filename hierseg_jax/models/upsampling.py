"""What brings feature maps and logits, NHWC, to larger sides, about the centres of pixels."""

import jax
import jax.numpy as jnp
from jax import lax

from hierseg_jax.system.errors import HiersegError

UPSAMPLINGS = ("bicubic", "bilinear", "nearest")
BICUBIC = (-0.03515625, 0.26171875, 0.87890625, -0.10546875)
"""Weights of the pixels 7/4, 3/4, 1/4 and 5/4 from a point a quarter to the left of a centre."""


def upsample_nearest(x_bhwc: jax.Array, factor: int) -> jax.Array:
    """Repeats every pixel `factor` times along both sides."""
    b, h, w, c = x_bhwc.shape
    blocks = jnp.broadcast_to(x_bhwc[:, :, None, :, None, :], (b, h, factor, w, factor, c))
    return blocks.reshape(b, h * factor, w * factor, c)


def upsample(x_bhwc: jax.Array, factor: int, upsampling: str) -> jax.Array:
    """`factor` times the sides, `nearest` or `bilinear`, about the centres of pixels."""
    if upsampling == "nearest":
        return upsample_nearest(x_bhwc, factor)
    if upsampling != "bilinear":
        raise HiersegError(f"There is no upsampling {upsampling!r}.")
    b, h, w, c = x_bhwc.shape
    return jax.image.resize(x_bhwc, (b, h * factor, w * factor, c), "linear")


def double_bicubic(x_bhwc: jax.Array) -> jax.Array:
    """Twice the sides by cubic convolution about the centres of pixels; edges are continued.

    Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981, equation 8 with the
    parameter -3/4, which ONNX's Resize and OpenCV have.
    """
    return _doubled(x_bhwc, BICUBIC)


def double_bilinear(x_bhwc: jax.Array) -> jax.Array:
    """As `upsample` by 2, in a way that is faster on a CPU."""
    return _doubled(x_bhwc, (0.25, 0.75))


def _doubled(x_bhwc: jax.Array, weights: tuple[float, ...]) -> jax.Array:
    """Twice the sides.

    Args:
      x_bhwc: whose edges are continued.
      weights: an even number, of the pixels around a point a quarter to the left of a centre,
        from the left: half of their centres lie on each side of it.
    """
    taps, edge = len(weights), len(weights) // 2
    for axis in (1, 2):
        size = x_bhwc.shape[axis]
        width = [(edge, edge) if i == axis else (0, 0) for i in range(4)]
        padded = jnp.pad(x_bhwc, width, mode="edge")
        shifted = [lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(taps + 1)]
        left = sum(w * x for w, x in zip(weights, shifted[:taps], strict=True))
        right = sum(w * x for w, x in zip(weights, shifted[:0:-1], strict=True))
        shape = [side * (1 + (i == axis)) for i, side in enumerate(x_bhwc.shape)]
        x_bhwc = jnp.stack([left, right], axis=axis + 1).reshape(shape)
    return x_bhwc
