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
from hierseg_jax.models.layers import Compute, Conv, name_block_output, upsample_nearest
from hierseg_jax.models.normalization import BatchNorm
from hierseg_jax.models.segmentation_model import SegmentationModel, require_image
from hierseg_jax.models.variant import Variant
from hierseg_jax.tree.siblings import Siblings


class DecoderBlock(nn.Module):
    """Upsamples by 2, appends the skip connection, and fuses both into its channels."""

    compute: Compute

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, skip_bhwc: jax.Array, *, train: bool) -> jax.Array:
        """[B, h, w, C], [B, 2h, 2w, S] -> [B, 2h, 2w, S]."""
        y = jnp.concatenate([upsample_nearest(x_bhwc, 2), skip_bhwc], axis=-1)
        y = Conv(skip_bhwc.shape[-1], (3, 3), compute=self.compute, name="conv")(y)
        norm = BatchNorm(epsilon=1e-5, activation="silu", compute=self.compute, name="norm")
        return norm(y, train=train)


class EfficientUNet(SegmentationModel):
    """Segmentation network with sides in multiples of 32.

    The decoder's widths are those of the backbone's skip connections.

    Attributes:
      backbone: `b0`..`b7` or `lite0`..`lite4`.
      embedding_size: of an `EmbeddingHead` on the decoder's features of stride 8; 0 for none.
      stochastic_depth: rate of `StochasticDepth` in the backbone, in place of dropped channels;
        0 for none.
      variant: what the backbone's weights want to be computed with.
      conditional_head: see `create_model`.
    """

    stride: ClassVar[int] = 32
    output_stride: ClassVar[int] = 4

    backbone: str = "b0"
    embedding_size: int = 0
    stochastic_depth: float = 0.0
    conditional_head: Siblings | None = None
    variant: Variant = Variant()

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
        *skips, x = features
        for number, skip in enumerate(reversed(skips), start=1):
            block = DecoderBlock(compute, name=f"decoder_block{number}")
            x = name_block_output(block(x, skip, train=train))
            # Stride 8, as in the public code of the tree-triplet loss.
            if number == 2 and self.embedding_size and (train or self.is_initializing()):
                head = EmbeddingHead(self.embedding_size, compute, 1e-5, name="embedding")
                head(x, train=train)
        # The reference upsamples first; a 1x1 convolution commutes with that and costs a
        # sixteenth before it.
        logits_bhwc = Conv(self.num_classes, (1, 1), compute=compute, name="head")(x)
        logits_bhwc = logits_bhwc.astype(jnp.promote_types(self.dtype, jnp.float32))
        return self.enlarged(leaf_log_probabilities(logits_bhwc, self.conditional_head))
