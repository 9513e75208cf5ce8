"""A level of the tree: the classes of one cut through it."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from hierseg_jax.tree.background import foreground
from hierseg_jax.tree.colors import Palette
from hierseg_jax.tree.parsing import Children, walk


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """One horizontal cut through the tree.

    Attributes:
      name: of the level, unique within the hierarchy.
      class_names: one per class of the level.
      leaf_to_class: int32 [leaf classes], read-only; the class at this level of
        every leaf. A branch that ends above this level stands for itself here.
      palette: of the tree.
      background: the class that is the background, 0; None where there is none.
    """

    name: str
    class_names: tuple[str, ...]
    leaf_to_class: np.ndarray
    palette: Palette
    background: int | None = 0

    @functools.cached_property
    def colors(self) -> np.ndarray:
        """Of the classes: uint8 RGB [classes, 3]; a background, which is not painted, is black."""
        return self.palette.of(self.class_names)

    @functools.cached_property
    def in_tree_order(self) -> tuple[int, ...]:
        """The classes in the order of the tree, a background first; siblings are neighbours."""
        if not np.array_equal(self.leaf_to_class, np.arange(self.num_classes)):
            return tuple(range(self.num_classes))  # groups are numbered so
        leaves = [leaf for leaf, _ in walk(self.palette.children)]
        return (*range(self.foreground.start), *leaves)

    @property
    def num_classes(self) -> int:
        """Number of classes of the level, a background included."""
        return len(self.class_names)

    @property
    def foreground(self) -> slice:
        """Of names and arrays by class, those that means count and pictures paint."""
        return foreground(self.background)


def cut_levels(
    children: Children,
    class_names: Sequence[str],
    level_names: Sequence[str],
    palette: Palette,
    background: int | None,
) -> tuple[Level, ...]:
    """The levels of a tree, coarse to fine; the last maps every leaf to itself."""
    paths = dict(walk(children))
    outside = class_names[: foreground(background).start]
    levels = []
    for k, level_name in enumerate(level_names):
        if k == len(level_names) - 1:
            names, leaf_to_class = tuple(class_names), np.arange(len(class_names))
        else:
            # A branch that has ended by level k is its leaf; group names are unique, hence the
            # key of a node is a group's name or a leaf's index.
            node = {leaf: path[k].name if k < len(path) else leaf for leaf, path in paths.items()}
            order = {
                key: i for i, key in enumerate(dict.fromkeys(node.values()), start=len(outside))
            }
            names = (
                *outside,
                *(key if isinstance(key, str) else class_names[key] for key in order),
            )
            leaf_to_class = np.zeros(len(class_names), np.int32)
            for leaf, key in node.items():
                leaf_to_class[leaf] = order[key]
        leaf_to_class = leaf_to_class.astype(np.int32)
        leaf_to_class.flags.writeable = False
        levels.append(Level(level_name, names, leaf_to_class, palette, background))
    return tuple(levels)
