"""Nested groups of classes: from their written forms to a checked tree of `Group`s.

The written forms are those of a data.yaml (see `Hierarchy.from_mapping`); every
fault in them ends in a ValueError of one sentence.
"""

import dataclasses
import reprlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.number_kinds import is_whole
from hierseg_jax.system.wording import did_you_mean, listed
from hierseg_jax.tree.background import DEFAULT_NAME, single_class

IGNORE_LABEL = 255
"""Label of pixels that no loss and no metric counts."""

MAX_CLASSES = 255
"""Labels are uint8 and 255 is taken, which leaves 0..254."""

MAX_NAME = 200
"""Characters of a name: it is drawn, printed, and that of a folder."""

MAX_LEVELS = 64
"""A bound on nesting, far above any real tree, so that a hostile file ends in a sentence."""


@dataclasses.dataclass(frozen=True)
class Group:
    """An inner node: a name over further groups and leaf class indices."""

    name: str
    children: "Children"


Children = tuple[Group | int, ...]


def parse_tree(
    tree: Any, class_names: Sequence[str] | Mapping[int, str] | None
) -> tuple[Children, tuple[str, ...]]:
    """Children of the root and the names of all classes, from their written forms.

    Raises:
      ValueError: for content that is no tree, or names that are no names. What only
        the whole tree shows is left to `check_tree`.
    """
    names = () if class_names is None else name_tuple(class_names)
    _check_distinct(names, "class")
    children = _parse(tree, {name: i for i, name in enumerate(names)}, (), (), set())
    if class_names is None:
        count = max((leaf for leaf, _ in walk(children)), default=0) + 1
        _check_class_count(count)
        names = default_names(count, background_of(children))
    return children, names


def default_names(count: int, background: int | None = 0) -> tuple[str, ...]:
    """Of so many classes that were given no names."""
    first = "class_0" if background is None else DEFAULT_NAME
    return (first, *(f"class_{i}" for i in range(1, count)))


def background_of(children: Children) -> int | None:
    """The class that stands outside of the tree: 0, or None where 0 stands in it."""
    return None if any(leaf == 0 for leaf, _ in walk(children)) else 0


def check_tree(
    children: Children, class_names: tuple[str, ...], level_names: tuple[str, ...]
) -> None:
    """Refuses what is no tree over the classes 1..C-1, or 0..C-1 where none is the background.

    Raises:
      ValueError: naming the first fault.
    """
    _check_leaves(children, class_names)
    _check_names(children, class_names)
    levels = depth(children)
    if len(level_names) != levels:
        raise HiersegError(
            f"hierarchy: the tree has {levels} levels, but there are {len(level_names)} "
            "level names."
        )
    _check_distinct(level_names, "level")
    _check_root(children, class_names, level_names[0])


def walk(
    children: Children, above: tuple[Group, ...] = ()
) -> Iterator[tuple[int, tuple[Group, ...]]]:
    """Depth first, every leaf with the groups above it, outermost first."""
    for child in children:
        if isinstance(child, Group):
            yield from walk(child.children, (*above, child))
        else:
            yield child, above


def depth(children: Children) -> int:
    """Number of levels: the nodes on the longest path from the root to a leaf."""
    return max((len(above) + 1 for _, above in walk(children)), default=0)


def name_tuple(class_names: Sequence[str] | Mapping[int, str]) -> tuple[str, ...]:
    """Names in the order of their classes; HiersegError for what is no list or mapping of them."""
    if isinstance(class_names, Mapping):
        if set(class_names) != set(range(len(class_names))):
            raise HiersegError(
                "class names given by index must name every index from 0 up; "
                f"got the indices {sorted(map(str, class_names))}."
            )
        return tuple(class_names[i] for i in range(len(class_names)))
    if isinstance(class_names, str) or not isinstance(class_names, Sequence):
        raise HiersegError(
            f"class names must be a list, in order; got {reprlib.repr(class_names)}."
        )
    return tuple(class_names)


def _at(path: tuple[str, ...]) -> str:
    if len(path) > 8:
        path = (*path[:4], "...", *path[-3:])
    return f"hierarchy, under {' > '.join(path)}" if path else "hierarchy"


