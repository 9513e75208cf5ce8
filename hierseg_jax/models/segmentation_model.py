"""What every network is: a Flax module from images to logits, with these fields."""

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from hierseg_jax.models.layers import Compute, DType
from hierseg_jax.models.upsampling import double_bicubic, upsample
from hierseg_jax.system.errors import HiersegError

Forward = Callable[[Any, jax.Array], jax.Array]
"""(variables, image_bhwc) -> logits_bhwk, as in inference."""


class SegmentationModel(nn.Module):
    """A segmentation network. One with more to be told adds fields of its own.

    `embedding_size`, `stochastic_depth` and `conditional_head` are such fields (see
    `create_model`): a network has them if it follows them, and is refused a value for them
    otherwise.

    Attributes:
      stride: of the network: sides of its images are multiples of it.
      num_classes: channels of the head: leaf classes, or nodes of a hierarchical or conditional
        one.
      dropout: whether training drops channels, of a network that does.
      dtype, axis_name, conv_impl: see `layers.Compute`.
      matmul_precision: of `layers.MATMUL_PRECISIONS`; whoever traces the network does so within
        `precision_of`.
      output_stride: of the network: pixels along each side that one of its logits stands for,
        before they come to the image's size.
      upsampling: of `upsampling.UPSAMPLINGS`: how they come to it. `bicubic` doubles both sides so
        and interpolates the rest bilinearly.
      full_size: whether they come to it; otherwise they are left a `grid_stride` apart.
      frozen_backbone: whether the backbone, if there is one, is as in inference while the rest
        trains: no gradient, no dropout, running statistics that are used and stay.
    """

    stride: ClassVar[int]
    output_stride: ClassVar[int] = 1

    num_classes: int
    dropout: bool = True
    dtype: DType = jnp.float32
    axis_name: str | None = None
    conv_impl: str = "auto"
    matmul_precision: str = "default"
    upsampling: str = "nearest"
    full_size: bool = True
    frozen_backbone: bool = False

    def __call__(self, image_bhwc: jax.Array, *, train: bool = False) -> jax.Array:
        """Segments images.

        Args:
          image_bhwc: floating RGB in [0, 1], [B, H, W, 3].
          train: use and update batch statistics (collection `batch_stats`) and draw
            dropout (random stream `dropout`).

        Returns:
          Logits [B, H, W, num_classes], float32 at least, or log-probabilities of the leaf
          classes of a conditional head; unless `full_size`, of as many pixels as the network has
          of its own.

        Raises:
          ValueError: for an image of another shape or dtype, or with sides that are
            no multiples of the stride.
        """
        raise NotImplementedError  # every architecture has its own

    @property
    def doubles(self) -> bool:
        """Whether logits are doubled before anything else is done with them."""
        return self.upsampling == "bicubic" and self.output_stride > 1

    @property
    def grid_stride(self) -> int:
        """Pixels along each side between the logits that are left where `full_size` is False."""
        return self.output_stride // 2 if self.doubles else self.output_stride

    def enlarged(self, logits_bhwk: jax.Array) -> jax.Array:
        """What a network ends with: its logits, an `output_stride` apart, as `full_size` has it."""
        return self.from_grid(double_bicubic(logits_bhwk) if self.doubles else logits_bhwk)

    def from_grid(self, logits_bhwk: jax.Array, smooth: bool = False) -> jax.Array:
        """Logits a `grid_stride` apart, at the image's size unless `full_size` is False.

        Args:
          logits_bhwk: from `grid_forward_of`.
          smooth: whether bilinearly, even if the network repeats them.
        """
        if self.grid_stride == 1 or not self.full_size:
            return logits_bhwk
        nearest = self.upsampling == "nearest" and not smooth
        return upsample(logits_bhwk, self.grid_stride, "nearest" if nearest else "bilinear")

    @property
    def title(self) -> str:
        """Its name in tables and messages."""
        return type(self).__name__


def forward_of(model: SegmentationModel) -> Forward:
    """A network in inference as a pure function."""

    def forward(variables: Any, image_bhwc: jax.Array) -> jax.Array:
        def apply(image_bhwc: jax.Array) -> jax.Array:
            with precision_of(model):
                # A tuple comes with `mutable` alone.
                return model.apply(variables, image_bhwc)  # type: ignore[return-value]

        compute = Compute(model.dtype, conv_impl=model.conv_impl)
        # XLA and accelerators do better with all images, and the network refuses what is none.
        of_images = image_bhwc.ndim == 4 and image_bhwc.shape[-1] == 3 and image_bhwc.size
        if compute.formulation != "kernels" or not of_images:
            return apply(image_bhwc)
        batch, height, width, _ = image_bhwc.shape
        at_once = images_at_once(batch, height * width)
        if at_once == batch:
            return apply(image_bhwc)
        logits = jax.lax.map(apply, image_bhwc.reshape(-1, at_once, *image_bhwc.shape[1:]))
        return logits.reshape(batch, *logits.shape[2:])

    return forward


def images_at_once(batch: int, pixels: int) -> int:
    """How many of a batch's images a CPU has to compute together to be fastest.

    What a layer leaves of so many lies in the cache when the next one reads it; of fewer, layers
    have too little to do for what each of them costs. Measured at 192 and 320 px: at most half a
    million pixels, and no less than half of that.

    Args:
      batch: of which it is a divisor; all of it where none comes near.
      pixels: of an image; of larger ones than that, each is computed alone.
    """
    most = max(2**19 // pixels, 1)
    near = (n for n in range(min(most, batch), most // 2, -1) if batch % n == 0)
    return next(near, batch)


def precision_of(model: SegmentationModel) -> contextlib.AbstractContextManager[Any]:
    """Within it, what is traced multiplies as exactly as the network's `matmul_precision` says.

    Gradients do, too, if they are traced within it. `default` leaves it to JAX.
    """
    if model.matmul_precision == "default":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(model.matmul_precision)


def grid_forward_of(model: SegmentationModel) -> Forward:
    """As `forward_of`, but logits are left a `grid_stride` apart."""
    return forward_of(model.clone(full_size=False))


def require_image(image_bhwc: jax.Array, stride: int, network: str) -> None:
    """Checks what a network is given.

    Raises:
      ValueError: unless it is a floating [B, H, W, 3] with sides that are multiples
        of `stride`; names the nearest sizes that are.
    """
    if image_bhwc.ndim != 4 or image_bhwc.shape[-1] != 3:
        raise HiersegError(
            f"{network} takes images [batch, height, width, 3]; got {tuple(image_bhwc.shape)}."
        )
    if not jnp.issubdtype(image_bhwc.dtype, jnp.floating):
        raise HiersegError(
            f"{network} takes images as floating numbers in [0, 1]; got {image_bhwc.dtype}. "
            "Divide uint8 images by 255."
        )
    height, width = image_bhwc.shape[1:3]
    if height % stride or width % stride or not height or not width:
        raise HiersegError(
            f"{network} needs sides that are multiples of {stride}; got {height}x{width} "
            f"(height x width). Nearest: {_nearest(height, stride)} for the height, "
            f"{_nearest(width, stride)} for the width."
        )


def _nearest(side: int, stride: int) -> str:
    below = side // stride * stride
    if below == side and side:
        return f"{side} as it is"
    return f"{below} or {below + stride}" if below else f"{stride}"
