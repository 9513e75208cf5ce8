"""From scores to one class a pixel, by the tree; imports neither JAX nor Flax.

Whatever the rule, a pixel gets a leaf class and its class at every level is that leaf's
ancestor: label maps of different levels can't contradict one another.

- `leaf`: the leaf of greatest probability (flat heads).
- `top_down`: the class of greatest probability at the coarsest level, a class's probability
  being the sum over its leaves; then the best among its children, and so on (flat heads).
- `path`: the leaf whose path from the root has the greatest sum of scores (hierarchical
  heads; Li et al., arXiv 2203.14335, section 3.1).
- `logic`: `path`, once nodes have told one another what the tree's rules make of their scores
  (hierarchical heads; Li et al., LogicSeg, arXiv 2309.13556, section 3.3).
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hierseg_jax.system.choices import check_choice
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

OF_FLAT, OF_HIERARCHICAL = ("leaf", "top_down"), ("path", "logic")
DECODINGS = (*OF_FLAT, *OF_HIERARCHICAL)
AUTO = "auto"
ROUNDS = 2
"""Of messages between nodes, in `reasoned`."""


def choose_decoding(name: str, hierarchical: bool) -> str:
    """The rule that a name stands for; `auto` is `path` for hierarchical heads, else `leaf`.

    Raises:
      ValueError: for an unknown rule, or one of the other kind of head.
    """
    check_choice("decoding", name, (AUTO, *DECODINGS))
    fitting = OF_HIERARCHICAL if hierarchical else OF_FLAT
    if name == AUTO:
        return fitting[0]
    if name in fitting:
        return name
    kind = "hierarchical" if hierarchical else "flat"
    raise HiersegError(
        f"The decoding {name!r} is not for a {kind} head (model.hierarchical is {hierarchical}); "
        f"choose {' or '.join((AUTO, *fitting))}."
    )


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


def reasoned(scores: Sequence[Any], hierarchy: Hierarchy, xp: Any = np) -> list[Any]:
    """Scores of nodes after `ROUNDS` rounds of messages between them, by the rule `logic`.

    In a round every node hears from its children, its parent and its rivals, the other classes of
    its level. What a node says weighs as much as its own score s, and as far as it keeps the rule
    (the truths are those of `losses.logic_rules`): a child says s (1 - s + s parent), in the mean
    over children; the parent says s (1 - s + s best child); rivals say no, by the mean of
    s (1 - s mean rival). A score becomes the sum of itself and what it hears, brought back to
    [0, 1] as (1 + sum) / 4, by which no two nodes change places. (The paper's messages; the last
    step is this project's.)

    Args:
      scores: an array in [0, 1] for every channel of a hierarchical head, all of one shape.
      hierarchy: with as many nodes.
      xp: `numpy` or `jax.numpy`, whichever the arrays belong to.

    Returns:
      As `scores`.
    """
    levels = [list(scores[channels]) for channels in hierarchy.level_channels]
    for _ in range(ROUNDS):
        levels = _one_round(levels, hierarchy, xp)
    return [score for level in reversed(levels) for score in level]


def _one_round(levels: list[list[Any]], hierarchy: Hierarchy, xp: Any) -> list[list[Any]]:
    """What all nodes' scores become; by level, coarse to fine."""
    after = []
    for scores in levels:
        others, total = 1 / (len(scores) - 1), sum(scores)
        noes = [s * (1 - s * ((total - s) * others)) for s in scores]
        no = sum(noes)
        after.append([1 + s - (no - own) * others for s, own in zip(scores, noes, strict=True)])
    for k in range(1, len(levels)):
        for parent, s in enumerate(levels[k - 1]):
            children = np.flatnonzero(hierarchy.parents(k) == parent).tolist()
            below = [levels[k][child] for child in children]
            yes = s * (1 - s + s * functools.reduce(xp.maximum, below))
            for child in children:
                after[k][child] = after[k][child] + yes
            heard = sum(c * (1 - c + c * s) for c in below)
            after[k - 1][parent] = after[k - 1][parent] + heard * (1 / len(below))
    return [[0.25 * score for score in scores] for scores in after]
