"""The rules of a tree as a loss: how far the scores of a hierarchical head break its logic.

Li et al., LogicSeg, ICCV 2023 (arXiv 2309.13556), section 3.2. For every class v of every level

- composition: what is a v is its parent;
- decomposition: what is a v is one of its children;
- exclusion: what is a v is no other class of its level.

With scores s in [0, 1] for truth, an implication v -> w is true to 1 - s_v + s_v w (product
logic), hence broken by s_v (1 - w); "one of" is the largest, "no" is 1 - s. "For all pixels" is the
p-mean error: by a rule's breaches b the loss grows as (mean of b^5)^(1/5), which looks at the worst
pixels. Losses are averaged over rules, and the three kinds are summed.

The exponent, the largest child and the classes of a whole level as rivals are those of the public
code, which adds the rules with a weight of 0.2 to binary losses of the nodes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hierseg_jax.losses.pixels import check_channels, counted_pixels, total_over
from hierseg_jax.tree.hierarchy import Hierarchy

EXPONENT = 5


def logic_rules(
    logits_bhwk: jax.Array,
    labels_bhw: jax.Array,
    *,
    hierarchy: Hierarchy,
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """How far the scores break the rules, at most 3.

    Scores of 0 keep all rules: it is to be added to a loss that knows the classes, as `tree_min`.

    Args:
      logits_bhwk: floating [B, H, W, K] of a hierarchical head, channels as
        `Hierarchy.level_channels` has them.
      labels_bhw: integer [B, H, W]; only whether a pixel is 255, and then counts nowhere, matters.
      hierarchy: with K nodes.
      valid_b, axis_name: as for every loss.

    Raises:
      HiersegError: for arrays that do not fit the hierarchy.
    """
    check_channels(logits_bhwk, hierarchy.num_nodes, "nodes in all its levels", "logic_rules")
    num_labels = len(hierarchy.labels.names)
    logits_nk, _, counted_n = counted_pixels(logits_bhwk, labels_bhw, valid_b, num_labels)
    # A pixel whose scores are 0 breaks no rule.
    scores_nk = jnp.where(counted_n[:, None], jax.nn.sigmoid(logits_nk), 0.0)
    levels = [scores_nk[:, channels] for channels in hierarchy.level_channels]
    count = total_over(counted_n.sum(), axis_name)

    def for_all_pixels(sums_of_powers: jax.Array) -> jax.Array:
        mean = total_over(sums_of_powers, axis_name) / jnp.maximum(count, 1)
        # The root has no derivative at 0, where floats of a smaller fifth power are.
        broken = mean > jnp.finfo(mean.dtype).tiny
        return jnp.where(broken, jnp.where(broken, mean, 1.0) ** (1 / EXPONENT), 0.0)

    composition, decomposition, exclusion = [], [], []
    for k, scores_nv in enumerate(levels):
        if k:
            parents_nv = levels[k - 1][:, hierarchy.parents(k)]
            composition.append((scores_nv * (1 - parents_nv)) ** EXPONENT)
        if k + 1 < len(levels):
            best_nv = _best_children(levels[k + 1], hierarchy.parents(k + 1))
            decomposition.append((scores_nv * (1 - best_nv)) ** EXPONENT)
        # Powers of a product are products of powers: sums over pixels are one matrix product.
        powers_nv = scores_nv**EXPONENT
        sums_vv = jnp.matmul(powers_nv.T, powers_nv, precision=lax.Precision.HIGHEST)
        rivals_vv = 1 - np.eye(scores_nv.shape[1], dtype=np.float32)
        of_class_v = (for_all_pixels(sums_vv) * rivals_vv).sum(1) / rivals_vv.sum(1)
        exclusion.append(of_class_v)
    breaches = [jnp.concatenate(exclusion)]
    for powers in (composition, decomposition):
        breaches += [for_all_pixels(jnp.concatenate(powers, 1).sum(0))] if powers else []
    return jnp.asarray(sum(breach_v.mean() for breach_v in breaches))


def _best_children(scores_nc: jax.Array, parent_c: np.ndarray) -> jax.Array:
    """The largest score among every node's children: [N, nodes one level up]."""
    best = [scores_nc[:, np.flatnonzero(parent_c == v)].max(1) for v in range(parent_c.max() + 1)]
    return jnp.stack(best, axis=1)
