"""The mean of the weights of several runs of one network.

Runs that began at the same weights and learned by different recipes have a mean that is often
better than each of them, and costs no more than one (Wortsman et al., Model soups, ICML 2022,
arXiv 2203.05482).
"""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.checkpoint.arrays import described, differences
from hierseg_jax.system.errors import HiersegError


def with_mean_weights(first: Checkpoint, others: Sequence[Checkpoint]) -> Checkpoint:
    """The first checkpoint with the mean of the variables of all, batch statistics included.

    What its training has measured is left out, for that was of its own weights.

    Args:
      first: gives the settings and the classes.
      others: of the same network and the same classes; without any, the first stays as it is.

    Raises:
      ValueError: one sentence, naming the checkpoint that is of others.
    """
    if not others:
        return first
    for other in others:
        _check_alike(first, other)

    def mean(*leaves: np.ndarray) -> np.ndarray:
        return np.mean(leaves, axis=0, dtype=np.float64).astype(leaves[0].dtype)

    variables = jax.tree.map(mean, first.variables, *(other.variables for other in others))
    meta = {key: value for key, value in first.meta.items() if key != "progress"}
    return dataclasses.replace(first, variables=variables, meta=meta)


def _check_alike(first: Checkpoint, other: Checkpoint) -> None:
    theirs, ours = (of.settings.model for of in (other, first))
    differ = ""
    if theirs.label != ours.label:
        differ = f"it is of {theirs.label}, not of {ours.label}"
    elif theirs.head != ours.head:
        differ = f"its head is {theirs.head}, not {ours.head}"
    elif theirs.variant != ours.variant:
        differ = "its padding, norm_epsilon or normalization is another"
    elif other.hierarchy != first.hierarchy:
        differ = "its classes are others"
    elif arrays := differences(described(other.variables), described(first.variables)):
        differ = f"its arrays are others: {arrays}"
    if differ:
        raise HiersegError(
            f"{other.path} has no mean with {first.path}: {differ}. Give --mean_with runs of the "
            "same network and the same classes."
        )
