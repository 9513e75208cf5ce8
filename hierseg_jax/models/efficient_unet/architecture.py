"""EfficientUNet: an EfficientNet with a U-Net decoder.

After Baheti et al., Eff-UNet (CVPR Workshops 2020), in the reference's variant.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hierseg_jax.models.conditional import leaf_log_probabilities
from hierseg_jax.models.efficient_unet.backbone import EfficientNet
from hierseg_jax.models.embedding import EmbeddingHead
from hierseg_jax.models.layers import Compute, Conv, name_block_output
from hierseg_jax.models.normalization import BatchNorm
from hierseg_jax.models.segmentation_model import SegmentationModel, require_image
from hierseg_jax.models.upsampling import double_bilinear, upsample_nearest
from hierseg_jax.models.variant import Variant
from hierseg_jax.tree.siblings import Siblings


class DecoderBlock(nn.Module):
    """Upsamples by 2, appends the skip connection, and fuses both into its channels."""

    compute: Compute
    smooth: bool = False

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, skip_bhwc: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, C], [B, 2h, 2w, S] -> [B, 2h, 2w, S]."""
        doubled_bhwc = double_bilinear(x_bhwc) if self.smooth else upsample_nearest(x_bhwc, 2)
        y = jnp.concatenate([doubled_bhwc, skip_bhwc], axis=-1)
        conv = Conv(skip_bhwc.shape[-1], (3, 3), compute=self.compute, name="conv")
        norm = BatchNorm(epsilon=1e-5, activation="silu", compute=self.compute, name="norm")
        return norm(y, train=train, conv=conv)


class EfficientUNet(SegmentationModel):
    """Segmentation network with sides in multiples of 32.

    The decoder's widths are those of the backbone's skip connections. The `reference`'s ends at
    stride 4 and repeats pixels; a `fine` one has one block more, with the skip connection of
    stride 2, and interpolates.

    Attributes:
      backbone: of `BACKBONES`: `b0`..`b7`, `lite0`..`lite4` or `lite0_short`.
      embedding_size: of an `EmbeddingHead` on the decoder's features of stride 8; 0 for none.
      stochastic_depth: rate of `StochasticDepth` in the backbone, in place of dropped channels;
        0 for none.
      variant: what the backbone's weights want to be computed with.
      conditional_head: see `create_model`.
      fine_decoder: whether the decoder is a `fine` one.
    """

    stride: ClassVar[int] = 32

    backbone: str = "b0"
    embedding_size: int = 0
    stochastic_depth: float = 0.0
    conditional_head: Siblings | None = None
    variant: Variant = Variant()
    fine_decoder: bool = False

    @property
    def output_stride(self) -> int:  # type: ignore[override]  # of the network elsewhere
        """Of the last decoder block."""
        return 2 if self.fine_decoder else 4

    @property
    def title(self) -> str:
        """Its name in tables and messages."""
        return f"{type(self).__name__} {self.backbone}"

    @nn.compact
    def __call__(self, image_bhwc: jax.Array, *, train: bool = False) -> jax.Array:
        """Segments images, as every `SegmentationModel` does."""
        require_image(image_bhwc, self.stride, "EfficientUNet")
        compute = Compute(self.dtype, self.axis_name, self.conv_impl)
        backbone = EfficientNet(
            self.backbone,
            self.dropout,
            self.variant,
            compute,
            self.stochastic_depth,
            name="efficientnet",
        )
        features = backbone(image_bhwc, train=train and not self.frozen_backbone)
        if self.frozen_backbone:
            features = jax.lax.stop_gradient(features)
        *skips, x = features if self.fine_decoder else features[1:]
        for number, skip in enumerate(reversed(skips), start=1):
            block = DecoderBlock(compute, smooth=self.fine_decoder, name=f"decoder_block{number}")
            x = name_block_output(block(x, skip, train=train))
            # Stride 8, as in the public code of the tree-triplet loss.
            of_stride_8 = skip.shape[1] * 8 == image_bhwc.shape[1]
            if of_stride_8 and self.embedding_size and (train or self.is_initializing()):
                head = EmbeddingHead(self.embedding_size, compute, 1e-5, name="embedding")
                head(x, train=train)
        # The reference upsamples first; a 1x1 convolution commutes with that and costs a
        # sixteenth, or a quarter, before it.
        logits_bhwc = Conv(self.num_classes, (1, 1), compute=compute, name="head")(x)
        logits_bhwc = logits_bhwc.astype(jnp.promote_types(self.dtype, jnp.float32))
        return self.enlarged(leaf_log_probabilities(logits_bhwc, self.conditional_head))
