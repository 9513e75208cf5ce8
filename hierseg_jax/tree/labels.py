"""Labels of any depth: what is known of a pixel that bears a leaf class, or a group of the tree.

Leaf classes are labels 0..C-1, a background among them. Where data have labels of inner
nodes (`Hierarchy.inner_labels`), groups follow from C on, coarse to fine, as far as uint8 goes;
255 is ignored. A group's label says that the pixel is one of the leaf classes below the group,
and not which.
"""

import dataclasses

import numpy as np

from hierseg_jax.tree.colors import Palette
from hierseg_jax.tree.parsing import IGNORE_LABEL, MAX_CLASSES, Children, Group, walk


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """All labels that pixels may bear, and what they say.

    Attributes:
      names: one a label: the leaf classes', then the groups'.
      leaves_lc: bool [labels, leaf classes], read-only; those that a pixel may be.
      classes_kl: uint8 [levels, labels], read-only; the class at every level, coarse to fine,
        255 where it is unknown: where the leaf classes below differ in it.
      palette: of the tree.
    """

    names: tuple[str, ...]
    leaves_lc: np.ndarray
    classes_kl: np.ndarray
    palette: Palette

    @property
    def colors(self) -> np.ndarray:
        """Of leaf classes and groups, their own: uint8 RGB [labels, 3]."""
        return self.palette.of(self.names)

    @property
    def depths_l(self) -> np.ndarray:
        """At how many levels, from the coarsest, a label's class is known: int [labels].

        From 1, for every group stands on some level, to the number of levels.
        """
        return (self.classes_kl != IGNORE_LABEL).sum(0)

    @property
    def are_inner_l(self) -> np.ndarray:
        """Whether a label leaves a level unknown: bool [labels]."""
        return (self.classes_kl == IGNORE_LABEL).any(0)

    def table(self, level: int) -> np.ndarray:
        """The class at a level of whatever a mask holds, 255 what is unknown: uint8 [256]."""
        table = np.full(256, IGNORE_LABEL, np.uint8)
        table[: len(self.names)] = self.classes_kl[level]
        return table

    def mirrored(self, leaf_mirrored_c: np.ndarray) -> np.ndarray:
        """Label in the mirror of every label: uint8 [256]; 255 stays ignored.

        Of a group the least one that holds the mirror images of all that it holds; 255 where
        there is none.

        Args:
          leaf_mirrored_c: integer [leaf classes], in the mirror of each.
        """
        table = np.arange(256, dtype=np.uint8)
        sizes_l = self.leaves_lc.sum(1)
        for label in range(len(self.names)):
            image = leaf_mirrored_c[np.flatnonzero(self.leaves_lc[label])]
            holds_l = np.all(self.leaves_lc[:, image], axis=1)
            if not np.any(holds_l):
                table[label] = IGNORE_LABEL
            elif not (holds_l[label] and sizes_l[label] == len(image)):
                table[label] = np.where(holds_l, sizes_l, MAX_CLASSES + 1).argmin()
        return table


def make_labels(palette: Palette, leaf_to_class_kc: np.ndarray, inner: bool) -> Labels:
    """The labels of a tree.

    Args:
      palette: of the tree, with its classes and groups.
      leaf_to_class_kc: integer [levels, leaf classes], of the levels.
      inner: whether groups are labels.
    """
    count = len(palette.class_names)
    names, rows = list(palette.class_names), [*np.eye(count, dtype=bool)]
    groups = _groups_coarse_to_fine(palette.children) if inner else []
    for group in groups[: MAX_CLASSES - count]:
        names.append(group.name)
        rows.append(np.isin(np.arange(count), [leaf for leaf, _ in walk(group.children)]))
    leaves_lc = np.stack(rows)
    least_kl, greatest_kl = (
        np.stack([reduce(np.where(leaves_lc, of_c, fill), axis=1) for of_c in leaf_to_class_kc])
        for reduce, fill in ((np.min, IGNORE_LABEL), (np.max, -1))
    )
    classes_kl = np.where(least_kl == greatest_kl, least_kl, IGNORE_LABEL).astype(np.uint8)
    for array in (leaves_lc, classes_kl):
        array.flags.writeable = False
    return Labels(tuple(names), leaves_lc, classes_kl, palette)


def _groups_coarse_to_fine(children: Children) -> list[Group]:
    """All groups, level by level."""
    groups, level = [], [child for child in children if isinstance(child, Group)]
    while level:
        groups += level
        level = [c for group in level for c in group.children if isinstance(c, Group)]
    return groups
