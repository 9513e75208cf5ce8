"""Tree-min loss: binary cross-entropy of every node of the tree, made consistent with it.

Li et al., Deep Hierarchical Semantic Segmentation, CVPR 2022 (arXiv 2203.14335), equations
3 to 6, for any tree. A pixel has a score s in (0, 1) for every class of every level. A node
counts as present with m, the least score on its path from the root, and as absent with
1 - M, M the greatest score among itself and its descendants:

    loss = sum over levels of the mean over their nodes of -t log m - (1 - t) log(1 - M)

with t = 1 for the true leaf and its ancestors. The background, and a branch that ends
early, are nodes of every level they reach into. The focal variant multiplies the terms by
(1 - m)^gamma and M^gamma.

The label may be a group (`Hierarchy.inner_labels`). Then t = 1 for the group and its ancestors,
t = 0 for the nodes that share no leaf with it, and the group's descendants have no term: which of
them are true is unknown. They still count among a level's nodes, so that a term has the same
weight in every pixel. No other node's term touches their logits, whose gradient is 0.

Scores are sigmoids of logits and grow with them, so that least and greatest are found among
logits, and with softplus nothing saturates: the public code's epsilon is not needed.

The derivative is written down, for speed: every term touches one logit, the first that is
its node's least or greatest, so that a logit's derivative is one sigmoid times a weight that
comparisons give. Pixels are taken in blocks that stay in a CPU's cache (at 8x320x320 pixels
and 12 nodes a fifth of the time that XLA's own derivative takes).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from hierseg_jax.losses.node_channels import (
    Node,
    channels_of_nodes,
    children,
    is_true,
    may_be_true,
    upper_nodes,
)
from hierseg_jax.losses.pixels import check_channels, flatten_pixels, total_over
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

# Pixels of a block on a CPU: 12 nodes of as many fill 1.5 MB.
CPU_BLOCK = 32768
SMALLEST_BLOCK = 1024


def tree_min(
    logits_bhwk: jax.Array,
    labels_bhw: jax.Array,
    *,
    hierarchy: Hierarchy,
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
    gamma: float = 0.0,
) -> jax.Array:
    """The loss, mean over the pixels that count.

    Args:
      logits_bhwk: floating [B, H, W, K] of a hierarchical head, channels as
        `Hierarchy.level_channels` has them; bfloat16 is computed in float32.
      labels_bhw: integer [B, H, W], labels of the hierarchy, or 255 for pixels that count
        nowhere.
      hierarchy: with K nodes.
      valid_b: bool [B]; examples that are False count nowhere.
      axis_name: mapped axis over which the batch is spread, as for `losses`.
      gamma: 0 for the plain loss; larger looks away from easy pixels.

    Returns:
      float32 scalar (float64 for float64 logits); 0 where no pixel counts.

    Raises:
      ValueError: for arrays of other shapes or a negative gamma.
    """
    if gamma < 0:
        raise HiersegError(f"tree_min needs gamma 0 or more; got {gamma}.")
    check_channels(logits_bhwk, hierarchy.num_nodes, "nodes in all its levels", "tree_min")
    num_labels = len(hierarchy.labels.names)
    logits_nk, labels_n, counted_n = flatten_pixels(logits_bhwk, labels_bhw, valid_b, num_labels)
    count = total_over(counted_n.sum(), axis_name)
    weight_n = counted_n.astype(logits_nk.dtype) / jnp.maximum(count, 1)
    total = _weighted_sum(hierarchy, float(gamma), logits_nk, labels_n, weight_n)
    return total_over(total, axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _weighted_sum(
    hierarchy: Hierarchy,
    gamma: float,
    logits_nk: jax.Array,
    labels_n: jax.Array,
    weight_n: jax.Array,
) -> jax.Array:
    """The pixels' losses, summed with their weights."""
    return _evaluate(hierarchy, gamma, logits_nk, labels_n, weight_n, differentiated=False)[0]


