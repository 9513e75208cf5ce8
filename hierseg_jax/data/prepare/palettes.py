"""Masks with palettes, of which a number may mean another colour in every file."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.data.read.png import palette_of
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.system.errors import HiersegError

_LOOKED_AT = 200


@dataclasses.dataclass(frozen=True)
class Renumbered:
    """Two masks in which one colour has two numbers.

    Attributes:
      colours: all that are found, 0xRRGGBB, in rising order.
      sentence: about the two.
    """

    colours: tuple[int, ...]
    sentence: str


def find_renumbered(masks: Sequence[pathlib.Path]) -> Renumbered | None:
    """What shows that colours tell classes, and numbers don't; None where numbers may.

    Image editors and optimizers number the colours of every file anew. Then a number has two
    colours, and a colour two numbers. Where only the former holds, a tool may have shown the same
    numbers in its own colours.

    Args:
      masks: of a data set; 200 of them are looked at.
    """
    some = [masks[index] for index in spread_indices(len(masks), _LOOKED_AT)]
    palettes = {mask: palette for mask in some if (palette := palette_of(mask))}
    if len({*palettes.values()}) < 2:
        return None
    number_of: dict[int, tuple[int, pathlib.Path]] = {}
    colour_of: dict[int, int] = {}
    numbers_differ, twice = False, ""
    for mask, palette in palettes.items():
        values: list[int] = []
        with contextlib.suppress(HiersegError):  # told of elsewhere
            values = np.unique(read_mask(mask)).tolist()
        for number in values:
            if not 0 <= number < len(palette):
                continue
            colour = palette[number]
            numbers_differ |= colour_of.setdefault(number, colour) != colour
            first, where = number_of.setdefault(colour, (number, mask))
            if first != number and where != mask and not twice:
                twice = f"#{colour:06X} is number {first} in {where} and {number} in {mask}."
    if not (numbers_differ and twice):
        return None
    return Renumbered(tuple(sorted(number_of)), twice)
