"""Masks that show their whole picture at another scale, as tools with a limit of size give them."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from hierseg_jax.data.prepare.picture import Picture, Size
from hierseg_jax.data.sampling import nearest
from hierseg_jax.system.wording import counted

Read = Callable[[pathlib.Path], np.ndarray]
"""A file of values -> these, or packed colours, [H, W]."""


@dataclasses.dataclass(frozen=True)
class _Scaled:
    """`Draw` of a mask at the size of its picture, without new values."""

    mask: pathlib.Path
    read: Read

    def __call__(self, size: Size) -> np.ndarray:
        return nearest(self.read(self.mask), size[::-1])


def scaled(picture: Picture, read: Read) -> Picture:
    """The picture with its mask, which is at another scale, drawn at its own size."""
    return dataclasses.replace(picture, draw=_Scaled(picture.mask, read))


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