def _evaluate(
    hierarchy: Hierarchy, gamma: float, *arrays: jax.Array, differentiated: bool = True
) -> Any:
    """(sum,) or, if `differentiated`, (sum, its derivative by the logits)."""

    def block(logits_nk: jax.Array, labels_n: jax.Array, weight_n: jax.Array) -> tuple:
        stage = functools.partial(_computed_once, weight_n)
        planes = stage(_planes, logits_nk, weight_n)
        choose = functools.partial(_losses_and_choices, hierarchy, gamma)
        loss_n, greatest, least = stage(choose, planes, labels_n)
        if not differentiated:
            return ((loss_n * weight_n).sum(),)
        differentiate = functools.partial(_derivatives, hierarchy, gamma)
        gradient = stage(differentiate, planes, labels_n, greatest, least, weight_n)
        return (loss_n * weight_n).sum(), jnp.stack(gradient, axis=-1)

    return _by_blocks(block, *arrays)


def _backward(
    hierarchy: Hierarchy, gamma: float, gradient_nk: jax.Array, cotangent: jax.Array
) -> tuple[jax.Array, None, None]:
    del hierarchy, gamma
    return gradient_nk * cotangent, None, None


_weighted_sum.defvjp(_evaluate, _backward)


def _planes(logits_nk: jax.Array, weight_n: jax.Array) -> list[jax.Array]:
    """Logits [N] by channel, 0 where a pixel does not count: not even a NaN there spreads."""
    return [jnp.where(weight_n > 0, logits_nk[:, c], 0.0) for c in range(logits_nk.shape[1])]


def _losses_and_choices(
    hierarchy: Hierarchy, gamma: float, planes: list[jax.Array], labels_n: jax.Array
) -> tuple[jax.Array, list[jax.Array], list[jax.Array]]:
    """Every pixel's loss, and which logits it hangs on.

    Args:
      hierarchy, gamma: of the loss.
      planes: logits [N], one per channel.
      labels_n: of the hierarchy.

    Returns:
      The loss [N]. For every node above the leaves, in the order of `upper_nodes`, the
      channel that is greatest, -1 where the node is not absent: int16 [N]. For every level the
      level on the true path whose logit is least, -1 where the level is unknown: int16 [N].
    """
    channel = channels_of_nodes(hierarchy)
    greatest_logit: dict[Node, jax.Array] = {}
    greatest: dict[Node, jax.Array] = {}
    for node in sorted(channel, reverse=True):  # children before their parents
        best, index = planes[channel[node]], jnp.int16(channel[node])
        for child in children(hierarchy, node):
            larger = greatest_logit[child] > best
            best = jnp.where(larger, greatest_logit[child], best)
            index = jnp.where(larger, greatest[child], index)
        greatest_logit[node], greatest[node] = best, index

    loss_n: Any = 0.0
    least: list[jax.Array] = []
    lowest: jax.Array | None = None
    for k, level in enumerate(hierarchy.levels):
        nodes = [(k, v) for v in range(level.num_classes)]
        true = [is_true(hierarchy, node, labels_n) for node in nodes]
        path_n = planes[channel[k, 0]]
        for v in range(1, level.num_classes):
            path_n = jnp.where(true[v], planes[channel[k, v]], path_n)
        lower = jnp.bool_(True) if lowest is None else path_n < lowest
        least.append(jnp.where(lower, jnp.int16(k), least[-1] if k else jnp.int16(0)))
        least[-1] = jnp.broadcast_to(least[-1], labels_n.shape)
        lowest = path_n if lowest is None else jnp.where(lower, path_n, lowest)
        terms = [_term(-lowest, gamma)]
        possible = true
        if hierarchy.inner_labels:
            possible = [may_be_true(hierarchy, node, labels_n) for node in nodes]
            known_n = functools.reduce(jnp.logical_or, true)
            terms = [jnp.where(known_n, terms[0], 0.0)]
            least[-1] = jnp.where(known_n, least[-1], jnp.int16(-1))
        for node, possible_n in zip(nodes, possible, strict=True):
            terms.append(jnp.where(possible_n, 0.0, _term(greatest_logit[node], gamma)))
        loss_n += sum(terms) / level.num_classes
    chosen = [
        jnp.where(may_be_true(hierarchy, node, labels_n), jnp.int16(-1), greatest[node])
        for node in upper_nodes(hierarchy)
    ]
    return loss_n, chosen, least


