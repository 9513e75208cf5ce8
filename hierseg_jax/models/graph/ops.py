"""Operations with one ONNX node each (a lookup takes four), for functions that jax2onnx converts.

jax2onnx turns `lax` primitives into ONNX; those below it turns into several nodes with
the image's size written into them, or wrongly. Here each is one JAX primitive that knows
its JAX meaning and its ONNX node (`onnx_node.py`). No node depends on the height and width of the
image. Arrays are NCHW.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hierseg_jax.models import layers, upsampling
from hierseg_jax.models.graph.onnx_node import LOOKUP, onnx_node

LOGITS = "logits"
_NCHW = ("NCHW", "OIHW", "NCHW")


def conv(
    x_nchw: jax.Array,
    kernel_oihw: np.ndarray,
    bias_o: np.ndarray,
    *,
    stride: int = 1,
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    padding: str = "symmetric",
) -> jax.Array:
    """Convolution with bias, padded as `layers.Conv` is, by nothing (`none`), or on one side.

    That is by what keeps the size: `start`, above and to the left, or `end`, below and to the
    right. With `same` height and width must be multiples of the stride: then the padding does not
    depend on them.
    """
    kernel_size = kernel_oihw.shape[2:]

    def pad(side: int, kernel: int, d: int) -> tuple[int, int]:
        more = (kernel - 1) * d
        if padding in ("none", "start", "end"):
            return more * (padding == "start"), more * (padding == "end")
        return layers.pad_sides(padding, side, kernel, stride, d)

    pads = [*map(pad, x_nchw.shape[2:], kernel_size, dilation)]
    before, after = zip(*pads, strict=True)

    def meaning(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        y = lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            pads,
            rhs_dilation=dilation,
            dimension_numbers=_NCHW,
            feature_group_count=groups,
        )
        return y + bias[:, None, None]

    return onnx_node(
        "Conv",
        meaning,
        x_nchw,
        kernel_oihw,
        bias_o,
        kernel_shape=kernel_size,
        strides=(stride, stride),
        pads=before + after,
        dilations=dilation,
        group=groups,
    )


def conv_transpose(x_nchw: jax.Array, kernel_iohw: np.ndarray, bias_o: np.ndarray) -> jax.Array:
    """Transposed convolution with stride 2 and a 2x2 or 3x3 kernel, which doubles the sides."""
    size = kernel_iohw.shape[2]
    # Pads of one side alone, with nothing added, would be the same; OpenCV 4 and ncnn refuse them.
    pad, added = (1, 1) if size == 3 else (0, 0)

    def meaning(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        y = lax.conv_general_dilated(
            x,
            kernel[:, :, ::-1, ::-1],
            (1, 1),
            [(1, size - 1)] * 2,
            lhs_dilation=(2, 2),
            dimension_numbers=("NCHW", "IOHW", "NCHW"),
        )
        return y + bias[:, None, None]

    return onnx_node(
        "ConvTranspose",
        meaning,
        x_nchw,
        kernel_iohw,
        bias_o,
        kernel_shape=(size, size),
        strides=(2, 2),
        pads=(pad,) * 4,
        output_padding=(added, added),
    )


def max_pool_2x2(x_nchw: jax.Array) -> jax.Array:
    """Largest of each 2x2 block."""

    def meaning(x: jax.Array) -> jax.Array:
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))

    return onnx_node("MaxPool", meaning, x_nchw, kernel_shape=(2, 2), strides=(2, 2))


def depth_to_space(x_nchw: jax.Array) -> jax.Array:
    """Channels 4c..4c+3 become the 2x2 block of channel c: [N, 4C, h, w] -> [N, C, 2h, 2w]."""

    def meaning(x: jax.Array) -> jax.Array:
        n, c, h, w = x.shape
        y = x.reshape(n, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3)
        return y.reshape(n, c // 4, 2 * h, 2 * w)

    return onnx_node("DepthToSpace", meaning, x_nchw, blocksize=2, mode="CRD")


def space_to_depth(x_nchw: jax.Array) -> jax.Array:
    """2x2 blocks become channels: [N, C, 2h, 2w] -> [N, 4C, h, w].

    Those of a block of channel c are c, C + c, 2C + c, 3C + c.
    """

    def meaning(x: jax.Array) -> jax.Array:
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 3, 5, 1, 2, 4)
        return y.reshape(n, 4 * c, h // 2, w // 2)

    return onnx_node("SpaceToDepth", meaning, x_nchw, blocksize=2)


def upsample_nearest(x_nchw: jax.Array, factor: int) -> jax.Array:
    """Repeats every pixel `factor` times along both sides."""

    def meaning(x: jax.Array) -> jax.Array:
        return jnp.repeat(jnp.repeat(x, factor, axis=2), factor, axis=3)

    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _enlarged(x_nchw, factor, meaning, mode="nearest", **how)


def upsample_bilinear(x_nchw: jax.Array, factor: int) -> jax.Array:
    """`factor` times the sides, bilinear about the centres of pixels."""

    def meaning(x: jax.Array) -> jax.Array:
        n, c, h, w = x.shape
        return jax.image.resize(x, (n, c, h * factor, w * factor), "linear")

    how = {"coordinate_transformation_mode": "half_pixel"}
    return _enlarged(x_nchw, factor, meaning, mode="linear", **how)


def double_bicubic(x_nchw: jax.Array) -> jax.Array:
    """Twice the sides, by `upsampling.double_bicubic`.

    As a convolution with a channel for each pixel of a 2x2 block: onnxruntime's cubic Resize
    takes 18 times as long.
    """
    channels, left = x_nchw.shape[1], upsampling.BICUBIC
    phases = np.array([[*left, 0], [0, *left[::-1]]], np.float32)
    blocks_oihw = np.einsum("ak,bl->abkl", phases, phases).reshape(4, 1, 5, 5)
    kernel_oihw = np.tile(blocks_oihw, (channels, 1, 1, 1))
    nothing_o = np.zeros(4 * channels, np.float32)
    padded = _continued(x_nchw, 2)
    return depth_to_space(conv(padded, kernel_oihw, nothing_o, groups=channels, padding="none"))


def _continued(x_nchw: jax.Array, width: int) -> jax.Array:
    """With edges repeated by `width` pixels on every side."""

    def meaning(x: jax.Array) -> jax.Array:
        return jnp.pad(x, ((0, 0), (0, 0), (width, width), (width, width)), mode="edge")

    return onnx_node("Pad", meaning, x_nchw, mode="edge", pads=(0, 0, width, width) * 2)


def _enlarged(
    x_nchw: jax.Array, factor: int, meaning: Callable[[jax.Array], jax.Array], **how: str
) -> jax.Array:
    scales = np.array([1, 1, factor, factor], np.float32)
    no_region = np.zeros(0, np.float32)
    return onnx_node("Resize", lambda x, roi, scales: meaning(x), x_nchw, no_region, scales, **how)


def as_logits(x_nchw: jax.Array) -> jax.Array:
    """The same array under a name that begins with `LOGITS`: what follows is decoding."""
    return onnx_node("Identity", lambda x: x, x_nchw, output=LOGITS)


def mix_channels(x_nchw: jax.Array, matrix_ko: np.ndarray) -> jax.Array:
    """Weighted sums of channels: [N, K, h, w] -> [N, O, h, w]."""
    kernel_oihw = np.ascontiguousarray(matrix_ko.T, np.float32)[:, :, None, None]
    return conv(x_nchw, kernel_oihw, np.zeros(len(kernel_oihw), np.float32))


def subtract(x_nchw: jax.Array, offset_c: np.ndarray) -> jax.Array:
    """x - offset, one for each channel."""
    return onnx_node("Sub", lambda x, offset: x - offset, x_nchw, offset_c[:, None, None])


def relu6(x_nchw: jax.Array) -> jax.Array:
    """x limited to [0, 6]."""
    limits = np.float32(0), np.float32(6)
    return onnx_node("Clip", lambda x, low, high: jnp.clip(x, low, high), x_nchw, *limits)


def at_least(x_nchw: jax.Array, low: float) -> jax.Array:
    """x, or `low` where it is below."""
    return onnx_node("Clip", lambda x, low: jnp.maximum(x, low), x_nchw, np.float32(low))


def sign(x_nchw: jax.Array) -> jax.Array:
    """-1, 0 or 1."""
    return onnx_node("Sign", jnp.sign, x_nchw)


def global_mean(x_nchw: jax.Array) -> jax.Array:
    """Mean of every channel: [N, C, h, w] -> [N, C, 1, 1]."""
    return onnx_node("GlobalAveragePool", lambda x: x.mean((2, 3), keepdims=True), x_nchw)


def channel_max(x_nchw: jax.Array) -> jax.Array:
    """Largest over the channels: [N, C, h, w] -> [N, 1, h, w]."""
    return onnx_node("ReduceMax", lambda x: x.max(1, keepdims=True), x_nchw, axes=(1,), keepdims=1)


def channel_mean(x_nchw: jax.Array) -> jax.Array:
    """Mean over the channels: [N, C, h, w] -> [N, 1, h, w].

    There is no sum beside it: its axes are an input from opset 13 on, which pnnx (for ncnn) loses.
    """
    return onnx_node(
        "ReduceMean", lambda x: x.mean(1, keepdims=True), x_nchw, axes=(1,), keepdims=1
    )


def channel_argmax(x_nchw: jax.Array) -> jax.Array:
    """Index of the first largest channel: [N, C, h, w] -> integers [N, 1, h, w]."""
    return onnx_node(
        "ArgMax",
        lambda x: jnp.argmax(x, axis=1, keepdims=True),
        x_nchw,
        axis=1,
        keepdims=1,
    )


def lookup(table: np.ndarray, index_n1hw: jax.Array) -> jax.Array:
    """The table's entry for every index, which must lie in the table: int32."""
    entries = table.astype(np.int32)[None]
    return onnx_node(LOOKUP, lambda entries, i: entries[0, i], entries, index_n1hw)


def drop_channel(x_n1hw: jax.Array) -> jax.Array:
    """[N, 1, h, w] -> [N, h, w]."""
    return onnx_node("Squeeze", lambda x: x[:, 0], x_n1hw, axes=(1,))
