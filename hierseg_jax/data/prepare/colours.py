"""Masks whose classes are colours."""

import pathlib
from collections.abc import Mapping

import numpy as np

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted, listed

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


def read_colour_mask(file: pathlib.Path, values: Mapping[Colour, int], table: str) -> np.ndarray:
    """A picture of colours as the values that they stand for: uint8 [H, W].

    Args:
      file: of the mask.
      values: of the colours.
      table: where these come from, for the sentence.

    Raises:
      ValueError: a sentence that starts with the file: no picture, or a colour without a value.
    """
    image_hwc = read_image(file)
    packed_hw = image_hwc.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    packed = np.array([_packed(colour) for colour in values], np.uint32)
    order = np.argsort(packed)
    at_hw = np.minimum(np.searchsorted(packed[order], packed_hw), len(packed) - 1)
    unknown_hw = packed[order][at_hw] != packed_hw
    if unknown_hw.any():
        found = [f"#{colour:06x}" for colour in np.unique(packed_hw[unknown_hw]).tolist()]
        raise HiersegError(
            f"{file} has {counted(len(found), 'colour')} without a class in {table} "
            f"({listed(found, 5)}); name them there, `Void` for those to be ignored, or store "
            "masks without loss and smoothed edges."
        )
    return np.array([*values.values()], np.uint8)[order][at_hw]


def parse_colour(words: list[str], where: str) -> Colour:
    """Three numbers from 0 to 255.

    Raises:
      ValueError: a sentence that starts with `where`.
    """
    numbers = [int(word) for word in words if word.strip().isascii() and word.strip().isdecimal()]
    if len(numbers) != 3 or len(words) != 3 or max(numbers) > 255:
        raise HiersegError(f"{where}: expected red, green and blue from 0 to 255.")
    return numbers[0], numbers[1], numbers[2]


def _packed(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
