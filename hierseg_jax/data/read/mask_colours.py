"""What the colours in a mask stand for: labels of the tree."""

import dataclasses
import functools
import pathlib

import numpy as np

from hierseg_jax.data.read.image_files import decode_mask
from hierseg_jax.data.read.mask_meaning import MaskMeaning
from hierseg_jax.data.read.mask_values import ignored_lines
from hierseg_jax.data.read.value_names import IGNORE, Named, Value
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted, listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.meeting import all_labels, label_of

BORDER = 0xE0E0C0
"""The colour round objects in masks of Pascal VOC, which is ignored where it has no name."""


@dataclasses.dataclass(frozen=True, eq=False)
class MaskColours(MaskMeaning):
    """Colours of masks, and the labels that they stand for; used as `MaskValues` is.

    Attributes:
      label_of: colour as a number, 0xRRGGBB -> label.
      told: what a data.yaml says of them, as lines.
      skips_unknown: whether all other colours are ignored.
    """

    label_of: dict[int, int]
    told: tuple[str, ...]
    skips_unknown: bool = False

    @functools.cached_property
    def _table(self) -> np.ndarray:
        """uint16 [2**24]: label + 1 of every colour, 0 of those without one.

        32 MB of address space, of which the few pages that hold a colour take memory.
        """
        table = np.zeros(1 << 24, np.uint16)
        for colour, label in self.label_of.items():
            table[colour] = label + 1
        return table

    def decode(self, data: bytes, file: pathlib.Path) -> np.ndarray:
        """As `read`, of bytes that are there: int32 [H, W], 0xRRGGBB."""
        return decode_mask(data, file, colours=True)

    def labels(self, mask_hw: np.ndarray, file: pathlib.Path) -> np.ndarray:
        """Labels, uint8 [H, W], of colours as numbers, int32 [H, W].

        Raises:
          ValueError: for a colour without a name; a sentence starting with `file`.
        """
        found_hw = self._table[mask_hw]
        unknown_hw = found_hw == 0
        if unknown_hw.any():
            if not self.skips_unknown:
                self._refuse(np.unique(mask_hw[unknown_hw]), file)
            found_hw[unknown_hw] = IGNORE_LABEL + 1
        return (found_hw - 1).astype(np.uint8)

    def _refuse(self, colours: np.ndarray, file: pathlib.Path) -> None:
        names = [f"#{colour:06X}" for colour in colours[:6].tolist()]
        have = [f"#{colour:06X}" for colour in self.label_of]
        raise HiersegError(
            f"{file} holds {counted(len(colours), 'colour')} without a name in `labels`: "
            f"{listed(names, 5)} ({listed(have, 20)} have one). Add them there, "
            f"each as `'{names[0]}': NAME` or `'{names[0]}': {IGNORE}`; or write `unknown: "
            f"{IGNORE}`, which ignores all of them."
        )


def named_colours(
    labels: Named, hierarchy: Hierarchy, ignored: tuple[Value, ...] = (), *, skips_unknown: bool
) -> MaskColours:
    """Colours with names.

    Args:
      labels: names of nodes of the tree, of the background, or `ignore`, by colours.
      hierarchy: the tree.
      ignored: more colours.
      skips_unknown: as in `MaskColours`.
    """
    of_tree = all_labels(hierarchy)
    found = {BORDER: IGNORE_LABEL}
    for colour, name in (*((colour, IGNORE) for colour in ignored), *labels):
        found[int(str(colour)[1:], 16)] = (
            IGNORE_LABEL if name == IGNORE else label_of(name, of_tree)
        )
    told = (f"labels: {', '.join(f'{colour} {name}' for colour, name in labels)}",)
    return MaskColours(found, told + ignored_lines(ignored, skips_unknown), skips_unknown)
