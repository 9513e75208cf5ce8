"""Cross-entropy with labels that are soft along the tree: near classes are half right."""

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.pixels import check_channels, counted_pixels, mean_of_counted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy


def soft_crossentropy(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    hierarchy: Hierarchy,
    beta: float = 10.0,
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """Cross-entropy with targets that fall with the distance in the tree.

    Bertinetto et al., Making Better Mistakes, CVPR 2020 (arXiv 1912.09393), section 3.2: the
    target of a leaf class is in proportion to exp(-beta d). d is the height of the nearest node
    above both the class and the label, as a share of the tree's: the share of levels at which the
    two differ.

    To a group's label the leaf classes below it are one class, of their summed probability and the
    distance 0; another's distance is that to the nearest of them.

    Args:
      logits_bhwc: floating [B, H, W, C], of the leaf classes.
      labels_bhw: integer [B, H, W], of `hierarchy.labels`; or 255.
      hierarchy: with C leaf classes.
      beta: above 0; the larger, the harder the labels. They are those of `crossentropy` in the
        limit.
      valid_b, axis_name: as for every loss.

    Returns:
      Mean over the pixels that count; 0 where none does.

    Raises:
      HiersegError: for arrays that do not fit the hierarchy, or such a beta.
    """
    if not 0 < beta < np.inf:
        raise HiersegError(f"soft_crossentropy needs beta above 0; got {beta}.")
    check_channels(logits_bhwc, hierarchy.num_classes, "classes", "soft_crossentropy")
    num_labels = len(hierarchy.labels.names)
    logits_nc, labels_n, counted_n = counted_pixels(logits_bhwc, labels_bhw, valid_b, num_labels)
    log_p_nc = jax.nn.log_softmax(logits_nc)
    below_lc = hierarchy.labels.leaves_lc
    own_l, others_lc = (jnp.asarray(x, log_p_nc.dtype) for x in soft_targets(hierarchy, beta))
    below_nc = jnp.asarray(below_lc)[labels_n]
    below_n = jax.nn.logsumexp(jnp.where(below_nc, log_p_nc, -jnp.inf), axis=-1)
    loss_n = -own_l[labels_n] * below_n - (others_lc[labels_n] * log_p_nc).sum(-1)
    return mean_of_counted(loss_n, counted_n, axis_name)


def soft_targets(hierarchy: Hierarchy, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Targets of every label: of what is below it, [labels], and of the others, [labels, leaves].

    The two sum to 1 over each label's row; float64, those of leaves below are 0 in the second.
    """
    below_lc = hierarchy.labels.leaves_lc
    class_kc = np.stack([level.leaf_to_class for level in hierarchy.levels])
    distances_cc = (class_kc[:, :, None] != class_kc[:, None, :]).mean(0)
    nearest_lc = np.stack([distances_cc[below_c].min(0) for below_c in below_lc])
    weights_lc = np.where(below_lc, 0.0, np.exp(-beta * nearest_lc))
    total_l = 1 + weights_lc.sum(1)
    return 1 / total_l, weights_lc / total_l[:, None]
