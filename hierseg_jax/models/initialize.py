"""Fresh variables in seconds: one random draw for all parameters."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from hierseg_jax.models.layers import torch_bound
from hierseg_jax.models.segmentation_model import SegmentationModel


def variable_shapes(model: SegmentationModel) -> dict[str, Any]:
    """Shape and dtype of every variable, without computing any."""
    # Tracing takes up to a second, and those who load weights ask more than once.
    shapes = _traced_shapes(model, jax.dtypes.canonicalize_dtype(float))
    return jax.tree.map(lambda shape: shape, shapes)  # in containers that nobody else has


@functools.lru_cache(maxsize=32)
def _traced_shapes(model: SegmentationModel, widest: np.dtype) -> dict[str, Any]:
    """`widest`: float64 where JAX is to have it, which dtypes depend on."""
    del widest
    image = jax.ShapeDtypeStruct((1, model.stride, model.stride, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image)


def init_variables(model: SegmentationModel, key: jax.Array) -> dict[str, Any]:
    """Variables with PyTorch's default initial distributions, as `model.init` gives them.

    The distributions are those of `model.init`, the numbers are not: that compiles a
    generator for every parameter (20 s for EfficientUNet on 2 cores), this draws once.

    Args:
      model: from `create_model`.
      key: from `jax.random.key`.

    Returns:
      `{"params": ..., "batch_stats": ...}`, float32 NumPy arrays.
    """
    shapes = traverse_util.flatten_dict(variable_shapes(model))
    drawn = {
        path: torch_bound(shapes[(*path[:-1], "kernel")].shape)
        for path in shapes
        if (*path[:-1], "kernel") in shapes
    }
    total = sum(shapes[path].size for path in drawn)
    draw = np.asarray(jax.random.uniform(key, (total,), jnp.float32, -1.0, 1.0))
    variables, start = {}, 0
    for path, shape in shapes.items():
        if path in drawn:
            stop = start + shape.size
            variables[path] = (draw[start:stop] * np.float32(drawn[path])).reshape(shape.shape)
            start = stop
        else:  # batch norm: scale and variance 1, bias and mean 0
            fill = np.ones if path[-1] in ("scale", "var") else np.zeros
            variables[path] = fill(shape.shape, np.float32)
    return traverse_util.unflatten_dict(variables)
