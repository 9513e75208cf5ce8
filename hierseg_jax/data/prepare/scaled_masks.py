"""Masks that show their whole picture at another scale, as tools with a limit of size give them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.prepare.colours import is_coloured
from hierseg_jax.data.prepare.picture import Draw, Picture, Size
from hierseg_jax.data.read.image_files import is_scaled
from hierseg_jax.data.sampling import nearest
from hierseg_jax.system.wording import counted

IN_PNG = (np.uint8, np.uint16)
"""Types of numbers that a PNG holds as they are."""


@dataclasses.dataclass(frozen=True)
class _Scaled:
    """`Draw` of a mask at the size of its picture, without new values."""

    draw: Draw

    def __call__(self, size: Size) -> np.ndarray | None:
        mask_hw = self.draw(size)
        return None if mask_hw is None else nearest(mask_hw, size[::-1])


def is_to_be_scaled(mask_hw: np.ndarray, size: Size) -> bool:
    """Whether a mask has another size than its picture, and shows all of it."""
    return mask_hw.shape != size and is_scaled(mask_hw.shape, size)


def scaled(picture: Picture, draw: Draw, mask_hw: np.ndarray) -> Picture:
    """The picture, with its mask drawn at its own size.

    Args:
      draw: gives the mask at another scale.
      mask_hw: that mask.
    """
    suffix = picture.suffix
    if picture.draw is None and not _fits_png(picture, mask_hw):
        suffix = ".npy"
    return dataclasses.replace(picture, draw=_Scaled(draw), suffix=suffix)


def about_scaled(pictures: Sequence[Picture]) -> tuple[str, ...]:
    """A sentence about those of `scaled`, if there are some."""
    masks = [picture.mask for picture in pictures if isinstance(picture.draw, _Scaled)]
    if not masks:
        return ()
    are = "is of its whole picture" if len(masks) == 1 else "are of their whole pictures"
    return (
        f"{counted(len(masks), 'mask')} {are} at another scale, the first {masks[0]}; the copies "
        "have the pictures' size.",
    )


def _fits_png(picture: Picture, mask_hw: np.ndarray) -> bool:
    if picture.mask.suffix.lower() == ".npy":
        return False
    return mask_hw.dtype in IN_PNG or is_coloured(picture.mask)
