"""Masks that show their whole picture at another scale, as tools with a limit of size give them."""

import dataclasses
from collections.abc import Iterator, Sequence

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
    """`Draw` of a mask at the size of its picture, without new values; `empty`: of 0 alone."""

    draw: Draw
    empty: bool

    def __call__(self, size: Size) -> np.ndarray | None:
        mask_hw = self.draw(size)
        return None if mask_hw is None else nearest(mask_hw, size[::-1])


def is_to_be_scaled(mask_hw: np.ndarray, size: Size, empty: bool) -> bool:
    """Whether a mask has another size than its picture, and shows all of it, or nothing.

    Roboflow scales pictures, and not the empty masks of those that nobody has annotated.

    Args:
      empty: whether 0 is the background, so that a mask of 0 alone shows nothing.
    """
    if mask_hw.shape == size:
        return False
    return is_scaled(mask_hw.shape, size) or (empty and not mask_hw.any())


def scaled(picture: Picture, draw: Draw, mask_hw: np.ndarray) -> Picture:
    """The picture, with its mask drawn at its own size.

    Args:
      draw: gives the mask at another scale.
      mask_hw: that mask.
    """
    suffix = picture.suffix
    if picture.draw is None and not _fits_png(picture, mask_hw):
        suffix = ".npy"
    return dataclasses.replace(picture, draw=_Scaled(draw, not mask_hw.any()), suffix=suffix)


def about_scaled(pictures: Sequence[Picture]) -> Iterator[str]:
    """Sentences about those of `scaled`, if there are some."""
    drawn = [(of.draw.empty, of.mask) for of in pictures if isinstance(of.draw, _Scaled)]
    for empty in (False, True):
        masks = [mask for is_empty, mask in drawn if is_empty == empty]
        one = len(masks) == 1
        if empty:
            what = f"{'holds' if one else 'hold'} 0 alone, at another size than the picture"
        else:
            what = "is of its whole picture" if one else "are of their whole pictures"
            what += " at another scale"
        if masks:
            yield (
                f"{counted(len(masks), 'mask')} {what}, the first {masks[0]}; the copies have the "
                "pictures' size."
            )


def _fits_png(picture: Picture, mask_hw: np.ndarray) -> bool:
    if picture.mask.suffix.lower() == ".npy":
        return False
    return mask_hw.dtype in IN_PNG or is_coloured(picture.mask)
