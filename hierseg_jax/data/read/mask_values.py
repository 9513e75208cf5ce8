"""What the numbers in a mask stand for: labels of the tree."""

import dataclasses
import pathlib
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hierseg_jax.data.read.image_files import check_classes
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import listed
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import all_labels, has_no_room, label_of, near_names
from hierseg_jax.tree.parsing import IGNORE_LABEL, MAX_CLASSES

IGNORE = "ignore"
"""The name of what is not counted, in place of a node's."""

Named = tuple[tuple[int, str], ...]
"""Values of masks with their names, by value."""


@dataclasses.dataclass(frozen=True, eq=False)
class MaskValues:
    """Values of masks, and the labels that they stand for.

    Attributes:
      table: uint8 [256]; the label of every value, 255 for those without one.
      known: bool [256]; the values that a mask may hold.
      num_classes: where values are the indices of so many classes; 0 where they have names.
      names: of the values; empty where these are class indices.
      own_classes: where values are the class indices of another tree, by name: how many.
    """

    table: np.ndarray
    known: np.ndarray
    num_classes: int = 0
    names: Named = ()
    own_classes: int = 0

    def entries(self) -> tuple[Entry, ...]:
        """Of an inventory: the names of values, where they have some, for others are other data."""
        named = ", ".join(f"{value} {name}" for value, name in self.names)
        return ((f"labels: {named}", 0),) if named else ()

    def labels(self, mask_hw: np.ndarray, file: pathlib.Path) -> np.ndarray:
        """Labels, uint8 [H, W], of a mask as it is stored, integers [H, W].

        Raises:
          ValueError: for a value without a name; a sentence starting with `file`.
        """
        if self.num_classes:
            check_classes(mask_hw, file, self.num_classes)
            return mask_hw.astype(np.uint8)
        if self.own_classes:
            check_classes(mask_hw, file, self.own_classes)
        bytes_hw = mask_hw.astype(np.uint8)
        known_hw = self.known[bytes_hw]
        if mask_hw.dtype != np.uint8:
            known_hw &= (mask_hw >= 0) & (mask_hw < 256)
        if not known_hw.all():
            values = np.unique(mask_hw[~known_hw]).tolist()
            add = f"add them to the `labels` there, each as `VALUE: NAME` or `VALUE: {IGNORE}`."
            if values[0] < 0 or values[-1] > 255:
                add = "names go to values from 0 to 255 alone, so mend the file."
            raise HiersegError(
                f"{file} holds the values {listed(values, 5)}, which have no name in its "
                f"data.yaml ({listed(np.flatnonzero(self.known).tolist(), 20)} have); {add}"
            )
        return self.table[bytes_hw]


def class_indices(num_classes: int) -> MaskValues:
    """Values that are class indices, 255 aside."""
    known = np.arange(256) < num_classes
    known[IGNORE_LABEL] = True
    return MaskValues(np.arange(256, dtype=np.uint8), known, num_classes)


def named_values(labels: Named, hierarchy: Hierarchy, own_classes: int = 0) -> MaskValues:
    """Values with names.

    Args:
      labels: names of nodes of the tree, of the background, or `ignore`.
      hierarchy: the tree.
      own_classes: as in `MaskValues`.
    """
    table, known = np.full(256, IGNORE_LABEL, np.uint8), np.zeros(256, bool)
    known[IGNORE_LABEL] = True
    of_tree = all_labels(hierarchy)
    for value, name in labels:
        known[value] = True
        table[value] = IGNORE_LABEL if name == IGNORE else label_of(name, of_tree)
    return MaskValues(table, known, names=labels, own_classes=own_classes)


def parse_labels(content: Any, hierarchy: Hierarchy) -> Named:
    """`{0: background, 7: torso, 8: ignore}` as it stands in a data.yaml, checked.

    Raises:
      ValueError: for what is no such mapping; a value that is no whole number from 0 to 255; a
        name that no node of the tree has; a tree with a class called `ignore`.
    """
    if not isinstance(content, Mapping) or not content:
        raise HiersegError(
            "labels: expected a name for every value of the masks, such as `{0: background, 255: "
            f"person}}`; found {reprlib.repr(content)}."
        )
    check_ignore(hierarchy)
    of_tree = all_labels(hierarchy)
    for value, name in content.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
            raise HiersegError(
                f"labels: {reprlib.repr(value)} is no value of a mask; these are whole numbers "
                "from 0 to 255, without quotes."
            )
        if not isinstance(name, str):
            raise HiersegError(
                f"labels: the value {value} has {reprlib.repr(name)} for a name; a name is text "
                "(put quotes around numbers, yes and no)."
            )
        if has_no_room(name, hierarchy):
            raise HiersegError(
                f"labels: the value {value} is called {name!r}. The tree has more classes and "
                f"groups than the {MAX_CLASSES} labels of 8 bits, and none is left for it; merge "
                "classes or ignore it."
            )
        if name != IGNORE and name not in of_tree.names:
            raise HiersegError(
                f"labels: the value {value} is called {reprlib.repr(name)}, and no class and no "
                f"group has this name; {near_names(name, of_tree.names)}"
            )
    return tuple(sorted(content.items()))


def check_ignore(hierarchy: Hierarchy) -> None:
    """Refuses a tree in which the name of what is not counted is that of a node as well."""
    if IGNORE in all_labels(hierarchy).names:
        raise HiersegError(
            f"labels: {IGNORE!r} marks pixels that are not counted, and the tree has a class or "
            "group of this name; rename that."
        )
