"""ESNet (Wang et al., ESNet: An Efficient Symmetric Network, PRCV 2019, arXiv 1906.09826)."""

import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hierseg_jax.models.conditional import leaf_log_probabilities
from hierseg_jax.models.dropout import drop_rate_at_depth, residual_dropout
from hierseg_jax.models.embedding import EmbeddingHead
from hierseg_jax.models.layers import Compute, Conv, ConvTranspose, max_pool_2x2, name_block_output
from hierseg_jax.models.normalization import BatchNorm
from hierseg_jax.models.segmentation_model import SegmentationModel, require_image
from hierseg_jax.tree.siblings import Siblings

DILATIONS = (2, 5, 9)
KERNELS = {"fcu1": 3, "fcu2": 5}
"""Kernel sizes of the encoder's units by stage; the decoder's mirror them."""


@dataclasses.dataclass(frozen=True)
class Size:
    """How large an ESNet is, stage by stage.

    Attributes:
      channels: of the encoder's three stages; the decoder mirrors the first two.
      units: residual units of the encoder's three stages.
      decoder_units: of the decoder's two stages.
    """

    channels: tuple[int, int, int]
    units: tuple[int, int, int]
    decoder_units: tuple[int, int]

    @property
    def encoder_blocks(self) -> tuple[str, ...]:
        """Names of the encoder's blocks, in order."""
        names = []
        for stage, (unit, count) in enumerate(zip(UNITS, self.units, strict=True), start=1):
            # The last stage's units have no number of a stage, since no other has their kind.
            infix = f"{stage}_" if unit == "fcu" else ""
            names += [f"down{stage}", *(f"{unit}{infix}{i}" for i in range(1, count + 1))]
        return tuple(names)

    @property
    def decoder_blocks(self) -> tuple[str, ...]:
        """Names of the decoder's blocks, in order."""
        names = []
        for stage, count in enumerate(self.decoder_units, start=1):
            names += [f"up{stage}", *(f"fcu{stage}_{i}" for i in range(1, count + 1))]
        return tuple(names)


UNITS = ("fcu", "fcu", "pfcu")
"""The kind of unit in each stage of the encoder."""
SIZES = {
    # Table 1 of the paper.
    "esnet": Size((16, 64, 128), (3, 2, 3), (2, 2)),
    # A quarter of the weights: half the channels behind the first stage, whose pixels are most,
    # and fewer units where they are many.
    "esnet_small": Size((16, 32, 64), (1, 2, 3), (2, 1)),
    # One unit a stage: to try things out.
    "esnet_mini": Size((16, 32, 64), (1, 1, 1), (1, 1)),
}


class Down(nn.Module):
    """Halves the sides; a strided convolution's channels, then the max-pooled input's."""

    features: int
    compute: Compute

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, C] -> [B, h/2, w/2, features]."""
        new_channels = self.features - x_bhwc.shape[-1]
        y = Conv(new_channels, (3, 3), stride=2, compute=self.compute, name="conv")(x_bhwc)
        y = jnp.concatenate([y, max_pool_2x2(x_bhwc)], axis=-1)
        return name_block_output(_norm(self, "norm", "relu")(y, train=train))


class Up(nn.Module):
    """Doubles the sides with a 3x3 transposed convolution."""

    features: int
    compute: Compute

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, C] -> [B, 2h, 2w, features]."""
        y = ConvTranspose(self.features, 3, compute=self.compute, name="conv")(x_bhwc)
        return name_block_output(_norm(self, "norm", "relu")(y, train=train))


class FCU(nn.Module):
    """Factorised convolution unit: two k x 1, 1 x k pairs in a residual branch (section 3.2)."""

    kernel_size: int
    drop_rate: float
    compute: Compute
    depth_rate: float = 0.0

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, C] -> [B, h, w, C]."""
        k = self.kernel_size
        conv = functools.partial(Conv, x_bhwc.shape[-1], compute=self.compute)
        y = conv((k, 1), relu=True, name="conv1_vertical")(x_bhwc)
        horizontal = conv((1, k), name="conv1_horizontal")
        y = _norm(self, "norm1", "relu")(y, train=train, conv=horizontal)
        y = conv((k, 1), relu=True, name="conv2_vertical")(y)
        y = _norm(self, "norm2", "relu")(
            y,
            train=train,
            factor_b11c=residual_dropout(self.drop_rate, self.depth_rate)(y, train=train),
            shortcut_bhwc=x_bhwc,
            conv=conv((1, k), name="conv2_horizontal"),
        )
        return name_block_output(y)


class PFCU(nn.Module):
    """Parallel factorised convolution unit: three dilated branches summed (section 3.2).

    The branches share one batch norm, which normalises each by its own statistics
    and moves its running statistics once per branch, in order.
    """

    drop_rate: float
    compute: Compute
    depth_rate: float = 0.0

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, C] -> [B, h, w, C]."""
        conv = functools.partial(Conv, x_bhwc.shape[-1], compute=self.compute)
        y = conv((3, 1), relu=True, name="conv1_vertical")(x_bhwc)
        horizontal = conv((1, 3), name="conv1_horizontal")
        y = _norm(self, "norm1", "relu")(y, train=train, conv=horizontal)
        shared_norm = _norm(self, "norm2")
        drop, factor = residual_dropout(self.drop_rate, self.depth_rate), None
        total = x_bhwc
        for d in DILATIONS:
            name = f"conv2_{{}}_dilated{d}"
            z = conv((3, 1), dilation=(d, 1), relu=True, name=name.format("vertical"))(y)
            # The three are one residual branch, which is there or not.
            if factor is None or not self.depth_rate:
                factor = drop(z, train=train)
            total = shared_norm(
                z,
                train=train,
                factor_b11c=factor,
                shortcut_bhwc=total,
                conv=conv((1, 3), dilation=(1, d), name=name.format("horizontal")),
            )
        return name_block_output(nn.relu(total))


