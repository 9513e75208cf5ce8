"""The graph of EfficientUNet for export: `architecture.py`, folded."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.models.efficient_unet.architecture import EfficientUNet
from hierseg_jax.models.efficient_unet.backbone import OUTPUT_STAGES, Stage, is_lite, scaled_stages
from hierseg_jax.models.graph import ops
from hierseg_jax.models.graph.fold import Tree, conv_weights, folded, of_blocks, single
from hierseg_jax.models.variant import NORMALIZATIONS, Variant

EPSILON = 1e-5  # of the decoder


def logits(
    model: EfficientUNet, variables: Tree, image_nchw: jax.Array, integers: bool = False
) -> jax.Array:
    """[N, 3, H, W] in [0, 1] -> [N, C, H/s, W/s], s being the network's `output_stride`.

    `integers`: the stem works on blocks, whose channels are enough for kernels of integers.
    """
    params, stats = variables["params"], variables["batch_stats"]
    features = _backbone(
        params["efficientnet"],
        stats["efficientnet"],
        image_nchw,
        model.backbone,
        model.variant,
        integers,
    )
    double = ops.upsample_bilinear if model.fine_decoder else ops.upsample_nearest
    *skips, x = features if model.fine_decoder else features[1:]
    for number, skip in enumerate(reversed(skips), start=1):
        name = f"decoder_block{number}"
        x = jnp.concatenate([double(x, 2), skip], axis=1)
        x = jax.nn.silu(ops.conv(x, *folded(params[name], stats[name], "conv", "norm", EPSILON)))
    return ops.conv(x, *single(conv_weights(params["head"])))


def _backbone(
    params: Tree, stats: Tree, x: jax.Array, backbone: str, variant: Variant, integers: bool
) -> list[jax.Array]:
    """Features at strides 2, 4, 8, 16 and 32."""
    activate = ops.relu6 if is_lite(backbone) else jax.nn.silu
    kernel_oihw, bias_o = folded(params, stats, "stem_conv", "stem_norm", variant.norm_epsilon)
    if variant.normalization != "none":
        mean_c, deviation_c = (np.array(v) for v in NORMALIZATIONS[variant.normalization])
        # A factor commutes with the padding by zeros; the mean does not.
        x = ops.subtract(x, mean_c.astype(np.float32))
        kernel_oihw = (kernel_oihw / deviation_c[:, None, None]).astype(np.float32)
    if integers:
        before = 0 if variant.padding == "same" else 1
        blocks = ops.space_to_depth(x), of_blocks(kernel_oihw, before), bias_o
        x = activate(ops.conv(*blocks, padding="start" if before else "end"))
    else:
        x = activate(ops.conv(x, kernel_oihw, bias_o, stride=2, padding=variant.padding))
    outputs = []
    for number, stage in enumerate(scaled_stages(backbone), start=1):
        for index in range(stage.repeats):
            name = f"stage{number}_block{index + 1}"
            stride = stage.stride if index == 0 else 1
            x = _mbconv(params[name], stats[name], x, stage, stride, variant, activate)
        if number in OUTPUT_STAGES:
            outputs.append(x)
    return outputs


def _mbconv(
    params: Tree,
    stats: Tree,
    x_nchw: jax.Array,
    stage: Stage,
    stride: int,
    variant: Variant,
    activate: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    epsilon = variant.norm_epsilon
    y = x_nchw
    if stage.expand_ratio != 1:
        y = activate(ops.conv(y, *folded(params, stats, "expand_conv", "expand_norm", epsilon)))
    depthwise = folded(params, stats, "depthwise_conv", "depthwise_norm", epsilon)
    y = ops.conv(y, *depthwise, stride=stride, groups=y.shape[1], padding=variant.padding)
    y = activate(y)
    if gate := params.get("squeeze_excite"):
        gate_nc11 = jax.nn.silu(ops.conv(ops.global_mean(y), *single(conv_weights(gate["reduce"]))))
        y = y * jax.nn.sigmoid(ops.conv(gate_nc11, *single(conv_weights(gate["expand"]))))
    y = ops.conv(y, *folded(params, stats, "project_conv", "project_norm", epsilon))
    return x_nchw + y if y.shape == x_nchw.shape else y
