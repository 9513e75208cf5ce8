"""The class tree: its names, its levels, and the maps between them.

Every count of classes in the project comes from a `Hierarchy`. It is plain
Python and NumPy, immutable, hashable, and turns to JSON and back, so that it
can travel inside a checkpoint or an .onnx file.
"""

import dataclasses
import functools
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

IGNORE_LABEL = 255
"""Label of pixels that no loss and no metric counts."""

MAX_CLASSES = 255
"""Labels are uint8 and 255 is taken, which leaves 0..254."""

MAX_LEVELS = 64
"""A bound on nesting, far above any real tree, so that a hostile file ends in a sentence."""


@dataclasses.dataclass(frozen=True)
class Group:
    """An inner node: a name over further groups and leaf class indices."""

    name: str
    children: "tuple[Group | int, ...]"


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """One horizontal cut through the tree.

    Attributes:
      name: of the level, unique within the hierarchy.
      class_names: one per class of the level; [0] is the background.
      leaf_to_class: int32 [leaf classes], read-only; the class at this level of
        every leaf. Background is 0. A branch that ends above this level stands
        for itself here.
    """

    name: str
    class_names: tuple[str, ...]
    leaf_to_class: np.ndarray

    @property
    def num_classes(self) -> int:
        """Number of classes of the level, background included."""
        return len(self.class_names)


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """A tree over leaf classes 1..C-1, with background 0 outside of it.

    Made by `from_mapping` or `from_json`. Classes of an upper level are numbered
    from 1 in the order in which the tree lists them; those of the last level are
    the leaf classes themselves.

    Attributes:
      children: what stands at the root: groups, or leaf classes.
      class_names: name of every leaf class; [0] is the background.
      level_names: coarse to fine.

    Raises:
      ValueError: one sentence naming what is wrong with the tree.
    """

    children: tuple[Group | int, ...]
    class_names: tuple[str, ...]
    level_names: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_leaves(self.children, self.class_names)
        _check_names(self.children, self.class_names)
        _check_level_names(self.level_names, _depth(self.children))

    @classmethod
    def from_mapping(
        cls,
        tree: Mapping[str, Any] | Sequence[Any],
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        level_names: Sequence[str] | None = None,
    ) -> "Hierarchy":
        """Builds a hierarchy from nested groups as they stand in a data.yaml.

        Args:
          tree: group name -> content. Content is a mapping of further groups, a
            sequence of leaves (mappings may stand among them, where depths
            differ), or a single leaf. A leaf is a class index (1, 2, ...; 0 is the
            background and stands outside) or, where `class_names` is given, a
            class name. A bare sequence is a tree of one level.
          class_names: names by class index, the background's first. By default
            `background`, `class_1`, `class_2`, ...
          level_names: coarse to fine; by default `level_1`, `level_2`, ..., `leaf`.

        Raises:
          ValueError: an index used twice, missing, negative or not whole; an empty
            group; an empty or repeated name; a tree that contains itself; more
            than 255 classes; a leaf that is no class.
        """
        names = None if class_names is None else _name_tuple(class_names)
        index_of = {} if names is None else {name: i for i, name in enumerate(names)}
        children = _parse(tree, index_of, path=(), open_nodes=(), seen=set())
        if names is None:
            count = max((leaf for leaf, _ in _walk(children)), default=0) + 1
            _check_class_count(count)
            names = ("background", *(f"class_{i}" for i in range(1, count)))
        if level_names is None:
            levels = (*(f"level_{i}" for i in range(1, _depth(children))), "leaf")
        else:
            levels = tuple(level_names)
        return cls(children, names, levels)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Hierarchy":
        """Inverse of `to_json`, with the checks of `from_mapping`."""
        keys = ("tree", "class_names", "level_names")
        missing = [k for k in keys if not isinstance(data, Mapping) or k not in data]
        if missing:
            raise ValueError(
                f"A stored hierarchy needs the keys {', '.join(keys)}; missing: "
                f"{', '.join(missing)}."
            )
        return cls.from_mapping(data["tree"], data["class_names"], data["level_names"])

    def to_json(self) -> dict[str, Any]:
        """Plain lists, dicts, strings and ints; order is kept even if keys get sorted."""

        def plain(children: tuple[Group | int, ...]) -> list[Any]:
            return [
                {c.name: plain(c.children)} if isinstance(c, Group) else c for c in children
            ]

        return {
            "tree": plain(self.children),
            "class_names": list(self.class_names),
            "level_names": list(self.level_names),
        }

    @property
    def num_classes(self) -> int:
        """Number of leaf classes, background included: the channels of a flat head."""
        return len(self.class_names)

    @property
    def num_levels(self) -> int:
        return len(self.level_names)

    @functools.cached_property
    def levels(self) -> tuple[Level, ...]:
        """The levels, coarse to fine; the last maps every leaf to itself."""
        depth = len(self.level_names)
        paths = dict(_walk(self.children))
        levels = []
        for k, level_name in enumerate(self.level_names):
            if k == depth - 1:
                names, leaf_to_class = self.class_names, np.arange(self.num_classes)
            else:
                # A branch that has ended by level k is its leaf; group names are
                # unique, hence the key of a node is a group's name or a leaf's index.
                node = {
                    leaf: path[k].name if k < len(path) else leaf for leaf, path in paths.items()
                }
                order = {key: i for i, key in enumerate(dict.fromkeys(node.values()), start=1)}
                names = (
                    self.class_names[0],
                    *(k if isinstance(k, str) else self.class_names[k] for k in order),
                )
                leaf_to_class = np.zeros(self.num_classes, np.int32)
                for leaf, key in node.items():
                    leaf_to_class[leaf] = order[key]
            leaf_to_class = leaf_to_class.astype(np.int32)
            leaf_to_class.flags.writeable = False
            levels.append(Level(level_name, tuple(names), leaf_to_class))
        return tuple(levels)

    def ancestors(self, fine: int, coarse: int) -> np.ndarray:
        """Class at level `coarse` of every class at level `fine`.

        Args:
          fine, coarse: level numbers, 0 the coarsest, with coarse <= fine.

        Returns:
          int32 [classes at level `fine`].
        """
        if not 0 <= coarse <= fine < self.num_levels:
            raise ValueError(
                f"Levels run from 0 (coarsest) to {self.num_levels - 1}; there are no ancestors "
                f"at level {coarse} of classes at level {fine}."
            )
        out = np.zeros(self.levels[fine].num_classes, np.int32)
        out[self.levels[fine].leaf_to_class] = self.levels[coarse].leaf_to_class
        return out

    def parents(self, level: int) -> np.ndarray:
        """Class one level up of every class at `level` >= 1: int32 [classes at `level`]."""
        return self.ancestors(level, level - 1)


