"""The way back from a folded graph: variables of a network that fold to given weights.

Folding a batch norm into a convolution (`fold.py`) is linear in kernels and biases where the norm
itself changes nothing. So such variables are found by asking the network's own graph: filled with
ones, with the numbers of arrays and with the places within them, they fold to what tells which
number of theirs stands where, and times what. A norm's scale can't be told from the kernel's that
it multiplies: it comes back as 1, and the norm only adds its bias. It is told where a graph has it
alone, of channels that no convolution has made.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from hierseg_jax.models import SegmentationModel, network_of
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.network import ModulePath

Flat = dict[ModulePath, np.ndarray]
# Rounding, as a share of an array's largest number: to float32, and to 8 bits, where a number that
# stands several times is rounded by several scales.
_NEAR, _NEAR_IN_8_BITS = 1e-5, 1e-2


def folded_weights(
    model: SegmentationModel, variables: Mapping[str, Any], integers: bool = False
) -> list[np.ndarray]:
    """Kernel and bias of every convolution in turn, as the network's graph has them: float32.

    Args:
      model: with a graph of its own (`Network.graph`).
      variables: of it.
      integers: as 8-bit integers want the graph.
    """
    own = network_of(model).graph
    assert own is not None
    image = jax.ShapeDtypeStruct((1, 3, model.stride, model.stride), jnp.float32)
    traced = jax.make_jaxpr(lambda x_nchw: own(model, variables, x_nchw, integers))(image)
    known = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    return [
        np.asarray(known[operand]) if operand in known else np.asarray(operand.val)
        for equation in traced.jaxpr.eqns
        if str(equation.params.get("op_type")).startswith("Conv")
        for operand in equation.invars[1:]
    ]


def unfolded(
    model: SegmentationModel, weights: Sequence[np.ndarray], integers: bool = False
) -> dict[str, Any] | None:
    """Variables that fold to these weights: `{"params": ..., "batch_stats": ...}`, float32.

    Batch norms have the mean 0 and the variance 1. `with_statistics` makes norms of it that
    normalise.

    Args:
      model: with a graph of its own.
      weights: as `folded_weights` gives them; others may follow.
      integers: as they were folded.

    Returns:
      None where no variables of this network fold to such weights.
    """
    shapes = traverse_util.flatten_dict(variable_shapes(model))
    norms = {path[1:-1] for path in shapes if path[0] == "batch_stats"}
    scales = [path for path in shapes if path[1:-1] in norms and path[-1] == "scale"]
    shifts = [path for path in shapes if path[1:-1] in norms and path[-1] == "bias"]
    others = [path for path in shapes if path[0] == "params" and path[1:-1] not in norms]
    neutral = {
        path: np.full(shape.shape, float(path[-1] in ("scale", "var")), np.float32)
        for path, shape in shapes.items()
    }

    def fold(found: Flat) -> list[np.ndarray]:
        return folded_weights(model, traverse_util.unflatten_dict(neutral | found), integers)

    unscaled = fold({})
    weights = weights[: len(unscaled)]
    if [array.shape for array in unscaled] != [np.shape(array) for array in weights]:
        return None
    # Where all kernels are 0, scales are seen that stand alone.
    zeros = {path: np.zeros_like(neutral[path]) for path in scales}
    ground = fold(zeros)
    alone = _solve(fold, zeros, ground, scales, _differences(weights, ground))
    neutral |= {path: np.where(array == 0, 1, array) for path, array in alone.items()}
    # Beside a norm's bias, that of a convolution has nothing left to add, unless several share it.
    ground = fold({})
    found = _solve(fold, neutral, ground, shifts, _differences(weights, ground))
    found |= _solve(fold, neutral, ground, others, _differences(weights, fold(found)))
    near = _NEAR_IN_8_BITS if integers else _NEAR
    for given, back in zip(weights, fold(found), strict=True):
        if not np.abs(given - back).max() <= near * np.abs(given).max():  # nor NaN
            return None
    return traverse_util.unflatten_dict(neutral | found)


def _solve(
    fold: Callable[[Flat], list[np.ndarray]],
    arrays: Flat,
    before: Sequence[np.ndarray],
    paths: Sequence[ModulePath],
    wanted: np.ndarray,
) -> Flat:
    """Of every array the numbers that change what is folded by `wanted`: means, if they differ.

    Args:
      fold: of arrays in place of the neutral ones.
      arrays: before that, or all variables.
      before: what they fold to.
      paths: of the arrays; each of their numbers stands alone wherever it stands.
      wanted: of all that is folded, in a row.
    """

    def reaction(numbers: Callable[[int, int], Any]) -> np.ndarray:
        filled = {}
        for index, path in enumerate(paths):
            values = np.empty(arrays[path].size, np.float32)
            values[:] = numbers(index, values.size)
            filled[path] = values.reshape(arrays[path].shape)
        return _differences(fold(arrays | filled), before)

    factor = reaction(lambda index, size: 1)
    at = np.flatnonzero(factor)
    factor, wanted = factor[at], wanted[at] / factor[at]
    # Whole numbers below 2^24 are exact in float32.
    array = np.rint(reaction(lambda index, size: index + 1)[at] / factor) - 1
    place = np.rint(reaction(lambda index, size: np.arange(1, size + 1))[at] / factor) - 1
    found = {}
    for index, path in enumerate(paths):
        here, size = array == index, arrays[path].size
        places = place[here].astype(np.int64)
        sums, counts = (np.bincount(places, w, size) for w in (wanted[here], None))
        mean = np.divide(sums, counts, out=np.zeros(size), where=counts > 0)
        found[path] = mean.astype(np.float32).reshape(arrays[path].shape)
    return found


def _differences(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> np.ndarray:
    """All numbers of the arrays in a row, float64."""
    both = zip(first, second, strict=True)
    return np.concatenate([np.ravel(np.subtract(a, b, dtype=np.float64)) for a, b in both])
