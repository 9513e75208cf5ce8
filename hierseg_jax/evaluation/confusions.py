"""Confusion matrices: counted on the device, and summed to those of every level on the host.

One matrix per image is all an evaluation needs to bring back: the matrices of all levels,
the dataset's and the reference's metrics are sums of it. Rows are labels, which are the leaf
classes unless data label groups as well; columns are predicted leaf classes.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.pixels import valid_examples
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy


def confusion_matrices(
    predictions_bhw: jax.Array,
    labels_bhw: jax.Array,
    num_classes: int,
    valid_b: jax.Array | None = None,
    num_labels: int | None = None,
) -> jax.Array:
    """One confusion matrix per image; runs inside `jax.jit`.

    A scatter-add of one integer per pixel, exact for any image size. (Measured on a
    CPU it is 8 times faster than a product of float32 one-hot matrices at 7 classes
    and over 100 times faster at 60.)

    Args:
      predictions_bhw: integer [B, H, W] in 0..C-1. Pixels of anything else are not counted: 255
        is what a crop has left out. (To count them as misses, give them a class.)
      labels_bhw: integer [B, H, W]; pixels labelled 255, or anything else outside of
        0..L-1, are not counted.
      num_classes: C, a background included.
      valid_b: bool [B]; the matrix of an example that is False is all 0.
      num_labels: L, of `hierarchy.labels`; by default C.

    Returns:
      int32 [B, L, C].

    Raises:
      ValueError: a sentence, for arrays of other shapes or dtypes.
    """
    predictions_bhw, labels_bhw = jnp.asarray(predictions_bhw), jnp.asarray(labels_bhw)
    both = (predictions_bhw, labels_bhw)
    integers = all(jnp.issubdtype(array.dtype, jnp.integer) for array in both)
    if not integers or labels_bhw.ndim != 3 or predictions_bhw.shape != labels_bhw.shape:
        given = " and ".join(f"{array.dtype} {array.shape}" for array in both)
        raise HiersegError(
            f"Predictions and labels are integers [batch, height, width] alike; got {given}."
        )
    num_labels = num_labels or num_classes
    labels = labels_bhw.astype(jnp.int32)
    predictions = predictions_bhw.astype(jnp.int32)
    counted = (labels != IGNORE_LABEL) & (labels >= 0) & (labels < num_labels)
    counted &= (predictions >= 0) & (predictions < num_classes)
    if valid_b is not None:
        counted &= valid_examples(valid_b, labels_bhw)
    cells = num_labels * num_classes
    # Pixels that do not count fall into one more cell, which is cut off.
    cell_bn = jnp.where(counted, labels * num_classes + predictions, cells)
    cell_bn = cell_bn.reshape(len(cell_bn), math.prod(cell_bn.shape[1:]))
    counts = jax.vmap(lambda cell_n: jnp.bincount(cell_n, length=cells + 1))(cell_bn)
    return counts[:, :cells].astype(jnp.int32).reshape(-1, num_labels, num_classes)


def level_confusions(confusions_xlc: np.ndarray, hierarchy: Hierarchy) -> tuple[np.ndarray, ...]:
    """Confusion matrices of every level, by summing rows and columns.

    Args:
      confusions_xlc: integer [..., L, C], of L labels and C leaf classes.

    Returns:
      For each level of K classes, coarse to fine, int64 [..., K, K], without the pixels of
      labels whose class is unknown there.
    """
    confusions_xlc = np.asarray(confusions_xlc)
    labels = hierarchy.labels
    expected = (len(labels.names), hierarchy.num_classes)
    if confusions_xlc.shape[-2:] != expected:
        raise HiersegError(
            f"The hierarchy has {hierarchy.num_classes} classes, so its confusion matrices are "
            f"{expected}; got {confusions_xlc.shape[-2:]}."
        )
    matrices = []
    for level, true_l in zip(hierarchy.levels, labels.classes_kl, strict=True):
        matrix = confusions_xlc.astype(np.int64)
        for axis, classes in ((-2, true_l), (-1, level.leaf_to_class)):
            # What is unknown, 255, comes last and is left out.
            known = np.count_nonzero(classes != IGNORE_LABEL)
            order = np.argsort(classes, kind="stable")[:known]
            starts = np.searchsorted(classes[order], np.arange(level.num_classes))
            matrix = np.add.reduceat(np.take(matrix, order, axis), starts, axis)
        matrices.append(matrix)
    return tuple(matrices)


def hidden_classes(confusion_lc: np.ndarray, hierarchy: Hierarchy, level: int) -> np.ndarray:
    """The classes of a level that no pixel is labelled with, though some may be of them.

    Their pixels, if there are any, bear the label of a group that says no more. Where else they
    are predicted is wrong, but how often they are right is not known.

    Args:
      confusion_lc: integer [L, C], of a whole data set.
      hierarchy: of the labels.
      level: its number, 0 the coarsest.

    Returns:
      bool [classes of the level].
    """
    classes_l = hierarchy.labels.classes_kl[level]
    present_l = np.asarray(confusion_lc).any(1)
    leaves_c = hierarchy.labels.leaves_lc[present_l & (classes_l == IGNORE_LABEL)].any(0)
    hidden_k = np.zeros(hierarchy.levels[level].num_classes, bool)
    hidden_k[hierarchy.levels[level].leaf_to_class[leaves_c]] = True
    hidden_k[classes_l[present_l & (classes_l != IGNORE_LABEL)]] = False
    return hidden_k


def labelled_confusions(confusion_lc: np.ndarray, hierarchy: Hierarchy) -> tuple[np.ndarray, ...]:
    """The matrices of a whole data set at every level, all 0 where its labels stop above.

    They do where it labels no class of a level but a background, and classes are hidden.

    Args:
      confusion_lc: integer [L, C].
      hierarchy: of the labels.

    Returns:
      As `level_confusions`.
    """
    return tuple(
        np.zeros_like(matrix)
        if not matrix[hierarchy.foreground].any()
        and hidden_classes(confusion_lc, hierarchy, k).any()
        else matrix
        for k, matrix in enumerate(level_confusions(confusion_lc, hierarchy))
    )
