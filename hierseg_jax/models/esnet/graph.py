"""The graph of ESNet for export: `architecture.py` folded, and laid out for onnxruntime.

onnxruntime keeps convolutions in a blocked channel layout and adds residuals inside them as
long as both summands are in that layout. Two things here keep them there: a Down whose
channels don't fill blocks is one convolution to all channels plus a diagonal 1x1
convolution of the pooled input, instead of a concatenation; and an identity 1x1 convolution
follows each Up, since transposed convolutions leave the layout.
"""

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.models.esnet.architecture import DILATIONS, SIZES, ESNet
from hierseg_jax.models.graph import ops
from hierseg_jax.models.graph.fold import Tree, affine, conv_weights, folded, single, subpixel

EPSILON = 1e-3
# Channels of a block with AVX-512; with AVX2 there are half as many.
BLOCK = 16


def logits(
    model: ESNet, variables: Tree, image_nchw: jax.Array, integers: bool = False
) -> jax.Array:
    """[N, 3, H, W] in [0, 1] -> [N, C, H, W]; `integers`: as 8-bit integers want it."""
    blocks = {"down": _down, "up": _subpixel_up if integers else _up, "fcu": _fcu, "pfcu": _pfcu}
    size, x = SIZES[model.size], image_nchw
    for part, names in (("encoder", size.encoder_blocks), ("decoder", size.decoder_blocks)):
        for name in names:
            block = blocks[name.rstrip("0123456789_")]
            x = block(variables["params"][part][name], variables["batch_stats"][part][name], x)
    weights = single(conv_weights(variables["params"]["decoder"]["output_conv"]))
    if integers:
        return ops.depth_to_space(ops.conv(x, *subpixel(weights)))
    return ops.conv_transpose(x, *weights)


def _down(params: Tree, stats: Tree, x_nchw: jax.Array) -> jax.Array:
    kernel_oihw, bias_o = conv_weights(params["conv"])
    scale_c, shift_c = affine(params["norm"], stats["norm"], EPSILON)
    convolved, pooled = len(bias_o), x_nchw.shape[1]
    if convolved % BLOCK == pooled % BLOCK == 0:
        weights = kernel_oihw * scale_c[:convolved, None, None, None]
        biases = bias_o * scale_c[:convolved] + shift_c[:convolved]
        y = ops.conv(x_nchw, *single((weights, biases)), stride=2)
        norm = single((scale_c[convolved:, None, None, None], shift_c[convolved:]))
        pool = ops.conv(ops.max_pool_2x2(x_nchw), *norm, groups=pooled)
        return jnp.concatenate([jax.nn.relu(y), jax.nn.relu(pool)], axis=1)
    wide_kernel = np.zeros((convolved + pooled, pooled, 3, 3))
    wide_kernel[:convolved] = kernel_oihw * scale_c[:convolved, None, None, None]
    wide_bias = shift_c + scale_c * np.concatenate([bias_o, np.zeros(pooled)])
    diagonal = np.zeros((convolved + pooled, pooled, 1, 1))
    diagonal[np.arange(convolved, convolved + pooled), np.arange(pooled)] = scale_c[
        convolved:, None, None
    ]
    y = ops.conv(x_nchw, *single((wide_kernel, wide_bias)), stride=2)
    pool = ops.max_pool_2x2(x_nchw)
    return jax.nn.relu(y + ops.conv(pool, *single((diagonal, np.zeros(len(wide_bias))))))


def _up(params: Tree, stats: Tree, x_nchw: jax.Array) -> jax.Array:
    weights = folded(params, stats, "conv", "norm", EPSILON, transposed=True)
    y = jax.nn.relu(ops.conv_transpose(x_nchw, *weights))
    channels = y.shape[1]
    identity = np.ones((channels, 1, 1, 1), np.float32)
    return ops.conv(y, identity, np.zeros(channels, np.float32), groups=channels)


def _subpixel_up(params: Tree, stats: Tree, x_nchw: jax.Array) -> jax.Array:
    weights = folded(params, stats, "conv", "norm", EPSILON, transposed=True)
    y = jax.nn.relu(ops.conv(x_nchw, *subpixel(weights), padding="end"))
    return ops.depth_to_space(y)


def _fcu(params: Tree, stats: Tree, x_nchw: jax.Array) -> jax.Array:
    y = jax.nn.relu(ops.conv(x_nchw, *single(conv_weights(params["conv1_vertical"]))))
    y = jax.nn.relu(ops.conv(y, *folded(params, stats, "conv1_horizontal", "norm1", EPSILON)))
    y = jax.nn.relu(ops.conv(y, *single(conv_weights(params["conv2_vertical"]))))
    y = ops.conv(y, *folded(params, stats, "conv2_horizontal", "norm2", EPSILON))
    return jax.nn.relu(x_nchw + y)


def _pfcu(params: Tree, stats: Tree, x_nchw: jax.Array) -> jax.Array:
    y = jax.nn.relu(ops.conv(x_nchw, *single(conv_weights(params["conv1_vertical"]))))
    y = jax.nn.relu(ops.conv(y, *folded(params, stats, "conv1_horizontal", "norm1", EPSILON)))
    total = x_nchw
    for d in DILATIONS:
        vertical = single(conv_weights(params[f"conv2_vertical_dilated{d}"]))
        horizontal = folded(params, stats, f"conv2_horizontal_dilated{d}", "norm2", EPSILON)
        z = jax.nn.relu(ops.conv(y, *vertical, dilation=(d, 1)))
        total = total + ops.conv(z, *horizontal, dilation=(1, d))
    return jax.nn.relu(total)
