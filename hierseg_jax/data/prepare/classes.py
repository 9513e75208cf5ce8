"""Classes of annotations by name: their tree, and the values that stand for them in masks."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from hierseg_jax.data.prepare.picture import Wishes
from hierseg_jax.data.read.value_names import Named, check_ignore
from hierseg_jax.system.errors import HiersegError, said_with
from hierseg_jax.system.wording import listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.meeting import all_labels, has_inner, label_of, near_names
from hierseg_jax.tree.parsing import MAX_LEVELS

BACKGROUND = "background"
_UNNAMED = {
    **dict.fromkeys((BACKGROUND, "_background_", "__background__", "bg"), 0),
    **dict.fromkeys(("__ignore__", "ignore", "void"), IGNORE_LABEL),
}


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes:
      hierarchy: their tree.
      labels: names of the masks' values, where groups are among them; else empty.
      values: name in the annotations -> value in a mask.
      notes: sentences about what was left out, or may be meant otherwise.
    """

    hierarchy: Hierarchy
    labels: Named
    values: Mapping[str, int]
    notes: tuple[str, ...] = ()


def value_of_none(name: str) -> int | None:
    """The value in a mask of what tools call by a name and is no class; None of a class."""
    return _UNNAMED.get(name.lower())


def find_classes(
    names: Iterable[str],
    used: Collection[str],
    where: str,
    wishes: Wishes,
    parents: Mapping[str, str] | None = None,
) -> Classes:
    """The tree and the values of the classes that regions are annotated with.

    Class 0 is the background, where no region is. Spaces around a name are no part of it.

    Args:
      names: all that the source knows, in its order.
      used: those that occur.
      where: the source, for sentences.
      wishes: a tree in place of the source's own.
      parents: class or group -> the group above it, for the source's own tree.

    Raises:
      HiersegError: one sentence that starts with `where`.
    """
    wishes.refuse_labels(where)
    wishes.refuse_no_background(where)
    written = list(dict.fromkeys(names))
    names, used = list(dict.fromkeys(map(str.strip, written))), {*map(str.strip, used)}
    parents = {name.strip(): above.strip() for name, above in (parents or {}).items()}
    nodes = [name for name in names if name in used and value_of_none(name) is None]
    if not nodes:
        raise HiersegError(f"{where}: no class occurs in its annotations.")
    if "" in nodes:
        raise HiersegError(f"{where}: a class that occurs in annotations has a blank name.")
    notes = tuple(_alike(nodes, where))
    with said_with(f"{where}: "):
        hierarchy = wishes.hierarchy or _own_tree(nodes, parents)
        of_tree = all_labels(hierarchy)
        if wishes.hierarchy is None:
            known = {BACKGROUND, *of_tree.names}
            left_out = [n for n in names if n not in known and value_of_none(n) is None]
            if left_out:
                notes += (
                    f"{len(left_out)} of {len(names)} classes occur in no annotation and are left "
                    f"out: {listed(left_out, 10)}.",
                )
        for name in nodes:
            if name not in of_tree.names:
                raise HiersegError(
                    f"{name!r} is annotated, and the tree has no class and no group of this name; "
                    f"{near_names(name, of_tree.names)}"
                )
        values = {name: label_of(name, of_tree) for name in nodes}
        labels: Named = ()
        if max(values.values()) >= hierarchy.num_classes:
            check_ignore(hierarchy)
            labels = tuple(enumerate(of_tree.names))
    inner = bool(labels) and has_inner(nodes, hierarchy)
    hierarchy = dataclasses.replace(hierarchy, inner_labels=inner)
    values |= {name: value for name in names if (value := value_of_none(name)) is not None}
    values |= {name: values[name.strip()] for name in written if name.strip() in values}
    return Classes(hierarchy, labels, values, notes)


def _alike(names: Iterable[str], where: str) -> list[str]:
    """A sentence about each name that others have, too, but for capital letters."""
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(name.casefold(), []).append(name)
    return [
        f"{where}: {' and '.join(same)} are classes of their own; rename them where one is meant."
        for same in spellings.values()
        if len(same) > 1
    ]


def _own_tree(nodes: list[str], parents: Mapping[str, str]) -> Hierarchy:
    """The groups above the classes that occur; a class that others are below is a group."""
    below: dict[str, list[str]] = {}
    for node in nodes:
        path = [node]
        while (above := parents.get(path[-1], "")) and above != path[-1]:
            if above in path or len(path) >= MAX_LEVELS:
                raise HiersegError(
                    f"the groups above {node!r} go round in a circle or are too many: "
                    f"{listed(path, 5)}."
                )
            path.append(above)
        for child, above in zip(path, [*path[1:], ""], strict=True):
            if child not in below.setdefault(above, []):
                below[above].append(child)
    leaves = [node for node in nodes if node not in below]

    def children(group: str) -> list[object]:
        return [{node: children(node)} if node in below else node for node in below[group]]

    tree, class_names = children(""), [BACKGROUND, *leaves]
    levels = Hierarchy.from_mapping(tree, class_names).num_levels
    level_names = {1: ("class",), 2: ("supercategory", "class")}.get(levels)
    return Hierarchy.from_mapping(tree, class_names, level_names)
