"""Losses by name, summed with weights: what a config and its command line say."""

import math
import re
from collections.abc import Collection, Mapping, Sequence

from hierseg_jax.losses.flat import LOSSES
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.number_kinds import is_real
from hierseg_jax.system.wording import did_you_mean

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
        if not is_real(weight) or not 0 < weight < math.inf:
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
