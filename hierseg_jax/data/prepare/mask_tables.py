"""The table of classes that belongs to masks, of those that lie beside them.

Data sets have tables of the colours in which people are shown masks that hold numbers.
"""

import contextlib
import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.prepare.class_tables import ClassPath, Table, find_table
from hierseg_jax.data.prepare.classes import value_of_none
from hierseg_jax.data.prepare.colours import is_coloured
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.data.read.mask_values import UNLABELLED
from hierseg_jax.data.read.png import palette_of
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.read.value_names import Value
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

_LOOKED_INTO = 20
_NEARLY_ALL = 0.75
"""Share of a table's lines whose numbers are in masks, from which on they are no chance."""


def find_mask_table(
    raw_dir: pathlib.Path, masks: Sequence[pathlib.Path], hierarchy: Hierarchy | None = None
) -> tuple[Table | None, tuple[str, ...]]:
    """The table in a folder, if it is one of what the masks hold; and what is to be said of it.

    Where it names colours, and masks are grey numbers that are those of its lines from 0 on, it
    is a table of these numbers, but where a user's tree has named them.

    Raises:
      ValueError: a table that can't be read; several that differ.
    """

    def fits(table: Table) -> bool:
        coloured, shown = looks()
        if not table.names_colours:
            return not coloured
        return coloured or not shown or not shown.isdisjoint(table.paths)

    looks = functools.cache(lambda: _looks(masks))
    table = find_table(raw_dir, fits)
    # One of numbers alone beside colours may be of black and white, or else is told of there.
    if table is None or not table.names_colours or fits(table):
        return table, ()
    passed_over = f"{table.file} names colours, and the masks hold numbers: "
    are_lines = _are_lines(table, masks)
    if hierarchy is not None and are_lines:
        _refuse_another_order(table, hierarchy)
    if hierarchy is not None or not are_lines:
        return None, (f"{passed_over}it is passed over.",)
    numbers: dict[Value, ClassPath] = {
        table.lines.index(colour): path for colour, path in table.paths.items()
    }
    return Table(table.file, numbers), (
        f"{passed_over}they are taken for those of its lines, the first of which is 0. See in the "
        "report of hierseg inspect that they are.",
    )


def _refuse_another_order(table: Table, hierarchy: Hierarchy) -> None:
    """Raises HiersegError where a tree counts names otherwise than the lines of a table do."""
    for number, colour in enumerate(table.lines):
        name = table.paths[colour][-1]
        here = hierarchy.class_names[number : number + 1]
        if name in hierarchy.class_names and here != (name,):
            raise HiersegError(
                f"The masks hold numbers. By the lines of {table.file} {number} is {name}, and by "
                f"`names` it is {here[0] if here else 'none'}: give these in the order of the "
                "numbers, say by `labels` what the numbers mean, or take the table away."
            )


def _looks(masks: Sequence[pathlib.Path]) -> tuple[bool, set[Value]]:
    """Whether masks are of colours; and of numbers the colours but black in which they are shown.

    These are a palette's, or greys. Masks that can't be read are told of elsewhere.
    """
    shown: set[Value] = set()
    for mask in (masks[index] for index in spread_indices(len(masks), _LOOKED_INTO)):
        with contextlib.suppress(HiersegError):
            if is_coloured(mask):
                return True, set()
            palette = dict(enumerate(palette_of(mask)))
            values = np.unique(read_mask(mask)).tolist()
            colours = (palette.get(value, value * 0x10101) for value in values)
            shown |= {f"#{colour:06X}" for colour in colours if colour}
    return False, shown


def _is_none(colour: Value, path: ClassPath) -> bool:
    return colour == "#000000" or value_of_none(path[-1]) == 0


def _are_lines(table: Table, masks: Sequence[pathlib.Path]) -> bool:
    """Whether masks hold numbers of a table's lines, nearly all of them, and no others."""
    if not table.lines:
        return False  # it is not one of lines, or some stand there twice
    blank = next((colour for colour, path in table.paths.items() if _is_none(colour, path)), None)
    if blank != table.lines[0]:
        return False  # of numbers 0 mostly is the background
    lines, found = {*range(len(table.lines))}, set[int]()
    for mask in masks:
        with contextlib.suppress(HiersegError):
            if palette_of(mask):
                return False
            found |= {*np.unique(read_mask(mask)).tolist()} - {IGNORE_LABEL, UNLABELLED}
            if not found <= lines:
                return False
    return len(found) >= max(2, _NEARLY_ALL * len(lines))
