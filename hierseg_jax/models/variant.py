"""What weights from elsewhere want to be computed with."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.models.layers import PADDINGS
from hierseg_jax.system.choices import check_choice
from hierseg_jax.system.errors import HiersegError

NORMALIZATIONS = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "lite": ((127 / 255, 127 / 255, 127 / 255), (128 / 255, 128 / 255, 128 / 255)),
}
"""Name -> mean and standard deviation of RGB in [0, 1] that weights were trained with."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """What weights from elsewhere want to be computed with; the defaults are the reference's.

    Attributes:
      padding: of strided convolutions: `symmetric`, or `same` as TensorFlow has it.
      norm_epsilon: of batch norm.
      normalization: of the input, of `NORMALIZATIONS`; it is the backbone's first step,
        so that images stay RGB in [0, 1] outside.

    Raises:
      ValueError: for a value that is none of these.
    """

    padding: str = "symmetric"
    norm_epsilon: float = 1e-5
    normalization: str = "none"

    def __post_init__(self) -> None:
        check_choice("padding", self.padding, PADDINGS)
        if not 0 < self.norm_epsilon < 1:
            raise HiersegError(f"norm_epsilon is {self.norm_epsilon}; it must lie in (0, 1).")
        check_choice("normalization", self.normalization, NORMALIZATIONS)


def normalize_image(image_bhwc: jax.Array, normalization: str) -> jax.Array:
    """(image - mean) / standard deviation; same shape and dtype."""
    if normalization == "none":
        return image_bhwc
    mean, deviation = (np.array(x) for x in NORMALIZATIONS[normalization])
    return (image_bhwc - jnp.asarray(mean, image_bhwc.dtype)) * jnp.asarray(
        1 / deviation, image_bhwc.dtype
    )
