"""Nodes that exclude one another, for a softmax among each family of siblings.

The probability of a leaf class is then the product, along its path from the root, of every
node's probability among its siblings (Redmon and Farhadi, YOLO9000, CVPR 2017, arXiv 1612.08242,
section 4; compared by Bertinetto et al., Making Better Mistakes, CVPR 2020, arXiv 1912.09393).
"""

import dataclasses

import numpy as np

from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.parsing import Children, Group


@dataclasses.dataclass(frozen=True)
class Siblings:
    """The channels of a conditional head: the nodes that have siblings, family by family.

    A background is a sibling of what stands at the root. A node without siblings has no
    channel: where its parent is, it is.

    Attributes:
      sizes: members of every family, from the root's children downwards; at least 2 each.
      paths: of every leaf class, the channels on its way from the root.
    """

    sizes: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    @property
    def num_nodes(self) -> int:
        """Number of channels."""
        return sum(self.sizes)

    @property
    def families(self) -> tuple[slice, ...]:
        """Channels of every family."""
        stops = np.cumsum(self.sizes).tolist()
        return tuple(slice(stop - size, stop) for stop, size in zip(stops, self.sizes, strict=True))

    @property
    def on_path_kc(self) -> np.ndarray:
        """1 where a channel is on a leaf class's path: float32 [channels, leaf classes]."""
        matrix = np.zeros((self.num_nodes, len(self.paths)), np.float32)
        for leaf, path in enumerate(self.paths):
            matrix[list(path), leaf] = 1
        return matrix

    @property
    def in_family_kf(self) -> np.ndarray:
        """1 where a channel is of a family: float32 [channels, families]."""
        return np.repeat(np.eye(len(self.sizes), dtype=np.float32), self.sizes, axis=0)


def find_siblings(hierarchy: Hierarchy) -> Siblings:
    """The families of a tree."""
    return _walk(hierarchy)[0]


def channel_names(hierarchy: Hierarchy, head: str) -> tuple[str, ...]:
    """The class or group that each channel of a head is of.

    In a hierarchical head those of several levels have the same name.

    Args:
      hierarchy: of the classes.
      head: `flat`, `hierarchical` or `conditional`.
    """
    if head == "flat":
        return hierarchy.class_names
    if head == "hierarchical":
        channels = zip(hierarchy.level_channels, hierarchy.levels, strict=True)
        by_start = sorted((each.start, level.class_names) for each, level in channels)
        return tuple(name for _, names in by_start for name in names)
    return _walk(hierarchy)[1]


def _walk(hierarchy: Hierarchy) -> tuple[Siblings, tuple[str, ...]]:
    """Of a conditional head, and its channels' names."""
    sizes: list[int] = []
    names: list[str] = []
    paths: dict[int, tuple[int, ...]] = {}
    outside = () if hierarchy.background is None else (hierarchy.background,)
    waiting: list[tuple[tuple[int, ...], Children]] = [((), (*outside, *hierarchy.children))]
    for above, children in waiting:  # grows as it goes: level by level
        alone = len(children) == 1
        start = sum(sizes)
        if not alone:
            sizes.append(len(children))
            names += [_name(child, hierarchy) for child in children]
        for number, child in enumerate(children, start):
            path = above if alone else (*above, number)
            if isinstance(child, Group):
                waiting.append((path, child.children))
            else:
                paths[child] = path
    of_leaves = tuple(paths[leaf] for leaf in range(hierarchy.num_classes))
    return Siblings(tuple(sizes), of_leaves), tuple(names)


def _name(node: Group | int, hierarchy: Hierarchy) -> str:
    return node.name if isinstance(node, Group) else hierarchy.class_names[node]