def _name_tuple(class_names: Sequence[str] | Mapping[int, str]) -> tuple[str, ...]:
    if isinstance(class_names, str):
        raise ValueError(f"class names must be a list, background first; got {class_names!r}.")
    if isinstance(class_names, Mapping):
        if set(class_names) != set(range(len(class_names))):
            raise ValueError(
                "class names given by index must name every index from 0 (the background) up; "
                f"got the indices {sorted(map(str, class_names))}."
            )
        return tuple(class_names[i] for i in range(len(class_names)))
    if not isinstance(class_names, Sequence):
        raise ValueError(f"class names must be a list, background first; got {class_names!r}.")
    return tuple(class_names)


def _at(path: tuple[str, ...]) -> str:
    return f"hierarchy, under {' > '.join(path)}" if path else "hierarchy"


def _parse(
    content: Any,
    index_of: Mapping[str, int],
    path: tuple[str, ...],
    open_nodes: tuple[int, ...],
    seen: set[int],
) -> tuple[Group | int, ...]:
    """Content of a group, in any of its written forms, to its children.

    `open_nodes` are the ids of the containers around this one, `seen` those of all
    met so far: aliases of aliases would otherwise unfold without end.
    """
    if id(content) in open_nodes:
        raise ValueError(f"{_at(path)}: the group contains itself (a YAML anchor in a circle).")
    if len(path) >= MAX_LEVELS:
        raise ValueError(f"hierarchy: groups are nested more than {MAX_LEVELS - 1} deep.")
    if isinstance(content, Mapping):
        entries = [{name: inner} for name, inner in content.items()]
    elif isinstance(content, Sequence) and not isinstance(content, str):
        entries = list(content)
    elif not path:
        raise ValueError(f"hierarchy: expected groups of class indices, found {content!r}.")
    else:
        entries = [content]
    if not entries:
        raise ValueError(f"{_at(path)}: the group is empty; give it classes or take it out.")

    if isinstance(content, Mapping | Sequence) and not isinstance(content, str):
        if id(content) in seen:
            raise ValueError(
                f"{_at(path)}: the same group stands in the tree twice (a YAML anchor)."
            )
        seen.add(id(content))
    open_nodes = (*open_nodes, id(content))
    children: list[Group | int] = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            children.append(_leaf_index(entry, index_of, path))
            continue
        if not entry:
            raise ValueError(f"{_at(path)}: there is an empty group without a name.")
        for name, inner in entry.items():
            if not isinstance(name, str) or not name.strip():
                raise ValueError(
                    f"{_at(path)}: {name!r} is no name for a group; names are text, not empty "
                    "(put quotes around numbers, yes and no)."
                )
            nested = _parse(inner, index_of, (*path, name), (*open_nodes, id(entry)), seen)
            children.append(Group(name, nested))
    return tuple(children)


