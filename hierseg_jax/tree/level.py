"""A level of the tree: the classes of one cut through it."""

import dataclasses
import functools

import numpy as np

from hierseg_jax.tree.background import foreground
from hierseg_jax.tree.colors import Palette


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

    @property
    def num_classes(self) -> int:
        """Number of classes of the level, a background included."""
        return len(self.class_names)

    @property
    def foreground(self) -> slice:
        """Of names and arrays by class, those that means count and pictures paint."""
        return foreground(self.background)
