"""EfficientNet b0..b7 as a backbone (Tan and Le, ICML 2019, arXiv 1905.11946, tables 1 and 3).

And EfficientNet-Lite 0..4, as published in Google's `tensorflow/tpu` (models/official/
efficientnet/lite): without squeeze-excite, ReLU6 for SiLU, and a stem, a first and a last
stage that do not scale.

`lite0_short` is this project's: the stages of lite0 up to the first block of stride 16 with 112
channels. With the decoder it has an eighth of the weights.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from hierseg_jax.models.dropout import drop_rate_at_depth, residual_dropout
from hierseg_jax.models.kernels.squeeze_excite import squeeze_excite
from hierseg_jax.models.layers import Compute, Conv, PointwiseWeights, name_block_output
from hierseg_jax.models.normalization import BatchNorm
from hierseg_jax.models.variant import Variant, normalize_image

STEM_CHANNELS = 32
SE_RATIO = 0.25
DROP_RATE = 0.2
OUTPUT_STAGES = (1, 2, 3, 5, 7)
"""The last stages at strides 2, 4, 8, 16 and 32."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """`repeats` MBConv blocks, of which only the first may stride and change the channels."""

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    expand_ratio: int
    repeats: int


B0_STAGES = (
    Stage(32, 16, 3, 1, 1, 1),
    Stage(16, 24, 3, 2, 6, 2),
    Stage(24, 40, 5, 2, 6, 2),
    Stage(40, 80, 3, 2, 6, 3),
    Stage(80, 112, 5, 1, 6, 3),
    Stage(112, 192, 5, 2, 6, 4),
    Stage(192, 320, 3, 1, 6, 1),
)

BACKBONES = {
    "b0": (1.0, 1.0),
    "b1": (1.0, 1.1),
    "b2": (1.1, 1.2),
    "b3": (1.2, 1.4),
    "b4": (1.4, 1.8),
    "b5": (1.6, 2.2),
    "b6": (1.8, 2.6),
    "b7": (2.0, 3.1),
    "lite0": (1.0, 1.0),
    "lite1": (1.0, 1.1),
    "lite2": (1.1, 1.2),
    "lite3": (1.2, 1.4),
    "lite4": (1.4, 1.8),
    "lite0_short": (1.0, 1.0),
}
"""Name -> factors on B0's channels and repeats."""
CUT_FROM = {"lite0_short": "lite0"}
"""Those that are the first blocks of another, and can have its weights."""


def scaled_channels(channels: int, width: float) -> int:
    """Channels at a width: a multiple of 8, at least 8, and never below 90 % of the exact value."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def scaled_stages(backbone: str) -> tuple[Stage, ...]:
    """The seven stages of one of `BACKBONES`, five of a short one."""
    width, depth = BACKBONES[backbone]
    stages = [
        dataclasses.replace(
            stage,
            in_channels=scaled_channels(stage.in_channels, width),
            out_channels=scaled_channels(stage.out_channels, width),
            repeats=math.ceil(stage.repeats * depth),
        )
        for stage in B0_STAGES
    ]
    if is_lite(backbone):
        stages[0] = dataclasses.replace(stages[0], in_channels=STEM_CHANNELS, repeats=1)
        stages[-1] = dataclasses.replace(stages[-1], repeats=1)
    if backbone in CUT_FROM:
        stages = [*stages[:4], dataclasses.replace(stages[4], repeats=1)]
    return tuple(stages)


def is_lite(backbone: str) -> bool:
    """Whether it is one without squeeze-excite and with ReLU6."""
    return backbone.startswith("lite")


class SqueezeExcite(nn.Module):
    """Scales channels by a gate computed from their means over the image."""

    hidden: int
    compute: Compute

    @nn.compact
    def __call__(self, x_bhwc: jax.Array) -> jax.Array:
        """[B, h, w, C] -> [B, h, w, C]."""
        if (formulation := self.compute.formulation) in ("kernels", "gpu"):
            channels = x_bhwc.shape[-1]
            reduce = PointwiseWeights(self.hidden, name="reduce")(channels)
            expand = PointwiseWeights(channels, name="expand")(self.hidden)
            excite = squeeze_excite if formulation == "kernels" else excite_by_sums
            return excite(x_bhwc, *reduce, *expand)
        conv = functools.partial(Conv, kernel_size=(1, 1), compute=self.compute)
        gate_b11c = x_bhwc.mean((1, 2), keepdims=True)
        gate_b11c = nn.silu(conv(self.hidden, name="reduce")(gate_b11c))
        gate_b11c = nn.sigmoid(conv(x_bhwc.shape[-1], name="expand")(gate_b11c))
        return x_bhwc * gate_b11c


def excite_by_sums(
    x_bhwc: jax.Array, w1: jax.Array, b1: jax.Array, w2: jax.Array, b2: jax.Array
) -> jax.Array:
    """`squeeze_excite` for GPUs: the gate has the dtype of its weights, and is no convolution.

    XLA fuses the sums. As convolutions they were 96 of B0's 251 calls of cuDNN, and every one had
    all of its algorithms tried when the step was compiled.

    Args:
      x_bhwc: floating [B, h, w, C], as is the result.
      w1: [1, 1, C, S].
      b1: [S].
      w2: [1, 1, S, C].
      b2: [C].
    """

    def dense(x_bc: jax.Array, kernel_11cf: jax.Array, bias_f: jax.Array) -> jax.Array:
        return (x_bc[:, :, None] * kernel_11cf[0, 0]).sum(1) + bias_f

    hidden_bs = nn.silu(dense(x_bhwc.mean((1, 2), dtype=w1.dtype), w1, b1))
    gate_bc = nn.sigmoid(dense(hidden_bs, w2, b2))
    return x_bhwc * gate_bc[:, None, None].astype(x_bhwc.dtype)


class MBConv(nn.Module):
    """Inverted residual block: expand, depthwise convolution, squeeze-excite, project."""

    out_channels: int
    kernel_size: int
    stride: int
    expand_ratio: int
    drop_rate: float
    lite: bool
    variant: Variant
    compute: Compute
    depth_rate: float = 0.0

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, C] -> [B, h / stride, w / stride, out_channels]."""
        conv = functools.partial(Conv, use_bias=False, compute=self.compute)
        norm = functools.partial(BatchNorm, epsilon=self.variant.norm_epsilon, compute=self.compute)
        activation = activation_name(self.lite)
        in_channels = x_bhwc.shape[-1]
        channels = in_channels * self.expand_ratio
        y = x_bhwc
        if self.expand_ratio != 1:
            expand_norm = norm(name="expand_norm", activation=activation)
            expand = conv(channels, (1, 1), name="expand_conv")
            y = expand_norm(y, train=train, conv=expand)
        depthwise = conv(
            channels,
            (self.kernel_size, self.kernel_size),
            stride=self.stride,
            groups=channels,
            padding=self.variant.padding,
            name="depthwise_conv",
        )
        depthwise_norm = norm(name="depthwise_norm", activation=activation)
        y = depthwise_norm(y, train=train, conv=depthwise)
        if not self.lite:
            y = SqueezeExcite(int(in_channels * SE_RATIO), self.compute, name="squeeze_excite")(y)
        project = conv(self.out_channels, (1, 1), name="project_conv")
        project_norm = norm(name="project_norm")
        if self.stride != 1 or in_channels != self.out_channels:
            return project_norm(y, train=train, conv=project)
        factor = residual_dropout(self.drop_rate, self.depth_rate)(x_bhwc, train=train)
        return project_norm(y, train=train, factor_b11c=factor, shortcut_bhwc=x_bhwc, conv=project)


