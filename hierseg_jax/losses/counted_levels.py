"""The levels at which losses are made of counts: what labels say there, and how they weigh.

What is known before any pixel is NumPy; what depends on how many pixels bear each label is a small
table of JAX. Why pixels weigh as they do is told in `inner_labels.py`.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.inner_labels import represented, weights_of_labels
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class CountedLevels:
    """Levels whose classes are sets of leaves, coarse to fine.

    Attributes:
      class_of_kc: int [K, C], the class of every leaf.
      classes_kl: int [K, L], of every label; 255 where it is unknown, which it then is farther
        down, too.
      label_weights_kl: floating [K, L], of every label in cross-entropy at a level: of its class,
        or of the finest known one above.
      level_weights: of the losses at each level. None takes them once: cross-entropy at the last
        level, and losses of regions at every level that is the finest known one of a label.
    """

    class_of_kc: np.ndarray
    classes_kl: np.ndarray
    label_weights_kl: np.ndarray
    level_weights: Sequence[float] | None

    @property
    def classes_k(self) -> list[int]:
        """How many classes each level has."""
        return [int(class_of_c.max()) + 1 for class_of_c in self.class_of_kc]

    @property
    def known_kl(self) -> np.ndarray:
        """Whether a label's class is known: bool [K, L]."""
        return self.classes_kl != IGNORE_LABEL

    @property
    def finest_l(self) -> np.ndarray:
        """The finest level at which each label's class is known: int [L]."""
        return self.known_kl.sum(0) - 1

    @property
    def entropy_weights_k(self) -> np.ndarray:
        """Of cross-entropy at each level: floating [K]."""
        if self.level_weights is None:
            return np.eye(len(self.class_of_kc))[-1]
        return np.asarray(self.level_weights, float)

    @functools.cached_property
    def taken_at_tkl(self) -> np.ndarray:
        """At which level k cross-entropy at level t is taken for a label: bool [K, K, L].

        Where a label leaves a class unknown, its pixels have a set of classes: all those of the
        finest known one. So their cross-entropy is the one there.
        """
        each_k = np.arange(len(self.class_of_kc))
        level_tl = np.minimum(each_k[:, None], self.finest_l)
        taken_at_tkl: np.ndarray = level_tl[:, None] == each_k[:, None]
        return taken_at_tkl & (self.entropy_weights_k[:, None, None] > 0)

    @property
    def entropy_levels(self) -> list[int]:
        """Those at which cross-entropy is taken for some label."""
        return np.flatnonzero(self.taken_at_tkl.any((0, 2))).tolist()

    @property
    def region_levels(self) -> list[int]:
        """Those at which losses of regions are taken."""
        if self.level_weights is None:
            return np.unique(self.finest_l).tolist()
        return np.flatnonzero(self.level_weights).tolist()

    def entropy_weights(self, pixels_l: jax.Array) -> jax.Array:
        """Of -log p at each level: [K, L]; weighted so, pixels add up to the cross-entropy.

        Args:
          pixels_l: float32 [L], how many have each label.
        """
        weights_tl = jnp.asarray(self.label_weights_kl, pixels_l.dtype)
        totals_t1 = (weights_tl * pixels_l).sum(1, keepdims=True)
        of_levels_t1 = jnp.asarray(self.entropy_weights_k[:, None], pixels_l.dtype)
        weights_tl *= of_levels_t1 / jnp.where(totals_t1 > 0, totals_t1, 1.0)
        return (weights_tl[:, None] * self.taken_at_tkl).sum(0)

    def region_weights(self, pixels_l: jax.Array) -> jax.Array:
        """How many pixels one of each label stands for in losses of regions: [K, L]."""
        if self.known_kl.all():
            return jnp.ones(self.classes_kl.shape, pixels_l.dtype)
        return represented(pixels_l, self.classes_kl)

    def region_share(self, k: int, pixels_l: jax.Array) -> jax.Array | float:
        """What losses of regions at a level of `region_levels` weigh."""
        if self.level_weights is not None:
            return self.level_weights[k]
        if len(self.region_levels) == 1:
            return 1.0
        finest_l = jnp.where(self.finest_l == k, pixels_l, 0.0)
        return finest_l.sum() / jnp.maximum(pixels_l.sum(), 1)

    @functools.cached_property
    def groups_kl(self) -> np.ndarray:
        """Labels of a group at a level have one weight there in losses of regions: int [K, L].

        Groups are numbered from 0; labels whose class is unknown have -1.
        """
        names_l = np.zeros(self.classes_kl.shape[1], int)  # of groups, of all levels
        groups_kl = np.full(self.classes_kl.shape, -1)
        for k, known_l in enumerate(self.known_kl):
            if k:
                # Where all pixels of a class are known farther down, they weigh what they did.
                above_l = self.classes_kl[k - 1].astype(int)
                parted = above_l[self.known_kl[k - 1] & ~known_l]
                names_l = np.where(np.isin(above_l, parted), 256 * k + above_l, names_l)
            groups_kl[k, known_l] = np.unique(names_l[known_l], return_inverse=True)[1]
        return groups_kl

    def bin_weights(self, k: int, weights_l: jax.Array) -> jax.Array:
        """How many pixels one stands for in the bins of Lovász-softmax: [classes, groups + 1].

        At each class of a level, of every group those without the class, and last those with it.

        Args:
          k: the level.
          weights_l: those of `region_weights` there.
        """

        def of(labels_xl: np.ndarray) -> jax.Array:
            # Of labels that weigh the same, those that no pixel bears may have 0.
            return jnp.where(labels_xl, weights_l, 0.0).max(1)

        groups, classes = int(self.groups_kl.max()) + 1, self.classes_k[k]
        of_groups_g = of(self.groups_kl[k] == np.arange(groups)[:, None])
        of_classes_v = of(self.classes_kl[k] == np.arange(classes)[:, None])
        of_groups_vg = jnp.broadcast_to(of_groups_g, (classes, groups))
        return jnp.concatenate([of_groups_vg, of_classes_v[:, None]], axis=1)


def of_flat_head(
    hierarchy: Hierarchy,
    class_weights: Sequence[Sequence[float]],
    level_weights: Sequence[float] | None,
) -> CountedLevels:
    """All levels of a tree, of logits of its leaves.

    Args:
      class_weights: of the classes of every level; empty: all 1.
      level_weights: as `CountedLevels` has them.
    """
    classes_kl = hierarchy.labels.classes_kl
    weights = [weights_of_labels(class_weights, hierarchy, k) for k in range(len(class_weights))]
    return CountedLevels(
        class_of_kc=np.stack([level.leaf_to_class for level in hierarchy.levels]),
        classes_kl=classes_kl,
        label_weights_kl=np.stack(weights) if weights else np.ones(classes_kl.shape),
        level_weights=level_weights,
    )


def of_own_logits(classes: int, class_weights: Sequence[float]) -> CountedLevels:
    """One level that has logits of its own, whose labels are its classes.

    Args:
      class_weights: of the classes; empty: all 1.
    """
    each_class = np.arange(classes)[None]
    weights = np.asarray(class_weights, float) if len(class_weights) else np.ones(classes)
    return CountedLevels(each_class, each_class, weights[None], level_weights=None)
