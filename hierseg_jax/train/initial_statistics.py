"""Batch norms that normalise what they see of a run's pictures, in place of ones that only add.

Weights out of an exported file (`exported_weights.py`) have norms of the latter kind. In training
norms normalise by their batch, which would make another network of it.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from hierseg_jax.models import SegmentationModel
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.network import ModulePath
from hierseg_jax.models.normalization import BatchNorm
from hierseg_jax.system.devices.exact import exact_on_cpu
from hierseg_jax.system.devices.hosts import as_on_main


def with_statistics(
    model: SegmentationModel, variables: Mapping[ModulePath, np.ndarray], images_bhwc: np.ndarray
) -> dict[ModulePath, np.ndarray]:
    """The variables with norms that normalise what they see of these pictures.

    In inference the network computes the same as before. In training it does so as far as a batch
    looks like these pictures.

    Args:
      model: the network of the run.
      variables: whose norms have the mean 0 and the variance 1; of the head some may be missing.
      images_bhwc: float32 RGB in [0, 1], of the network's size.
    """
    shapes = traverse_util.flatten_dict(variable_shapes(model))
    absent = {p: np.zeros(s.shape, np.float32) for p, s in shapes.items() if p not in variables}
    everything = traverse_util.unflatten_dict(absent | dict(variables))
    model = model.clone(conv_impl="xla", dtype=jnp.float32, axis_name=None)
    found = dict(variables)
    with exact_on_cpu():
        moments = jax.jit(functools.partial(_moments, model))
        # One by one, for in inference pictures don't see one another.
        each = [moments(everything, image[None]) for image in images_bhwc]
    for path in each[0]:
        means_bc, variances_bc = (np.stack([of[path][i] for of in each]) for i in (0, 1))
        epsilon = float(each[0][path][2])
        mean_c, var_c = means_bc.mean(0), variances_bc.mean(0) + means_bc.var(0)
        of_norm = ("params", *path)
        # So far its variance is 1 and its mean 0.
        factor_c = variables[*of_norm, "scale"] / np.sqrt(1 + epsilon)
        found["batch_stats", *path, "mean"] = mean_c
        found["batch_stats", *path, "var"] = var_c
        found[*of_norm, "scale"] = factor_c * np.sqrt(var_c + epsilon)
        found[*of_norm, "bias"] = variables[*of_norm, "bias"] + factor_c * mean_c
    # Processors round otherwise, and hosts are to begin at the same bits.
    return as_on_main({path: np.asarray(array, np.float32) for path, array in found.items()})


def _moments(
    model: SegmentationModel, variables: Any, image_bhwc: jax.Array
) -> dict[ModulePath, tuple[jax.Array, jax.Array, float]]:
    """By norm, of what it sees in inference: means and variances [C], and its epsilon."""
    seen = {}

    def look(following: Any, args: Any, kwargs: Any, context: Any) -> Any:
        norm = context.module
        if not isinstance(norm, BatchNorm) or context.method_name != "__call__":
            return following(*args, **kwargs)
        conv = kwargs.pop("conv", None)
        x_bhwc = args[0] if conv is None else conv(args[0])
        seen[norm.path] = x_bhwc.mean((0, 1, 2)), x_bhwc.var((0, 1, 2)), norm.epsilon
        return following(x_bhwc, **kwargs)

    with nn.intercept_methods(look):
        model.apply(variables, image_bhwc, train=False)
    return seen
