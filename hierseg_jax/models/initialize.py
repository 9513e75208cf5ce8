"""Fresh variables in seconds: one random draw for all parameters."""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from hierseg_jax.models.kernels.random_bits import uniform
from hierseg_jax.models.layers import torch_bound
from hierseg_jax.models.segmentation_model import SegmentationModel
from hierseg_jax.system.devices.kept import kept_file
from hierseg_jax.system.kept_bytes import read_kept, write_kept


def variable_shapes(
    model: SegmentationModel, size: tuple[int, int] | None = None, kept: bool = False
) -> dict[str, Any]:
    """Shape and dtype of every variable, without computing any.

    Args:
      size: (height, width) of the image, which they don't depend on, but which the network may
        refuse; by default the smallest.
      kept: whether they may come from an earlier process, and are kept for later ones.
    """
    # Tracing takes up to a second, and those who load weights ask more than once.
    size = size or (model.stride, model.stride)
    shapes = _traced_shapes(model, size, kept, jax.dtypes.canonicalize_dtype(float))
    return jax.tree.map(lambda shape: shape, shapes)  # in containers that nobody else has


@functools.lru_cache(maxsize=32)
def _traced_shapes(
    model: SegmentationModel, size: tuple[int, int], kept: bool, widest: np.dtype
) -> dict[str, Any]:
    """`widest`: float64 where JAX is to have it, which dtypes depend on."""
    file = kept_file(("shapes", repr(model), repr(size), widest.name)) if kept else None
    if content := read_kept(file):
        read = {
            tuple(path): jax.ShapeDtypeStruct(tuple(shape), np.dtype(dtype))
            for path, shape, dtype in json.loads(content)
        }
        return traverse_util.unflatten_dict(read)
    image = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    if file is not None:
        flat = traverse_util.flatten_dict(shapes)
        listed = [[path, shape.shape, shape.dtype.name] for path, shape in flat.items()]
        write_kept(file, json.dumps(listed).encode())
    return shapes


def init_variables(
    model: SegmentationModel, key: jax.Array | np.ndarray, kept: bool = False
) -> dict[str, Any]:
    """Variables with PyTorch's default initial distributions, as `model.init` gives them.

    The distributions are those of `model.init`, the numbers are not: that compiles a
    generator for every parameter (20 s for EfficientUNet on 2 cores), this draws once.

    Args:
      model: from `create_model`.
      key: from `jax.random.key`, or the data of one.
      kept: as of `variable_shapes`.

    Returns:
      `{"params": ..., "batch_stats": ...}`, float32 NumPy arrays.
    """
    shapes = traverse_util.flatten_dict(variable_shapes(model, kept=kept))
    drawn = {
        path: torch_bound(shapes[(*path[:-1], "kernel")].shape)
        for path in shapes
        if (*path[:-1], "kernel") in shapes
    }
    total = sum(shapes[path].size for path in drawn)
    draw = uniform(key, total)
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
