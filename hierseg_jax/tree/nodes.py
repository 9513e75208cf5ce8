"""Every class and group of a tree once, by name, below what it is a part of."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hierseg_jax.tree.parsing import Children, Group, background_of, walk


class Node(NamedTuple):
    """A class or a group of classes.

    Attributes:
      name: unique in the tree.
      path: names from the root to it, its own the last. It is a class of the level of that depth:
        of the coarsest where there is one name.
      leaves: leaf classes that it holds, in the order of the tree; of a leaf class itself.
    """

    name: str
    path: tuple[str, ...]
    leaves: tuple[int, ...]

    @property
    def depth(self) -> int:
        """Groups above it; the number of the coarsest level that it is a class of."""
        return len(self.path) - 1


def list_nodes(children: Children, class_names: Sequence[str]) -> tuple[Node, ...]:
    """Depth first, each group before what it holds, and before all a background.

    A group of a single class that has its name is one node.
    """
    background = background_of(children)
    outside = [] if background is None else [background]
    nodes = [Node(class_names[leaf], (class_names[leaf],), (leaf,)) for leaf in outside]
    return (*nodes, *_below(children, class_names, ()))


def _below(
    children: Children, class_names: Sequence[str], above: tuple[str, ...]
) -> Iterator[Node]:
    for child in children:
        if isinstance(child, Group):
            path = (*above, child.name)
            yield Node(child.name, path, tuple(leaf for leaf, _ in walk(child.children)))
            yield from _below(child.children, class_names, path)
        elif class_names[child] not in above[-1:]:
            yield Node(class_names[child], (*above, class_names[child]), (child,))
