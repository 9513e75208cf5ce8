"""Masks whose classes are colours, and the tables of these."""

import csv
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from hierseg_jax.data.prepare.id_lists import read_ids
from hierseg_jax.data.prepare.picture import Size
from hierseg_jax.data.read import png
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted, listed

Colour = int
"""0xRRGGBB."""


LABELMAP = "labelmap.txt"
"""CVAT's table of classes."""


def is_coloured(file: pathlib.Path) -> bool:
    """Whether a mask whose values nobody has named holds colours, and no numbers.

    Raises:
      HiersegError: a file that can't be read as either.
    """
    kind = png.colour_type(file)
    if kind is None and file.suffix.lower() != ".npy":
        try:
            read_mask(file)
        except HiersegError:  # a TIFF or BMP of colours
            read_mask(file, colours=True)
            return True
    return kind in (png.RGB, png.RGB_ALPHA)


def draw_colours(
    file: pathlib.Path, values: Mapping[Colour, int], table: str, size: Size
) -> np.ndarray:
    """A picture of colours as the values that they stand for: uint8 [H, W], of its own size.

    Args:
      file: of the mask.
      values: of the colours.
      table: where these come from, for the sentence.

    Raises:
      ValueError: a sentence that starts with the file: no mask, or a colour without a value.
    """
    del size
    colours_hw = read_mask(file, colours=True)
    known = np.array(sorted(values), np.int32)
    at_hw = np.minimum(np.searchsorted(known, colours_hw), len(known) - 1)
    unknown_hw = known[at_hw] != colours_hw
    if unknown_hw.any():
        found = [f"#{colour:06x}" for colour in np.unique(colours_hw[unknown_hw]).tolist()]
        raise HiersegError(
            f"{file} has {counted(len(found), 'colour')} without a class in {table} "
            f"({listed(found, 5)}); name them there, `Void` for those to be ignored, or store "
            "masks without loss and smoothed edges."
        )
    return np.array([values[colour] for colour in known.tolist()], np.uint8)[at_hw]


def parse_colour(words: list[str], where: str) -> Colour:
    """A colour from three numbers, 0 to 255.

    Raises:
      ValueError: a sentence that starts with `where`.
    """
    numbers = [int(word) for word in words if word.strip().isascii() and word.strip().isdecimal()]
    if len(numbers) != 3 or len(words) != 3 or max(numbers) > 255:
        raise HiersegError(f"{where}: expected red, green and blue from 0 to 255.")
    return numbers[0] << 16 | numbers[1] << 8 | numbers[2]


def read_colour_table(file: pathlib.Path) -> dict[Colour, str]:
    """Colour -> name, from `red green blue name` lines, or `name,red,green,blue` in a .csv.

    There semicolons do as well, as spreadsheets of half of Europe write them. CVAT's labelmap.txt
    has lines of `name:red,green,blue:parts:actions`.

    Raises:
      ValueError: a sentence that starts with the file and names the line.
    """
    colours: dict[Colour, str] = {}
    for colour, name, where in _lines(file):
        first = colours.setdefault(colour, name)
        if first != name:
            raise HiersegError(f"{where}: {name!r} has the colour of {first!r}.")
    if not colours:
        raise HiersegError(f"{file} names no colour.")
    return colours


def colour_lines(file: pathlib.Path) -> list[Colour]:
    """The colours of the lines of such a table, those that stand there twice as well."""
    return [colour for colour, _, _ in _lines(file)]


def _lines(file: pathlib.Path) -> Iterator[tuple[Colour, str, str]]:
    """Colour, name, and where it stands."""
    is_csv = file.suffix == ".csv"
    lines = read_ids(file)
    apart = max(",;", key=lines[0][1].count) if lines else ","
    for at, (number, line) in enumerate(lines):
        where = f"{file}: line {number}"
        if line.startswith("#"):
            continue
        if is_csv:
            name, *numbers = _cells(line, apart, where)
            if not at and not any(word.strip().isdecimal() for word in numbers):
                continue  # names of the columns
        elif file.name == LABELMAP:
            name, _, rest = line.partition(":")
            numbers = rest.partition(":")[0].split(",")
        else:
            *numbers, name = line.split(maxsplit=3)
        yield parse_colour(numbers, where), name.strip(), where


def _cells(line: str, apart: str, where: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=apart))
    except csv.Error as error:
        raise HiersegError(f"{where}: {error}.") from error