def _norm(block: nn.Module, name: str, activation: str | None = None) -> BatchNorm:
    return BatchNorm(epsilon=1e-3, activation=activation, compute=block.compute, name=name)


class Encoder(nn.Module):
    """Three Downs with residual units between and after them (table 1)."""

    size: Size
    dropout: bool
    compute: Compute
    stochastic_depth: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, 3] -> [B, H/8, W/8, channels of the last stage]."""
        drops_channels = self.dropout and not self.stochastic_depth
        fcu_rate, pfcu_rate = (0.03, 0.3) if drops_channels else (0.0, 0.0)
        units, channels = sum(self.size.units), iter(self.size.channels)
        depth = (drop_rate_at_depth(self.stochastic_depth, unit, units) for unit in range(units))
        block: Down | FCU | PFCU
        for name in self.size.encoder_blocks:
            if name.startswith("down"):
                block = Down(next(channels), self.compute, name=name)
            elif name.startswith("pfcu"):
                block = PFCU(pfcu_rate, self.compute, next(depth), name=name)
            else:
                block = FCU(KERNELS[name[:4]], fcu_rate, self.compute, next(depth), name=name)
            x = block(x, train=train)
        return x


class Decoder(nn.Module):
    """The encoder's mirror image, without dropout, up to the logits (table 1)."""

    size: Size
    num_classes: int
    compute: Compute

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H/8, W/8, channels of the encoder] -> logits [B, H, W, num_classes]."""
        channels = iter(self.size.channels[1::-1])
        kernels = {"fcu1": KERNELS["fcu2"], "fcu2": KERNELS["fcu1"]}
        block: Up | FCU
        for name in self.size.decoder_blocks:
            if name.startswith("up"):
                block = Up(next(channels), self.compute, name=name)
            else:
                block = FCU(kernels[name[:4]], 0.0, self.compute, name=name)
            x = block(x, train=train)
        return ConvTranspose(self.num_classes, 2, compute=self.compute, name="output_conv")(x)


class ESNet(SegmentationModel):
    """Segmentation network with sides in multiples of 8, whose backbone is its encoder.

    Attributes:
      size: of `SIZES`.
      embedding_size: of an `EmbeddingHead` on the encoder; 0 for none.
      stochastic_depth: rate of `StochasticDepth` in the encoder, in place of dropped channels;
        0 for none.
      conditional_head: see `create_model`.
    """

    stride: ClassVar[int] = 8

    size: str = "esnet"
    embedding_size: int = 0
    stochastic_depth: float = 0.0
    conditional_head: Siblings | None = None

    @nn.compact
    def __call__(
        self, image_bhwc: jax.Array, *, train: bool = False, encoder_only: bool = False
    ) -> jax.Array:
        """Segments images, as every `SegmentationModel` does.

        With `encoder_only` the answer, of H/8 x W/8 pixels, is that of the auxiliary
        head on the encoder, which takes no part (and gets no gradient) otherwise.
        """
        require_image(image_bhwc, self.stride, "ESNet")
        compute = Compute(self.dtype, self.axis_name, self.conv_impl)
        size = SIZES[self.size]
        encoder = Encoder(size, self.dropout, compute, self.stochastic_depth, name="encoder")
        x = encoder(image_bhwc.astype(self.dtype), train=train and not self.frozen_backbone)
        if self.frozen_backbone:
            x = jax.lax.stop_gradient(x)
        if self.embedding_size and (train or self.is_initializing()):
            EmbeddingHead(self.embedding_size, compute, 1e-3, name="embedding")(x, train=train)
        if encoder_only or self.is_initializing():
            encoder_head = Conv(self.num_classes, (1, 1), compute=compute, name="encoder_head")
            logits_bhwc = encoder_head(x)
        if not encoder_only:
            decoder = Decoder(size, self.num_classes, compute, name="decoder")
            logits_bhwc = decoder(x, train=train)
        logits_bhwc = logits_bhwc.astype(jnp.promote_types(self.dtype, jnp.float32))
        return leaf_log_probabilities(logits_bhwc, self.conditional_head)
