"""The class tree: its names, its levels, and the maps between them.

Every count of classes in the project comes from a `Hierarchy`. It is plain
Python and NumPy, immutable, hashable, and turns to JSON and back, so that it
can travel inside a checkpoint or an .onnx file.
"""

import dataclasses
import functools
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean, listed
from hierseg_jax.tree.background import foreground
from hierseg_jax.tree.colors import GivenColors, Palette, css_color, parse_colors
from hierseg_jax.tree.labels import Labels, make_labels
from hierseg_jax.tree.level import Level, cut_levels
from hierseg_jax.tree.nodes import Node, list_nodes
from hierseg_jax.tree.pairs import Pairs, parse_pairs
from hierseg_jax.tree.parsing import (
    IGNORE_LABEL,
    Children,
    Group,
    background_of,
    check_tree,
    depth,
    parse_tree,
    walk,
)

__all__ = ["IGNORE_LABEL", "PASCAL_PERSON_PART", "Group", "Hierarchy"]


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """A tree over leaf classes 1..C-1 with background 0 outside of it, or over all of 0..C-1.

    Made by `from_mapping` or `from_json`. Classes of an upper level are numbered in the
    order in which the tree lists them, after the background if there is one; those of the
    last level are the leaf classes themselves.

    Attributes:
      children: what stands at the root: groups, or leaf classes.
      class_names: name of every leaf class.
      level_names: coarse to fine.
      pairs: leaf classes that change places in a mirror, such as left and right arm. Two
        hierarchies that differ in them, or in colours, alone are equal: they are the same tree.
      colors: those that a user chose for classes and groups; the others follow from the tree.
      inner_labels: whether pixels may be labelled with groups, too. Of the data as well, no part
        of the tree, and not told by `to_json`; `dataclasses.replace(hierarchy, inner_labels=True)`
        sets it. Losses and metrics change with it, though hierarchies stay equal: what is kept by
        one as a key is kept by both.

    Raises:
      ValueError: one sentence naming what is wrong with the tree.
    """

    children: Children
    class_names: tuple[str, ...]
    level_names: tuple[str, ...]
    pairs: Pairs = dataclasses.field(default=(), compare=False)
    colors: GivenColors = dataclasses.field(default=(), compare=False)
    inner_labels: bool = dataclasses.field(default=False, compare=False)

    def __post_init__(self) -> None:
        check_tree(self.children, self.class_names, self.level_names)
        parse_pairs(self.pairs, self.class_names, self.background)
        self._parse_colors(dict(self.colors))

    @classmethod
    def from_mapping(
        cls,
        tree: Mapping[str, Any] | Sequence[Any],
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        level_names: Sequence[str] | None = None,
        pairs: Sequence[Sequence[str | int]] | None = None,
        colors: Mapping[str, Any] | None = None,
    ) -> "Hierarchy":
        """Builds a hierarchy from nested groups as they stand in a data.yaml.

        Args:
          tree: group name -> content. Content is a mapping of further groups, a
            sequence of leaves (mappings may stand among them, where depths
            differ), or a single leaf. A leaf is a class index or, where `class_names`
            is given, a class name. Class 0 is the background where it stands nowhere
            in the tree. A bare sequence is a tree of one level.
          class_names: names by class index. By default `background`, or `class_0`
            where that stands in the tree, `class_1`, `class_2`, ...
          level_names: coarse to fine; by default `level_1`, `level_2`, ..., `leaf`.
          pairs: of leaf classes that change places in a mirror, by name or index.
          colors: of classes and groups, by name, as `parse_colors` takes them.

        Raises:
          ValueError: an index used twice, missing, negative or not whole; an empty
            group; an empty or repeated name; a tree that contains itself; more
            than 255 classes, or one at the root without a background; a leaf that is
            no class; a pair or a colour that is none.
        """
        children, names = parse_tree(tree, class_names)
        if level_names is None:
            levels = (*(f"level_{i}" for i in range(1, depth(children))), "leaf")
        elif isinstance(level_names, str) or not isinstance(level_names, Sequence):
            raise HiersegError(f"hierarchy: level names must be a list; got {level_names!r}.")
        else:
            levels = tuple(level_names)
        parsed = parse_pairs(pairs, names, background_of(children))
        plain = cls(children, names, levels, parsed)
        return dataclasses.replace(plain, colors=plain._parse_colors(colors))

    def _parse_colors(self, colors: Any) -> GivenColors:
        background = None if self.background is None else self.class_names[0]
        return parse_colors(colors, self.node_names, background)

    @classmethod
    def from_json(cls, data: Any) -> "Hierarchy":
        """Inverse of `to_json`, but for `inner_labels`; with the checks of `from_mapping`."""
        keys = ("tree", "class_names", "level_names")
        missing = [k for k in keys if not isinstance(data, Mapping) or k not in data]
        if missing:
            raise HiersegError(
                f"A stored hierarchy needs the keys {', '.join(keys)}; missing: "
                f"{', '.join(missing)}."
            )
        return cls.from_mapping(
            data["tree"],
            data["class_names"],
            data["level_names"],
            data.get("pairs"),
            data.get("colors"),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain lists, dicts, strings and ints; order is kept even if keys get sorted."""

        def plain(children: Children) -> list[Any]:
            return [{c.name: plain(c.children)} if isinstance(c, Group) else c for c in children]

        return {
            "tree": plain(self.children),
            "class_names": list(self.class_names),
            "level_names": list(self.level_names),
            **({"pairs": [list(pair) for pair in self.pairs]} if self.pairs else {}),
            **({"colors": {n: css_color(of) for n, of in self.colors}} if self.colors else {}),
        }

    @functools.cached_property
    def labels(self) -> Labels:
        """What pixels may be labelled with: leaf classes and, with `inner_labels`, groups."""
        leaf_to_class_kc = np.stack([level.leaf_to_class for level in self.levels])
        return make_labels(self.palette, leaf_to_class_kc, self.inner_labels)

    @functools.cached_property
    def palette(self) -> Palette:
        """The colours of all classes and groups."""
        return Palette(self.children, self.class_names, self.colors)

    @functools.cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every class and every group once, in the order of the tree, after a background.

        A head has more channels, `num_nodes`: one for every level that a class reaches into.
        """
        return list_nodes(self.children, self.class_names)

    @functools.cached_property
    def node_names(self) -> tuple[str, ...]:
        """Of all classes, a background included, and all groups."""
        return tuple(dict.fromkeys((*self.class_names, *(node.name for node in self.nodes))))

    def node(self, name: str) -> Node:
        """The class or group of a name: its path from the root, and the leaf classes it holds.

        Raises:
          ValueError: for a name that is none of the tree's.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        hint = did_you_mean(name, self.node_names, f"it has {listed(self.node_names, 20)}.")
        raise HiersegError(f"The tree has no class and no group {name!r}; {hint}")

    def __str__(self) -> str:
        """The tree, a node a line, each below its group and further in."""
        return "\n".join("  " * node.depth + node.name for node in self.nodes)

    @functools.cached_property
    def mirrored(self) -> np.ndarray:
        """Label in the mirror of every label: uint8 [256], read-only; 255 stays ignored."""
        leaf_mirrored_c = np.arange(self.num_classes)
        for left, right in self.pairs:
            leaf_mirrored_c[[left, right]] = right, left
        table = self.labels.mirrored(leaf_mirrored_c)
        table.flags.writeable = False
        return table

    @functools.cached_property
    def background(self) -> int | None:
        """The class that is the background, at every level: 0, or None where 0 is in the tree."""
        return background_of(self.children)

    @property
    def foreground(self) -> slice:
        """Of names and arrays by leaf class, those of all but the background."""
        return foreground(self.background)

    @property
    def num_classes(self) -> int:
        """Number of leaf classes, a background included: the channels of a flat head."""
        return len(self.class_names)

    @property
    def num_levels(self) -> int:
        """Number of levels, the leaf classes' included."""
        return len(self.level_names)

    @functools.cached_property
    def levels(self) -> tuple[Level, ...]:
        """The levels, coarse to fine; the last maps every leaf to itself."""
        return cut_levels(
            self.children, self.class_names, self.level_names, self.palette, self.background
        )

    @property
    def num_nodes(self) -> int:
        """Number of classes of all levels together: the channels of a hierarchical head."""
        return sum(level.num_classes for level in self.levels)

    @functools.cached_property
    def level_channels(self) -> tuple[slice, ...]:
        """Channels of every level, coarse to fine, in a hierarchical head: the leaves' come first.

        A branch that ends early, and a background, have a channel in every level that
        they reach into.
        """
        channels, start = [], 0
        for level in reversed(self.levels):
            channels.append(slice(start, start + level.num_classes))
            start += level.num_classes
        return tuple(reversed(channels))

    @functools.cached_property
    def path_channels(self) -> np.ndarray:
        """Channels on the way from the root to every leaf: int32 [leaf classes, levels]."""
        starts = [channels.start for channels in self.level_channels]
        columns = [
            start + level.leaf_to_class for start, level in zip(starts, self.levels, strict=True)
        ]
        channels_cl = np.stack(columns, axis=1).astype(np.int32)
        channels_cl.flags.writeable = False
        return channels_cl

    @functools.cached_property
    def distances(self) -> np.ndarray:
        """Edges between two leaves in the tree: int32 [leaf classes, leaf classes].

        A background hangs from the root, as the uppermost nodes do.
        """
        paths: list[tuple[object, ...]] = [("background",)] * self.num_classes
        for leaf, above in walk(self.children):
            paths[leaf] = (*above, leaf)
        distances = np.zeros((self.num_classes, self.num_classes), np.int32)
        for a, b in np.ndindex(*distances.shape):
            if a != b:
                pairs = zip(paths[a], paths[b], strict=False)
                shared = next(i for i, (x, y) in enumerate(pairs) if x is not y)
                distances[a, b] = len(paths[a]) + len(paths[b]) - 2 * shared
        distances.flags.writeable = False
        return distances

    def ancestors(self, fine: int, coarse: int) -> np.ndarray:
        """Class at level `coarse` of every class at level `fine`.

        Args:
          fine, coarse: level numbers, 0 the coarsest, with coarse <= fine.

        Returns:
          int32 [classes at level `fine`].
        """
        if not 0 <= coarse <= fine < self.num_levels:
            raise HiersegError(
                f"Levels run from 0 (coarsest) to {self.num_levels - 1}; there are no ancestors "
                f"at level {coarse} of classes at level {fine}."
            )
        out = np.zeros(self.levels[fine].num_classes, np.int32)
        out[self.levels[fine].leaf_to_class] = self.levels[coarse].leaf_to_class
        return out

    def parents(self, level: int) -> np.ndarray:
        """Class one level up of every class at `level` >= 1: int32 [classes at `level`]."""
        return self.ancestors(level, level - 1)


PASCAL_PERSON_PART = Hierarchy.from_mapping(
    {"body": {"upper_body": [1, 6, 2, 4], "lower_body": [3, 5]}},
    class_names=("background", "low_hand", "torso", "low_leg", "head", "up_leg", "up_hand"),
    level_names=("body", "upper_lower", "part"),
)
"""PASCAL-Person-Part in the numbering of the reference's download of it."""


def check_hierarchy(given: Any) -> None:
    """Raises ValueError for what is no `Hierarchy`, and says how to come by one."""
    if not isinstance(given, Hierarchy):
        raise HiersegError(
            f"A hierarchy is a Hierarchy; got {reprlib.repr(given)}. Hierarchy.from_mapping makes "
            "one of nested names, load_hierarchy reads that of a data.yaml."
        )
