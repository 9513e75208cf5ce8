"""The loss of a run: one by name, or several summed with weights."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.counted_levels import of_flat_head, of_own_logits
from hierseg_jax.losses.counted_losses import COUNTED, Counters, of_counts
from hierseg_jax.losses.flat import LOSSES, Counted, Loss
from hierseg_jax.losses.inner_labels import of_labels
from hierseg_jax.losses.levels import (
    at_every_level,
    at_every_level_of_leaves,
    check_level_weights,
    hierarchical_crossentropy,
)
from hierseg_jax.losses.logic_rules import logic_rules
from hierseg_jax.losses.soft_labels import soft_crossentropy
from hierseg_jax.losses.sum_of_names import TAKEN_BY, TRIPLET, check_loss
from hierseg_jax.losses.tree_min_loss import tree_min
from hierseg_jax.losses.tree_triplet_loss import tree_triplet, triplet_weight
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy, check_hierarchy


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """What losses take beside logits and labels.

    Attributes:
      gamma: of `focal` and `tree_min_focal`; 0 or more.
      every_level: whether the losses of classes are taken at every level of a flat head, too.
      level_weights: of `hierarchical_crossentropy` and of `every_level`, coarse to fine; empty:
        all 1.
      triplets: drawn in a step by `tree_triplet`.
      beta: of `soft_crossentropy`; above 0.
      label_smoothing: of `crossentropy`.
      hard_share: of `crossentropy` and `focal`; 1 takes all pixels.
      class_weights: of `crossentropy` and `focal`, for the classes of every level, coarse to
        fine; empty: none.
    """

    gamma: float = 2.0
    every_level: bool = False
    level_weights: tuple[float, ...] = ()
    triplets: int = 1000
    beta: float = 10.0
    label_smoothing: float = 0.0
    hard_share: float = 1.0
    class_weights: tuple[tuple[float, ...], ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class TotalLoss:
    """A weighted sum of losses, with the signature of one; `tree_triplet` stands apart.

    Attributes:
      terms: (weight, loss) of those on logits.
      triplet: weight of `tree_triplet`, 0 without it. It is no part of a validation loss:
        its weight grows in training and its triplets are drawn.
      triplets: how many are drawn.
      hierarchy: of the labels.
      channels: of the logits.
    """

    terms: tuple[tuple[float, Loss], ...]
    triplet: float
    triplets: int
    hierarchy: Hierarchy
    channels: int

    def __call__(
        self, logits_bhwk: jax.Array, labels_bhw: jax.Array, **counted: Unpack[Counted]
    ) -> jax.Array:
        """The sum of the losses on logits.

        Raises:
          ValueError: a sentence, for logits of another head.
        """
        logits_bhwk, labels_bhw = jnp.asarray(logits_bhwk), jnp.asarray(labels_bhw)
        if logits_bhwk.shape[-1:] != (self.channels,):
            raise HiersegError(
                f"The loss is of {self.channels} logits a pixel; got {tuple(logits_bhwk.shape)}."
            )
        terms = (weight * loss(logits_bhwk, labels_bhw, **counted) for weight, loss in self.terms)
        return jnp.asarray(sum(terms))

    def of_embedding(
        self, embedding_bhwe: jax.Array, labels_bhw: jax.Array, *, progress: jax.Array, **given: Any
    ) -> jax.Array:
        """`tree_triplet` of what is `given`, with both its weights.

        Args:
          embedding_bhwe, labels_bhw, given: as `tree_triplet` takes them.
          progress: share of training done.
        """
        value = tree_triplet(
            embedding_bhwe, labels_bhw, hierarchy=self.hierarchy, triplets=self.triplets, **given
        )
        return self.triplet * triplet_weight(progress) * value


def build_loss(
    loss: str | Mapping[str, float],
    hierarchy: Hierarchy,
    *,
    hierarchical: bool = False,
    options: LossOptions | None = None,
    counters: Counters | None = None,
) -> TotalLoss:
    """The loss that `loss` names, for a tree and a head.

    Losses of classes are taken at every level of a hierarchical head and summed. With
    `hierarchy.inner_labels` every loss takes labels of groups, too. What can be is made of
    what `counters` count, where they are given.

    Raises:
      ValueError: one sentence.
    """
    options = options or LossOptions()
    weights = check_loss(loss, hierarchical)
    if not 0 <= options.gamma < math.inf:
        raise HiersegError(f"gamma is {options.gamma}; it must be 0 or more.")
    check_hierarchy(hierarchy)
    level_weights = check_level_weights(options.level_weights, hierarchy)
    _check_class_weights(options.class_weights, hierarchy)

    def by_name(name: str) -> Loss:
        if name == "hierarchical_crossentropy":
            return functools.partial(
                hierarchical_crossentropy, hierarchy=hierarchy, level_weights=level_weights
            )
        if name == "soft_crossentropy":
            return functools.partial(soft_crossentropy, hierarchy=hierarchy, beta=options.beta)
        if name == "logic_rules":
            return functools.partial(logic_rules, hierarchy=hierarchy)
        if name.startswith("tree_min"):
            gamma = options.gamma if name == "tree_min_focal" else 0.0
            return functools.partial(tree_min, hierarchy=hierarchy, gamma=gamma)
        given: dict[str, Any] = {"gamma": options.gamma} if name == "focal" else {}
        for option in ("label_smoothing", "hard_share"):
            if name in TAKEN_BY[option]:
                given[option] = getattr(options, option)
        weights_kc = options.class_weights if name in TAKEN_BY["class_weights"] else ()

        def of_level(k: int) -> Loss:
            if hierarchy.inner_labels and not hierarchical:
                return of_labels(name, hierarchy, k, weights_kc, **given)
            weights = (
                {"class_weights_c": np.asarray(weights_kc[k], np.float32)} if weights_kc else {}
            )
            return functools.partial(LOSSES[name], **given, **weights)

        levels = range(hierarchy.num_levels)
        if hierarchical:
            return at_every_level([of_level(k) for k in levels], hierarchy)
        if options.every_level:
            losses = [of_level(k) for k in levels]
            return at_every_level_of_leaves(losses, hierarchy, level_weights)
        if hierarchy.inner_labels:
            return of_labels(name, hierarchy, None, weights_kc, **given)
        return of_level(levels[-1])

    def by_counts(counted: Mapping[str, float], counters: Counters) -> Loss:
        if hierarchical:
            weights_kc = options.class_weights or ((),) * hierarchy.num_levels
            alone = zip(hierarchy.levels, weights_kc, strict=True)
            levels = [of_own_logits(level.num_classes, of_level) for level, of_level in alone]
            return at_every_level([of_counts(counted, of, counters) for of in levels], hierarchy)
        weights_of_levels = level_weights if options.every_level else None
        all_levels = of_flat_head(hierarchy, options.class_weights, weights_of_levels)
        return of_counts(counted, all_levels, counters)

    terms: list[tuple[float, Loss]] = []
    counted: dict[str, float] = {}
    if counters is not None and (counted := _made_of_counts(weights, options)):
        terms.append((1.0, by_counts(counted, counters)))
    terms += [(w, by_name(n)) for n, w in weights.items() if n != TRIPLET and n not in counted]
    return TotalLoss(
        terms=tuple(terms),
        triplet=weights.get(TRIPLET, 0.0),
        triplets=options.triplets,
        hierarchy=hierarchy,
        channels=hierarchy.num_nodes if hierarchical else hierarchy.num_classes,
    )


def _check_class_weights(weights_kc: Sequence[Sequence[float]], hierarchy: Hierarchy) -> None:
    wanted = [level.num_classes for level in hierarchy.levels]
    try:
        found = [np.shape(np.asarray(weights_c, float)) for weights_c in weights_kc]
    except (TypeError, ValueError):
        found = [()]
    if found and found != [(classes,) for classes in wanted]:
        raise HiersegError(
            "class_weights has a tuple for every level, coarse to fine, with a weight for each of "
            f"its classes ({', '.join(map(str, wanted))}); got {weights_kc!r}."
        )
    wrong = [w for weights_c in weights_kc for w in weights_c if not 0 <= w < math.inf]
    if wrong:
        raise HiersegError(f"class_weights holds {wrong[0]}; a weight is 0 or more.")


def _made_of_counts(weights: Mapping[str, float], options: LossOptions) -> dict[str, float]:
    """Those of the losses that need nothing but counts."""
    with_options = {
        "label_smoothing": options.label_smoothing > 0,
        "hard_share": options.hard_share < 1,
    }
    return {
        name: weight
        for name, weight in weights.items()
        if name in COUNTED
        and not any(given and name in TAKEN_BY[option] for option, given in with_options.items())
    }
