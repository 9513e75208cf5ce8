"""A third network, as small as one can be: to be put into the table, trained and exported."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hierseg_jax.models import Network, SegmentationModel
from hierseg_jax.models.layers import Compute, Conv
from hierseg_jax.models.network import TrainingMemory
from hierseg_jax.models.normalization import BatchNorm
from hierseg_jax.models.segmentation_model import require_image
from hierseg_jax.models.upsampling import upsample_nearest


class TinyNet(SegmentationModel):
    """Two convolutions at half the resolution."""

    stride: ClassVar[int] = 2

    @nn.compact
    def __call__(self, image_bhwc, *, train=False):
        require_image(image_bhwc, self.stride, self.title)
        compute = Compute(self.dtype, self.axis_name, self.conv_impl)
        x = Conv(8, (3, 3), stride=2, compute=compute, name="conv")(image_bhwc)
        x = BatchNorm(1e-3, activation="relu", compute=compute, name="norm")(x, train=train)
        logits_bhwc = Conv(self.num_classes, (3, 3), compute=compute, name="head")(x)
        logits_bhwc = logits_bhwc.astype(jnp.promote_types(self.dtype, jnp.float32))
        return upsample_nearest(logits_bhwc, 2)


class Foreign(TinyNet):
    """With an operation that jax2onnx does not know."""

    @nn.compact
    def __call__(self, image_bhwc, *, train=False):
        x = Conv(self.num_classes, (3, 3), name="head")(image_bhwc)
        kernel = jnp.ones((3, 3, self.num_classes, self.num_classes))
        shape = ("NHWC", "HWOI", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=shape)


MEMORY = TrainingMemory(rest_gb=0.5, bytes_per_pixel=100.0)
TINY = Network(name="tiny", architecture=TinyNet, heads={"head": 3}, training_memory=MEMORY)
FOREIGN = Network(name="foreign", architecture=Foreign, heads={"head": 3}, training_memory=MEMORY)
