"""The loss of a run: one by name, or several summed with weights."""

import dataclasses
import functools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np

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
from hierseg_jax.losses.tree_min_loss import tree_min
from hierseg_jax.losses.tree_triplet_loss import tree_triplet, triplet_weight
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean
from hierseg_jax.tree.hierarchy import Hierarchy

FOR_FLAT = ("hierarchical_crossentropy", "soft_crossentropy")
FOR_HIERARCHICAL = ("tree_min", "tree_min_focal", "logic_rules")
TRIPLET = "tree_triplet"
TREE_LOSSES = (*FOR_FLAT, *FOR_HIERARCHICAL, TRIPLET)
"""Beside those of `LOSSES`."""

TAKEN_BY = {
    "label_smoothing": ("crossentropy",),
    "class_weights": ("crossentropy", "focal"),
    "hard_share": ("crossentropy", "focal"),
}
"""Options of training, and the losses that take them; others of a sum go without."""

_NUMBER = r"[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
_TERM = re.compile(
    rf"\s*(?:(?P<before>{_NUMBER})\s*\*\s*)?(?P<name>\w+)(?:\s*\*\s*(?P<after>{_NUMBER}))?\s*"
)


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
        if logits_bhwk.shape[-1] != self.channels:
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


def parse_loss(loss: str | Mapping[str, float]) -> dict[str, float]:
    """Weights by name, from `"tree_min_focal + 0.5*dice"` or a mapping.

    Raises:
      ValueError: for a misspelt name, listing the known ones; a weight that is not above
        0; a name given twice; nothing at all.
    """
    if isinstance(loss, str):
        pairs = _read_terms(loss)
    elif isinstance(loss, Mapping):
        pairs = list(loss.items())
    else:
        raise HiersegError(
            f"A loss is a name, a sum of names, or a mapping to weights; got {loss!r}."
        )
    if not pairs:
        raise HiersegError("The loss names none; choose of " + ", ".join(_known()) + ".")
    weights: dict[str, float] = {}
    for name, weight in pairs:
        if name not in _known():
            hint = did_you_mean(name, _known(), f"choose of {', '.join(_known())}.")
            raise HiersegError(f"There is no loss {name!r}; {hint}")
        if name in weights:
            raise HiersegError(f"The loss names {name!r} twice; add up its weights.")
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise HiersegError(
                f"The loss gives {name!r} the weight {weight!r}; it must be above 0."
            )
        weights[name] = float(weight)
    return weights


def check_loss(loss: str | Mapping[str, float], hierarchical: bool) -> dict[str, float]:
    """`parse_loss`, and that the losses suit the head."""
    weights = parse_loss(loss)
    need_head = [name for name in weights if name in FOR_HIERARCHICAL]
    if need_head and not hierarchical:
        raise HiersegError(
            f"The loss {need_head[0]!r} needs scores at every level: set model.hierarchical to "
            "True."
        )
    need_leaves = [name for name in weights if name in FOR_FLAT]
    if need_leaves and hierarchical:
        raise HiersegError(
            f"The loss {need_leaves[0]!r} sums leaf probabilities and is for flat heads; with "
            "model.hierarchical take 'crossentropy', which is then taken at every level."
        )
    if set(weights) == {TRIPLET}:
        raise HiersegError(
            f"The loss {TRIPLET!r} trains embeddings, no scores; add another, as in "
            "'tree_min_focal + tree_triplet'."
        )
    if weights.keys() <= {"logic_rules", TRIPLET}:
        raise HiersegError(
            "The loss 'logic_rules' knows no classes, and scores of 0 keep its rules; add another, "
            "as in 'tree_min + 0.2*logic_rules'."
        )
    return weights


def check_taken(weights: Mapping[str, float], given: Collection[str]) -> None:
    """Refuses options that none of the losses takes.

    Args:
      weights: of the losses by name, from `parse_loss`.
      given: the options, keys of `TAKEN_BY`.

    Raises:
      ValueError: naming the losses that take it.
    """
    for option in given:
        if not set(TAKEN_BY[option]) & set(weights):
            raise HiersegError(
                f"The config's loss_options.{option} is taken by {' and '.join(TAKEN_BY[option])} "
                f"alone; the loss is {' + '.join(weights)}."
            )


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

    def together(counted: Mapping[str, float], counters: Counters) -> Loss:
        if hierarchical:
            alone = [(1.0, np.arange(level.num_classes)) for level in hierarchy.levels]
            losses = [of_counts(counted, [level], counters) for level in alone]
            return at_every_level(losses, hierarchy)
        of_leaves = [level.leaf_to_class for level in hierarchy.levels]
        levels = list(zip(level_weights, of_leaves, strict=True))
        if not options.every_level:
            levels = [(1.0, of_leaves[-1])]
        return of_counts(counted, [level for level in levels if level[0]], counters)

    terms: list[tuple[float, Loss]] = []
    counted: dict[str, float] = {}
    if counters is not None and (counted := _made_of_counts(weights, hierarchy, options)):
        terms.append((1.0, together(counted, counters)))
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


def _made_of_counts(
    weights: Mapping[str, float], hierarchy: Hierarchy, options: LossOptions
) -> dict[str, float]:
    """Those of the losses that need nothing but counts."""
    if hierarchy.inner_labels:
        return {}
    with_options = {
        "label_smoothing": options.label_smoothing > 0,
        "hard_share": options.hard_share < 1,
        "class_weights": bool(options.class_weights),
    }
    return {
        name: weight
        for name, weight in weights.items()
        if name in COUNTED
        and not any(given and name in TAKEN_BY[option] for option, given in with_options.items())
    }


def _known() -> list[str]:
    return [*LOSSES, *TREE_LOSSES]


def _read_terms(text: str) -> Sequence[tuple[str, float]]:
    pairs, position = [], 0
    while True:
        term = _TERM.match(text, position)
        if term is None or (term["before"] and term["after"]):
            break
        pairs.append((term["name"], float(term["before"] or term["after"] or 1)))
        position = term.end()
        if position == len(text):
            return pairs
        if text[position] != "+":
            break
        position += 1
    raise HiersegError(
        f"The loss {text!r} is no sum of names; write it as 'tree_min_focal + 0.5*dice'. Known are "
        f"{', '.join(_known())}."
    )