def activation_name(lite: bool) -> str:
    """Of the activations behind batch norms."""
    return "relu6" if lite else "silu"


class EfficientNet(nn.Module):
    """Features at strides 2, 4, 8, 16 and, unless it is a short one, 32.

    Differs from the paper as the reference does: unless `variant` says otherwise, every side
    is padded by kernel // 2 (not SAME) and batch norm has epsilon 1e-5; dropout falls on
    channels at a rate that starts again in each stage (0.2 x index in the stage / number of
    all blocks).
    With a `stochastic_depth` above 0 whole branches are dropped instead, as in the paper,
    at a rate that rises with the block's number in the network.
    """

    backbone: str = "b0"
    dropout: bool = True
    variant: Variant = Variant()
    compute: Compute = Compute()
    stochastic_depth: float = 0.0

    @nn.compact
    def __call__(self, image_bhwc: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Image float [B, H, W, 3] in [0, 1] -> one [B, H/s, W/s, C_s] for each stride s."""
        stages, lite = scaled_stages(self.backbone), is_lite(self.backbone)
        blocks = sum(stage.repeats for stage in stages)
        channel_rate = DROP_RATE if self.dropout and not self.stochastic_depth else 0.0
        dtype = jnp.promote_types(image_bhwc.dtype, self.compute.dtype)
        image_bhwc = normalize_image(image_bhwc.astype(dtype), self.variant.normalization)
        stem = Conv(
            stages[0].in_channels,
            (3, 3),
            stride=2,
            use_bias=False,
            padding=self.variant.padding,
            compute=self.compute,
            name="stem_conv",
        )
        norm = BatchNorm(
            epsilon=self.variant.norm_epsilon,
            activation=activation_name(lite),
            compute=self.compute,
            name="stem_norm",
        )
        x = norm(image_bhwc, train=train, conv=stem)
        features, position = [], 0
        for number, stage in enumerate(stages, start=1):
            for index in range(stage.repeats):
                block = MBConv(
                    stage.out_channels,
                    stage.kernel_size,
                    stage.stride if index == 0 else 1,
                    stage.expand_ratio,
                    channel_rate * index / blocks,
                    lite,
                    self.variant,
                    self.compute,
                    drop_rate_at_depth(self.stochastic_depth, position, blocks),
                    name=f"stage{number}_block{index + 1}",
                )
                x = name_block_output(block(x, train=train))
                position += 1
            if number in OUTPUT_STAGES:
                features.append(x)
        return tuple(features)
