"""Nodes of the tree as channels of a hierarchical head, and what labels say of them.

A label makes a node true where all the leaves that it may be are the node's, false where none
is, and leaves it unknown where some are: such a node is a descendant of the label.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.tree.hierarchy import Hierarchy

# (level, class at that level)
Node = tuple[int, int]


def channels_of_nodes(hierarchy: Hierarchy) -> dict[Node, int]:
    """Channel of every node, in the channels' order."""
    nodes = {
        (k, v): channels.start + v
        for k, channels in enumerate(hierarchy.level_channels)
        for v in range(hierarchy.levels[k].num_classes)
    }
    return dict(sorted(nodes.items(), key=lambda item: item[1]))


def upper_nodes(hierarchy: Hierarchy) -> list[Node]:
    """Those above the leaves' level, in the channels' order."""
    return [node for node in channels_of_nodes(hierarchy) if node[0] < hierarchy.num_levels - 1]


def children(hierarchy: Hierarchy, node: Node) -> list[Node]:
    """Of a node, at the next level; none of a leaf."""
    k, v = node
    if k == hierarchy.num_levels - 1:
        return []
    return [(k + 1, int(c)) for c in np.flatnonzero(hierarchy.parents(k + 1) == v)]


def is_true(hierarchy: Hierarchy, node: Node, labels_n: jax.Array) -> jax.Array:
    """Whether a node is on the path of labels, uint8 [N]: bool [N]."""
    k, v = node
    return _bears(labels_n, np.equal(hierarchy.labels.classes_kl[k], v))


def may_be_true(hierarchy: Hierarchy, node: Node, labels_n: jax.Array) -> jax.Array:
    """Whether a node is on the path of labels, or a descendant of theirs: bool [N]."""
    k, v = node
    leaves_c = hierarchy.levels[k].leaf_to_class == v
    return _bears(labels_n, np.any(hierarchy.labels.leaves_lc[:, leaves_c], axis=1))


def _bears(labels_n: jax.Array, wanted_l: np.ndarray) -> jax.Array:
    wanted = np.flatnonzero(wanted_l)
    return functools.reduce(jnp.logical_or, [labels_n == np.uint8(label) for label in wanted])
