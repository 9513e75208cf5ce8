"""From scores to one class a pixel, by the tree; imports neither JAX nor Flax.

Whatever the rule, a pixel gets a leaf class and its class at every level is that leaf's
ancestor: label maps of different levels can't contradict one another.

- `leaf`: the leaf of greatest probability (flat heads).
- `top_down`: the class of greatest probability at the coarsest level, a class's probability
  being the sum over its leaves; then the best among its children, and so on (flat heads).
- `path`: the leaf whose path from the root has the greatest sum of scores (hierarchical
  heads; Li et al., arXiv 2203.14335, section 3.1).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

DECODINGS = ("leaf", "path", "top_down")
AUTO = "auto"


def choose_decoding(name: str, hierarchical: bool) -> str:
    """The rule that a name stands for; `auto` is `path` for hierarchical heads, else `leaf`.

    Raises:
      ValueError: for an unknown rule, or one of the other kind of head.
    """
    fitting = ("path",) if hierarchical else ("leaf", "top_down")
    if name == AUTO:
        return fitting[0]
    if name in fitting:
        return name
    if name in DECODINGS:
        kind = "hierarchical" if hierarchical else "flat"
        raise HiersegError(
            f"The decoding {name!r} is not for a {kind} head (model.hierarchical is "
            f"{hierarchical}); choose {' or '.join((AUTO, *fitting))}."
        )
    raise HiersegError(f"There is no decoding {name!r}; choose of {', '.join((AUTO, *DECODINGS))}.")


def path_matrix(hierarchy: Hierarchy) -> np.ndarray:
    """Mean over a leaf's path, as a matrix: float32 [nodes, leaf classes]."""
    matrix = np.zeros((hierarchy.num_nodes, hierarchy.num_classes), np.float32)
    for leaf, channels in enumerate(hierarchy.path_channels):
        matrix[channels, leaf] = 1 / hierarchy.num_levels
    return matrix


def top_down(probabilities: Sequence[Any], hierarchy: Hierarchy, xp: Any = np) -> Any:
    """Leaf classes by the rule `top_down`.

    Args:
      probabilities: an array for every leaf class, all of one shape.
      hierarchy: with as many leaf classes.
      xp: `numpy` or `jax.numpy`, whichever the arrays belong to.

    Returns:
      int32, of that shape; the first of equals wins.
    """
    chosen = None
    for k, level in enumerate(hierarchy.levels):
        best, pick = None, None
        for v in range(level.num_classes):
            leaves = np.flatnonzero(level.leaf_to_class == v).tolist()
            score: Any = sum(probabilities[leaf] for leaf in leaves)
            if k:
                score = xp.where(chosen == int(hierarchy.parents(k)[v]), score, -1.0)
            if best is None:
                best, pick = score, xp.zeros(score.shape, np.int32)
            else:
                pick = xp.where(score > best, np.int32(v), pick)
                best = xp.maximum(score, best)
        chosen = pick
    return chosen