def _parse(
    content: Any,
    index_of: Mapping[str, int],
    path: tuple[str, ...],
    open_nodes: tuple[int, ...],
    seen: set[int],
) -> Children:
    """Content of a group, in any of its written forms, to its children.

    `open_nodes` are the ids of the containers around this one, `seen` those of all
    met so far: aliases of aliases would otherwise unfold without end.
    """
    if id(content) in open_nodes:
        raise HiersegError(f"{_at(path)}: the group contains itself (a YAML anchor in a circle).")
    if len(path) >= MAX_LEVELS:
        raise HiersegError(f"hierarchy: groups are nested more than {MAX_LEVELS - 1} deep.")
    if isinstance(content, Mapping):
        entries = [{name: inner} for name, inner in content.items()]
    elif isinstance(content, Sequence) and not isinstance(content, str):
        entries = list(content)
    elif not path:
        raise HiersegError(
            f"hierarchy: expected groups of class indices, found {reprlib.repr(content)}."
        )
    else:
        entries = [content]
    if not entries:
        raise HiersegError(f"{_at(path)}: the group is empty; give it classes or take it out.")

    if isinstance(content, Mapping | Sequence) and not isinstance(content, str):
        if id(content) in seen:
            raise HiersegError(
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
            raise HiersegError(f"{_at(path)}: there is an empty group without a name.")
        for name, inner in entry.items():
            if not isinstance(name, str) or not name.strip():
                raise HiersegError(
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
        known = (
            f"the names are {', '.join(index_of)}."
            if index_of
            else "no names are given: list the classes in the order of their numbers in masks, as "
            f"`names: [background, {leaf}, ...]`."
        )
        hint = did_you_mean(leaf, index_of, known)
        raise HiersegError(f"{_at(path)}: {leaf!r} is no class name; {hint}")
    if not is_whole(leaf):
        raise HiersegError(
            f"{_at(path)}: expected a class index (a whole number) or a class name, "
            f"found {reprlib.repr(leaf)}."
        )
    return int(leaf)


def _groups(children: Children) -> Iterator[Group]:
    for child in children:
        if isinstance(child, Group):
            yield child
            yield from _groups(child.children)


def _check_class_count(count: int) -> None:
    if count > MAX_CLASSES:
        raise HiersegError(
            f"hierarchy: {count} classes are more than {MAX_CLASSES}; "
            f"masks are stored in 8 bits and {IGNORE_LABEL} marks ignored pixels."
        )


def _check_leaves(children: Children, class_names: tuple[str, ...]) -> None:
    if not children:
        raise HiersegError("hierarchy: the tree is empty; it needs at least one class.")
    for group in _groups(children):
        if not group.children:
            raise HiersegError(f"hierarchy: the group {group.name!r} is empty.")
    seen: dict[int, tuple[str, ...]] = {}
    for leaf, above in walk(children):
        path = tuple(g.name for g in above)
        if not is_whole(leaf):
            raise HiersegError(
                f"{_at(path)}: {leaf!r} is neither a class index nor a Group; "
                "Hierarchy.from_mapping makes a tree from names."
            )
        if leaf < 0:
            raise HiersegError(f"{_at(path)}: class index {leaf} is negative.")
        if leaf in seen:
            raise HiersegError(f"{_at(path)}: class {leaf} stands already in {_at(seen[leaf])}.")
        seen[leaf] = path
    count = max(seen) + 1
    _check_class_count(max(count, len(class_names)))
    first = 0 if 0 in seen else 1
    missing = [i for i in range(first, max(count, len(class_names))) if i not in seen]
    if len(class_names) < count:
        raise HiersegError(
            f"hierarchy: the tree has class {count - 1}, but there are only {len(class_names)} "
            "class names."
        )
    if missing:
        named = [f"{i} ({class_names[i]})" for i in missing]
        last = max(count, len(class_names)) - 1
        raise HiersegError(
            f"hierarchy: every class from {first} to {last} must stand in the tree; "
            f"missing: {listed(named, 10)}."
        )


def _check_root(children: Children, class_names: tuple[str, ...], level_name: str) -> None:
    """Refuses a coarsest level of a single class, of which every pixel would be."""
    if len(children) > 1 or background_of(children) == 0:
        return
    (only,) = children
    if len(class_names) == 1 and not isinstance(only, Group):
        raise single_class(class_names[0])
    name = only.name if isinstance(only, Group) else class_names[only]
    raise HiersegError(
        f"hierarchy: the level {level_name!r} has a single class, {name!r}, which every pixel "
        f"would be of, for {class_names[0]!r} stands in the tree and no class outside; if class 0 "
        "is the background, take it out of the tree; otherwise "
        + ("take the group away." if isinstance(only, Group) else "name a second class.")
    )


def _check_names(children: Children, class_names: tuple[str, ...]) -> None:
    """All names differ; only a group's single leaf may share the group's name."""
    names = list(class_names)
    for group in _groups(children):
        only = group.children[0] if len(group.children) == 1 else None
        if not (isinstance(only, int) and class_names[only] == group.name):
            names.append(group.name)
    _check_distinct(names, "class or group")
    group_names = [g.name for g in _groups(children)]
    _check_distinct(group_names, "group")


def _check_distinct(names: Sequence[str], kind: str) -> None:
    seen = set()
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise HiersegError(
                f"hierarchy: {reprlib.repr(name)} is no name for a {kind}; it must be text."
            )
        # Half a surrogate pair is in no encoding, and control characters could command a terminal.
        if len(name) > MAX_NAME or any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
            raise HiersegError(
                f"hierarchy: the {kind} name {reprlib.repr(name)} is longer than {MAX_NAME} "
                "characters or holds control characters."
            )
        if name in seen:
            raise HiersegError(f"hierarchy: the {kind} name {name!r} is used twice.")
        seen.add(name)
