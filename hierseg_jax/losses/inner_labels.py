"""Losses of a flat head where labels are nodes of any depth: what a label says is a set of classes.

A group's label says that a pixel is one of the classes below the group, and not which. Its true
class then is their union, whose probability P is the sum of theirs:

- Cross-entropy and focal loss are those of P. `gamma` looks away from pixels of large P, and
  `hard_share` takes those of least P. A class weight is that of the label's class at the finest
  level where it is known. `label_smoothing` spreads its share evenly over the classes; the target
  and the probabilities of those in the set are then summed, those of others stay apart.
- The boundary loss puts the pixel into the regions of all classes of the set; none of them costs it
  anything.
- Dice, IoU, Tversky loss and Lovász-softmax are taken at every level that is the finest known one
  of some pixel, over the pixels whose class is known there, and weigh as much as the share of
  pixels for which it is the finest. A group's pixels that are unknown at a level are represented by
  those that are known: these weigh as much as all of the group. (Without it, of a coarsely labelled
  picture the background alone would count there, and the network would learn to see too much of
  it.)

Labels of leaves have the losses of `flat.py`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.boundary_loss import boundary_of_sets
from hierseg_jax.losses.flat import TVERSKY, Loss, mean_of_classes
from hierseg_jax.losses.lovasz_softmax import lovasz_of_pixels
from hierseg_jax.losses.pixels import counted_pixels, hardest_pixels, ratio, total_over
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy


def of_labels(
    name: str,
    hierarchy: Hierarchy,
    level: int | None = None,
    class_weights: Sequence[Sequence[float]] = (),
    **given: Any,
) -> Loss:
    """A loss of classes for labels of any node.

    Args:
      name: of the loss, in `flat.LOSSES`.
      hierarchy: of the labels.
      level: at whose classes it is taken; by default the leaves', or as above for the losses that
        are taken at several.
      class_weights: of the classes of every level, coarse to fine; by default all 1.
      given: options of `crossentropy_of_sets`.

    Raises:
      ValueError: a sentence, for a loss that does not take them.
    """
    if name in TVERSKY or name == "lovasz":
        of_pixels = lovasz_of_known_pixels
        if name in TVERSKY:
            alpha, beta = TVERSKY[name]
            of_pixels = functools.partial(tversky_of_known_pixels, alpha=alpha, beta=beta)
        return functools.partial(
            at_finest_levels, of_pixels=of_pixels, hierarchy=hierarchy, level=level
        )
    level = hierarchy.num_levels - 1 if level is None else level
    table_c = hierarchy.levels[level].leaf_to_class
    classes_c = np.arange(hierarchy.levels[level].num_classes)
    # A label may be a class if it may be one of its leaves: [labels, classes].
    set_lc = (hierarchy.labels.leaves_lc.astype(int) @ (table_c[:, None] == classes_c)) > 0
    if name == "boundary":
        return functools.partial(boundary_of_sets, set_lc=set_lc)
    if name not in ("crossentropy", "focal"):
        raise HiersegError(
            f"The loss {name!r} does not take labels of groups, which these data have; choose "
            "another."
        )
    if class_weights:
        given["weights_l"] = weights_of_labels(class_weights, hierarchy, level)
        given["class_weights_c"] = np.asarray(class_weights[level])
    return functools.partial(crossentropy_of_sets, set_lc=set_lc, **given)


def crossentropy_of_sets(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    set_lc: np.ndarray,
    weights_l: np.ndarray | None = None,
    class_weights_c: np.ndarray | None = None,
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
    gamma: float = 0.0,
    label_smoothing: float = 0.0,
    hard_share: float = 1.0,
) -> jax.Array:
    """`flat.crossentropy`, or with `gamma` `flat.focal`, for labels that are sets of classes.

    Args:
      logits_bhwc: floating [B, H, W, C].
      labels_bhw: integer [B, H, W], rows of `set_lc`, or 255.
      set_lc: bool [labels, C]; the classes that a pixel may be.
      weights_l: of every label; by default all 1.
      class_weights_c: of the classes that `label_smoothing` gives its share; by default all 1.
      valid_b, axis_name: as for every loss.
      gamma, label_smoothing, hard_share: as in `flat.py`; only one of the first two.
    """
    logits_nc, labels_n, counted_n = counted_pixels(logits_bhwc, labels_bhw, valid_b, len(set_lc))
    set_nc = jnp.asarray(set_lc)[labels_n] & counted_n[:, None]
    log_p_nc = jax.nn.log_softmax(logits_nc)
    log_p_n = _log_sum(log_p_nc, set_nc, counted_n)
    weights_n = counted_n.astype(logits_nc.dtype)
    if weights_l is not None:
        weights_n *= jnp.asarray(weights_l, logits_nc.dtype)[labels_n]
    loss_n = -log_p_n
    if label_smoothing:
        others_c = jnp.asarray(1.0 if class_weights_c is None else class_weights_c, loss_n.dtype)
        # As PyTorch: the label's weight alone is in the divisor.
        weights_nc = jnp.where(set_nc, weights_n[:, None], others_c)
        size_n1 = jnp.maximum(set_nc.sum(-1, keepdims=True), 1).astype(logits_nc.dtype)
        target_nc = (1 - label_smoothing) * (set_nc / size_n1)
        target_nc = (target_nc + label_smoothing / logits_nc.shape[-1]) * weights_nc
        log_p_nc = jnp.where(set_nc, log_p_n[:, None], log_p_nc)
        loss_n = -(jnp.where(counted_n[:, None], log_p_nc, 0.0) * target_nc).sum(-1)
    if gamma:
        # The floor keeps the power's gradient finite where p is 1; there it is 0.
        loss_n *= jnp.maximum(-jnp.expm1(log_p_n), jnp.finfo(logits_nc.dtype).eps) ** gamma
    if not label_smoothing:
        loss_n *= weights_n
    if hard_share != 1:
        hard_n = hardest_pixels(-log_p_n, counted_n, len(labels_bhw), hard_share)
        loss_n, weights_n = loss_n * hard_n, weights_n * hard_n
    return ratio(loss_n, weights_n, axis_name)


def at_finest_levels(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    of_pixels: Callable[..., jax.Array],
    hierarchy: Hierarchy,
    level: int | None = None,
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """A loss that counts regions, for labels of any node.

    Args:
      logits_bhwc: floating [B, H, W, C], of the leaf classes; with `level` of its classes.
      labels_bhw: integer [B, H, W], of the hierarchy, or 255.
      of_pixels: the loss of probabilities [N, V] of a level's classes, of how many pixels of each
        class every pixel stands for, floating [N, V], and of `axis_name`.
      hierarchy: of the labels.
      level: at this one alone; by default as the module says.
      valid_b, axis_name: as for every loss.
    """
    labels = hierarchy.labels
    num_labels = len(labels.names)
    logits_nc, labels_n, counted_n = counted_pixels(logits_bhwc, labels_bhw, valid_b, num_labels)
    p_nc = jax.nn.softmax(logits_nc)
    of_label_nl = (labels_n[:, None] == jnp.arange(num_labels)) & counted_n[:, None]
    pixels_l = total_over(of_label_nl.sum(0), axis_name).astype(p_nc.dtype)
    of_label_nl = of_label_nl.astype(p_nc.dtype)
    weights_kl = represented(pixels_l, labels.classes_kl)
    finest_l = labels.depths_l - 1
    total = jnp.zeros((), p_nc.dtype)
    for k in np.unique(finest_l).tolist() if level is None else (level,):
        classes_v = np.arange(hierarchy.levels[k].num_classes)
        below_cv = hierarchy.levels[k].leaf_to_class[:, None] == classes_v
        p_nv = _matmul(p_nc, below_cv.astype(p_nc.dtype)) if level is None else p_nc
        true_lv = (labels.classes_kl[k][:, None] == classes_v) * weights_kl[k][:, None]
        true_nv = _matmul(of_label_nl, true_lv)
        loss = of_pixels(p_nv, true_nv, axis_name)
        share = jnp.where(finest_l == k, pixels_l, 0.0).sum() / jnp.maximum(pixels_l.sum(), 1)
        total += loss * (share if level is None else 1.0)
    return total


def tversky_of_known_pixels(
    p_nv: jax.Array, true_nv: jax.Array, axis_name: str | None, *, alpha: float, beta: float
) -> jax.Array:
    """`flat.tversky`, as `at_finest_levels` takes it."""
    weights_n1 = true_nv.sum(-1, keepdims=True)
    sums = ((true_nv * p_nv).sum(0), (weights_n1 * p_nv).sum(0), true_nv.sum(0))
    true_positive_v, predicted_v, labelled_v = total_over(sums, axis_name)
    return mean_of_classes(
        true_positive_v,
        predicted_v - true_positive_v,
        labelled_v,
        alpha=alpha,
        beta=beta,
        smooth=1.0,
    )


def lovasz_of_known_pixels(p_nv: jax.Array, true_nv: jax.Array, axis_name: str | None) -> jax.Array:
    """`lovasz_softmax.lovasz`, as `at_finest_levels` takes it."""
    return lovasz_of_pixels(p_nv, true_nv > 0, true_nv.sum(-1), axis_name=axis_name)


def represented(pixels_l: jax.Array, classes_kl: np.ndarray) -> jax.Array:
    """How many pixels one of each label stands for at each level: [levels, labels].

    0 where its class is unknown. From level to level the pixels of a class that are known farther
    down share the weight of all of the class.

    Args:
      pixels_l: floating [labels], how many have each.
      classes_kl: [levels, labels], their classes, 255 where unknown; coarse to fine.
    """
    rows: list[jax.Array] = []
    for k, classes_l in enumerate(classes_kl):
        known_l = classes_l != IGNORE_LABEL
        if not k:
            rows.append(jnp.asarray(known_l, pixels_l.dtype))
            continue
        same_ll = (classes_kl[k - 1][:, None] == classes_kl[k - 1]).astype(pixels_l.dtype)
        all_l, known_farther_l = (_matmul(same_ll, of_l) for of_l in (pixels_l, known_l * pixels_l))
        rows.append(rows[-1] * known_l * all_l / jnp.maximum(known_farther_l, 1.0))
    return jnp.stack(rows)


def weights_of_labels(
    class_weights: Sequence[Sequence[float]], hierarchy: Hierarchy, level: int
) -> np.ndarray:
    """Of every label the weight of its class at the finest known level, up to one: [labels]."""
    labels = hierarchy.labels
    finest_l = np.minimum(labels.depths_l - 1, level)
    return np.asarray(
        [class_weights[k][labels.classes_kl[k, label]] for label, k in enumerate(finest_l)]
    )


# Accelerators round the factors of a product to fewer bits otherwise, counts of pixels too.
_matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def _log_sum(log_p_nc: jax.Array, set_nc: jax.Array, counted_n: jax.Array) -> jax.Array:
    """Log of the summed probability of each pixel's set [N]; 0 where none counts."""
    log_p_n = jax.nn.logsumexp(jnp.where(set_nc | ~counted_n[:, None], log_p_nc, -jnp.inf), axis=-1)
    # Rounding may leave a sum of probabilities just above 1.
    return jnp.where(counted_n & ~(log_p_n > 0), log_p_n, 0.0)