def _leaf_index(leaf: Any, index_of: Mapping[str, int], path: tuple[str, ...]) -> int:
    if isinstance(leaf, str):
        if leaf in index_of:
            return index_of[leaf]
        known = f"the names are {', '.join(map(str, index_of))}" if index_of else (
            "no class names are given"
        )
        raise ValueError(f"{_at(path)}: {leaf!r} is no class name; {known}.")
    if isinstance(leaf, bool) or not isinstance(leaf, numbers.Integral):
        raise ValueError(
            f"{_at(path)}: expected a class index (a whole number) or a class name, found {leaf!r}."
        )
    return int(leaf)


def _walk(
    children: tuple[Group | int, ...], above: tuple[Group, ...] = ()
) -> Iterator[tuple[int, tuple[Group, ...]]]:
    """Depth first, every leaf with the groups above it, outermost first."""
    for child in children:
        if isinstance(child, Group):
            yield from _walk(child.children, (*above, child))
        else:
            yield child, above


def _groups(children: tuple[Group | int, ...]) -> Iterator[Group]:
    for child in children:
        if isinstance(child, Group):
            yield child
            yield from _groups(child.children)


def _depth(children: tuple[Group | int, ...]) -> int:
    """Number of levels: the nodes on the longest path from the root to a leaf."""
    return max((len(above) + 1 for _, above in _walk(children)), default=0)


def _check_class_count(count: int) -> None:
    if count > MAX_CLASSES:
        raise ValueError(
            f"hierarchy: {count} classes (background included) are more than {MAX_CLASSES}; "
            f"masks are stored in 8 bits and {IGNORE_LABEL} marks ignored pixels."
        )


def _check_leaves(children: tuple[Group | int, ...], class_names: tuple[str, ...]) -> None:
    if not children:
        raise ValueError("hierarchy: the tree is empty; it needs at least one class.")
    for group in _groups(children):
        if not group.children:
            raise ValueError(f"hierarchy: the group {group.name!r} is empty.")
    seen: dict[int, tuple[str, ...]] = {}
    for leaf, above in _walk(children):
        path = tuple(g.name for g in above)
        if leaf < 0:
            raise ValueError(f"{_at(path)}: class index {leaf} is negative.")
        if leaf == 0:
            raise ValueError(
                f"{_at(path)}: class 0 is the background, which stands outside the tree; "
                "count the classes from 1."
            )
        if leaf in seen:
            raise ValueError(f"{_at(path)}: class {leaf} stands already in {_at(seen[leaf])}.")
        seen[leaf] = path
    count = max(seen) + 1
    _check_class_count(max(count, len(class_names)))
    missing = [i for i in range(1, max(count, len(class_names))) if i not in seen]
    if len(class_names) < count:
        raise ValueError(
            f"hierarchy: the tree has class {count - 1}, but there are only {len(class_names)} "
            "class names (the background's included)."
        )
    if missing:
        listed = ", ".join(f"{i} ({class_names[i]})" for i in missing[:10])
        raise ValueError(
            f"hierarchy: every class from 1 to {max(count, len(class_names)) - 1} must stand in "
            f"the tree; missing: {listed}{', ...' if len(missing) > 10 else ''}."
        )


def _check_names(children: tuple[Group | int, ...], class_names: tuple[str, ...]) -> None:
    """All names differ; only a group's single leaf may share the group's name."""
    names = list(class_names)
    for group in _groups(children):
        only = group.children[0] if len(group.children) == 1 else None
        if not (isinstance(only, int) and class_names[only] == group.name):
            names.append(group.name)
    _check_distinct(names, "class or group")
    group_names = [g.name for g in _groups(children)]
    _check_distinct(group_names, "group")


def _check_level_names(level_names: tuple[str, ...], depth: int) -> None:
    if len(level_names) != depth:
        raise ValueError(
            f"hierarchy: the tree has {depth} levels, but {len(level_names)} level names are given."
        )
    _check_distinct(level_names, "level")


def _check_distinct(names: Sequence[str], kind: str) -> None:
    seen = set()
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"hierarchy: {name!r} is no name for a {kind}; it must be text.")
        if name in seen:
            raise ValueError(f"hierarchy: the {kind} name {name!r} is used twice.")
        seen.add(name)


PASCAL_PERSON_PART = Hierarchy.from_mapping(
    {"body": {"upper_body": [1, 6, 2, 4], "lower_body": [3, 5]}},
    class_names=("background", "low_hand", "torso", "low_leg", "head", "up_leg", "up_hand"),
    level_names=("body", "upper_lower", "part"),
)
"""PASCAL-Person-Part in the numbering of the reference's download of it."""