def _derivatives(
    hierarchy: Hierarchy,
    gamma: float,
    planes: list[jax.Array],
    labels_n: jax.Array,
    greatest: list[jax.Array],
    least: list[jax.Array],
    weight_n: jax.Array,
) -> list[jax.Array]:
    """The derivative by every plane of logits: [N] each."""
    chosen = dict(zip(upper_nodes(hierarchy), greatest, strict=True))
    share = [1.0 / level.num_classes for level in hierarchy.levels]
    finest = hierarchy.num_levels - 1
    gradient = []
    for (k, v), c in channels_of_nodes(hierarchy).items():
        present: Any = 0.0
        for j in range(k, finest + 1):
            present += jnp.where(least[j] == k, share[j], 0.0)
        absent: Any = share[k] if k == finest else 0.0
        if hierarchy.inner_labels and k == finest:
            absent = jnp.where(may_be_true(hierarchy, (k, v), labels_n), 0.0, absent)
        for j in range(min(k, finest - 1) + 1):
            above = (j, int(hierarchy.ancestors(k, j)[v]))
            absent += jnp.where(chosen[above] == c, share[j], 0.0)
        true_n = is_true(hierarchy, (k, v), labels_n)
        slope_n = _slope(jnp.where(true_n, -planes[c], planes[c]), gamma)
        gradient.append(jnp.where(true_n, -present, absent) * slope_n * weight_n)
    return gradient


def _term(x: jax.Array, gamma: float) -> jax.Array:
    """-log(1 - sigmoid(x)), times sigmoid(x)^gamma."""
    small = jnp.exp(-jnp.abs(x))
    # log1p would save the last 6e-8 at half as much time again for the whole loss.
    loss = jnp.maximum(x, 0) + jnp.log(1 + small)
    return loss * _power(x, small, loss, gamma) if gamma else loss


def _slope(x: jax.Array, gamma: float) -> jax.Array:
    """Derivative of `_term`."""
    small = jnp.exp(-jnp.abs(x))
    sigmoid = jnp.where(x >= 0, 1.0, small) / (1.0 + small)
    if not gamma:
        return sigmoid
    loss = jnp.maximum(x, 0) + jnp.log(1 + small)
    rest = jnp.where(x >= 0, small, 1.0) / (1.0 + small)
    return _power(x, small, loss, gamma) * (sigmoid + gamma * rest * loss)


def _power(x: jax.Array, small: jax.Array, loss: jax.Array, gamma: float) -> jax.Array:
    """sigmoid(x)^gamma, where small is exp(-|x|) and loss -log(1 - sigmoid(x))."""
    if gamma == int(gamma):
        return lax.integer_pow(jnp.where(x >= 0, 1.0, small) / (1.0 + small), int(gamma))
    return jnp.exp(gamma * (x - loss))


def _by_blocks(block: Callable[..., tuple], *arrays: jax.Array) -> tuple:
    """Sums the first result of `block` over blocks of pixels and joins the others."""
    count = arrays[0].shape[0]
    size = _block_size(count) if jax.default_backend() == "cpu" else count
    if size == count:
        return block(*arrays)
    blocks = [x.reshape(count // size, size, *x.shape[1:]) for x in arrays]

    def step(total: jax.Array, xs: list[jax.Array]) -> tuple[jax.Array, tuple]:
        first, *others = block(*xs)
        return total + first, tuple(others)

    total, others = lax.scan(step, jnp.zeros((), arrays[-1].dtype), blocks)
    return total, *(x.reshape(count, *x.shape[2:]) for x in others)


def _block_size(count: int) -> int:
    """The largest divisor up to CPU_BLOCK; all of it where there is none worth while."""
    sizes = range(min(count, CPU_BLOCK), max(min(count, SMALLEST_BLOCK), 1) - 1, -1)
    return next((size for size in sizes if count % size == 0), count)


def _computed_once(weight_n: jax.Array, function: Callable[..., Any], *operands: Any) -> Any:
    """`function(*operands)`, its results stored before anything is made of them.

    XLA's CPU compiler would compute them anew for every use (twice the time), and
    `lax.optimization_barrier` does not stop it; a branch that it can't foresee does. Weights
    are never negative.
    """
    if jax.default_backend() != "cpu" or not weight_n.size:
        return function(*operands)
    shapes = jax.eval_shape(function, *operands)

    def zeros(*_: Any) -> Any:
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    return lax.cond(weight_n[0] >= 0, function, zeros, *operands)
