"""EfficientUNet for inference: the network of `models/efficient_unet.py`, folded."""

import jax
import jax.numpy as jnp

from hierseg_jax.bridge import ops
from hierseg_jax.bridge.fold import Tree, conv_weights, folded, single
from hierseg_jax.models.efficientnet import OUTPUT_STAGES, Stage, scaled_stages

EPSILON = 1e-5


def logits(variables: Tree, image_nchw: jax.Array, backbone: str) -> jax.Array:
    """[N, 3, H, W] in [0, 1] -> [N, C, H/4, W/4], to be repeated 4 times along both sides."""
    params, stats = variables["params"], variables["batch_stats"]
    *skips, x = _backbone(params["efficientnet"], stats["efficientnet"], image_nchw, backbone)
    for number, skip in enumerate(reversed(skips), start=1):
        name = f"decoder_block{number}"
        x = jnp.concatenate([ops.upsample_nearest(x, 2), skip], axis=1)
        x = jax.nn.silu(ops.conv(x, *folded(params[name], stats[name], "conv", "norm", EPSILON)))
    return ops.conv(x, *single(conv_weights(params["head"])))


def _backbone(params: Tree, stats: Tree, x: jax.Array, backbone: str) -> list[jax.Array]:
    """Features at strides 4, 8, 16 and 32."""
    x = jax.nn.silu(
        ops.conv(x, *folded(params, stats, "stem_conv", "stem_norm", EPSILON), stride=2)
    )
    outputs = []
    for number, stage in enumerate(scaled_stages(backbone), start=1):
        for index in range(stage.repeats):
            name = f"stage{number}_block{index + 1}"
            x = _mbconv(params[name], stats[name], x, stage, stage.stride if index == 0 else 1)
        if number in OUTPUT_STAGES:
            outputs.append(x)
    return outputs


def _mbconv(params: Tree, stats: Tree, x_nchw: jax.Array, stage: Stage, stride: int) -> jax.Array:
    y = x_nchw
    if stage.expand_ratio != 1:
        y = jax.nn.silu(ops.conv(y, *folded(params, stats, "expand_conv", "expand_norm", EPSILON)))
    depthwise = folded(params, stats, "depthwise_conv", "depthwise_norm", EPSILON)
    y = jax.nn.silu(ops.conv(y, *depthwise, stride=stride, groups=y.shape[1]))
    gate = params["squeeze_excite"]
    gate_nc11 = jax.nn.silu(ops.conv(ops.global_mean(y), *single(conv_weights(gate["reduce"]))))
    gate_nc11 = jax.nn.sigmoid(ops.conv(gate_nc11, *single(conv_weights(gate["expand"]))))
    y = ops.conv(y * gate_nc11, *folded(params, stats, "project_conv", "project_norm", EPSILON))
    return x_nchw + y if y.shape == x_nchw.shape else y
