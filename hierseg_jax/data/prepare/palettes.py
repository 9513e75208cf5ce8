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

    Image editors and optimizers number the colours of every file anew: a number has two colours, a
    colour has two numbers, and every palette has the colours of its file and no others. Where any
    of this does not hold, a tool may have shown numbers that mean classes in its own colours.

    Args:
      masks: of a data set; 200 of them are looked at.
    """
    some = [masks[index] for index in spread_indices(len(masks), _LOOKED_AT)]
    palettes = {mask: palette_of(mask) for mask in some}
    if len({*palettes.values()}) < 2:
        return None
    number_of: dict[int, tuple[int, pathlib.Path]] = {}
    colour_of: dict[int, int] = {}
    numbers_differ, twice = False, ""
    for mask, palette in palettes.items():
        with contextlib.suppress(HiersegError):  # told of elsewhere
            used = np.unique(read_mask(mask)).tolist()
            if not palette and not any(used):
                continue
            if not _is_of_its_file(palette, used):
                return None
            for number, colour in enumerate(palette[: len(used)]):
                numbers_differ |= colour_of.setdefault(number, colour) != colour
                first, where = number_of.setdefault(colour, (number, mask))
                if first != number and not twice:
                    twice = f"#{colour:06X} is number {first} in {where} and {number} in {mask}."
    if not (numbers_differ and twice) or all(map(_is_grey, number_of)):
        return None
    return Renumbered(tuple(sorted(number_of)), twice)


def _is_of_its_file(palette: Sequence[int], used: Sequence[int]) -> bool:
    """Whether a palette has what a file uses, once each, and only black behind that."""
    own, rest = palette[: len(used)], palette[len(used) :]
    return [*used] == [*range(len(own))] and len({*own}) == len(own) and not any(rest)


def _is_grey(colour: int) -> bool:
    """Where all are, tools have often stretched numbers to be seen."""
    return colour % 0x10101 == 0
