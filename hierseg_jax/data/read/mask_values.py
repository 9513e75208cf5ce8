"""What the numbers in a mask stand for: labels of the tree."""

import dataclasses
import pathlib
from collections.abc import Iterable

import numpy as np

from hierseg_jax.data.read.image_files import check_classes, decode_mask
from hierseg_jax.data.read.mask_meaning import MaskMeaning
from hierseg_jax.data.read.value_names import IGNORE, Named, Value
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import listed
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import all_labels, label_of
from hierseg_jax.tree.parsing import IGNORE_LABEL

UNLABELLED = -1
"""Ignored as 255 is; masks of signed numbers can hold it."""


@dataclasses.dataclass(frozen=True, eq=False)
class MaskValues(MaskMeaning):
    """Values of masks, and the labels that they stand for.

    Attributes:
      table: uint8 [256]; the label of every value, 255 for those without one.
      known: bool [256]; the values that a mask may hold, beside -1.
      num_classes: where values are class indices, of how many; 0 where they have names.
      told: what a data.yaml says of them, as lines; empty where they are class indices or 255.
      ignored: values beyond 0 to 255 that are ignored, too.
      skips_unknown: whether all others are ignored as well.
    """

    table: np.ndarray
    known: np.ndarray
    num_classes: int = 0
    told: tuple[str, ...] = ()
    ignored: tuple[int, ...] = ()
    skips_unknown: bool = False

    def decode(self, data: bytes, file: pathlib.Path) -> np.ndarray:
        """As `read`, of bytes that are there: integers [H, W]."""
        return decode_mask(data, file)

    def labels(self, mask_hw: np.ndarray, file: pathlib.Path) -> np.ndarray:
        """Labels, uint8 [H, W], of a mask as it is stored, integers [H, W].

        Raises:
          ValueError: for a value without a name; a sentence starting with `file`.
        """
        bytes_hw = mask_hw.astype(np.uint8)
        known_hw, labels_hw = self.known[bytes_hw], self.table[bytes_hw]
        if mask_hw.dtype != np.uint8:
            known_hw &= (mask_hw >= 0) & (mask_hw < 256)
            # What is no number of the mask's type isn't in it.
            held = [v for v in (UNLABELLED, *self.ignored) if _holds(mask_hw.dtype, v)]
            if held:
                ignored_hw = np.isin(mask_hw, np.array(held, mask_hw.dtype))
                labels_hw[ignored_hw] = IGNORE_LABEL
                known_hw |= ignored_hw
        if not known_hw.all():
            if not self.skips_unknown:
                self._refuse(mask_hw, known_hw, file)
            labels_hw[~known_hw] = IGNORE_LABEL
        return labels_hw

    def _refuse(self, mask_hw: np.ndarray, known_hw: np.ndarray, file: pathlib.Path) -> None:
        unknown = mask_hw[~known_hw]
        if self.num_classes:
            check_classes(unknown[None], file, self.num_classes)
        values = np.unique(unknown).tolist()
        add = f"add them there, each as `VALUE: NAME` or `VALUE: {IGNORE}`."
        if values[0] < 0 or values[-1] > 255:
            add = "names go to values from 0 to 255 alone, so mend the file (or `ignore` them)."
        raise HiersegError(
            f"{file} holds the values {listed(values, 5)}, which have no name in "
            f"`labels` ({listed(np.flatnonzero(self.known).tolist(), 20)} have); {add}"
        )


def class_indices(
    num_classes: int, ignored: tuple[Value, ...] = (), *, skips_unknown: bool = False
) -> MaskValues:
    """Values that are class indices, 255 and what else is ignored aside."""
    known = np.arange(256) < num_classes
    values = MaskValues(
        np.where(known, np.arange(256), IGNORE_LABEL).astype(np.uint8), known, num_classes
    )
    return _ignoring(values, ignored, skips_unknown)


def named_values(
    labels: Named,
    hierarchy: Hierarchy,
    own_classes: int = 0,
    ignored: tuple[Value, ...] = (),
    *,
    skips_unknown: bool = False,
) -> MaskValues:
    """Values with names.

    Args:
      labels: names of nodes of the tree, of the background, or `ignore`; values are numbers.
      hierarchy: the tree.
      own_classes: where values are the class indices of another tree, by name: how many.
      ignored, skips_unknown: as in `MaskValues`; values from 0 to 255, too.
    """
    table, known = np.full(256, IGNORE_LABEL, np.uint8), np.zeros(256, bool)
    of_tree = all_labels(hierarchy)
    for value, name in labels:
        known[int(value)] = True
        table[int(value)] = IGNORE_LABEL if name == IGNORE else label_of(name, of_tree)
    told = (f"labels: {', '.join(f'{value} {name}' for value, name in labels)}",)
    return _ignoring(MaskValues(table, known, own_classes, told), ignored, skips_unknown)


def ignored_lines(ignored: Iterable[Value], skips_unknown: bool) -> tuple[str, ...]:
    """What `MaskValues.told` says of ignored values."""
    values = ", ".join(map(str, ignored))
    return (f"ignore: {values}",) * bool(values) + ("unknown: ignore",) * skips_unknown


def _ignoring(values: MaskValues, ignored: tuple[Value, ...], skips_unknown: bool) -> MaskValues:
    table, known = values.table.copy(), values.known.copy()
    known[IGNORE_LABEL] = True
    numbers = [value for value in ignored if isinstance(value, int)]
    near = [value for value in numbers if 0 <= value < 256]
    table[near], known[near] = IGNORE_LABEL, True
    return dataclasses.replace(
        values,
        table=table,
        known=known,
        told=(*values.told, *ignored_lines(ignored, skips_unknown)),
        ignored=tuple(value for value in numbers if not 0 <= value < 256),
        skips_unknown=skips_unknown,
    )


def _holds(dtype: np.dtype, value: int) -> bool:
    return np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
