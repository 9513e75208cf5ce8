"""PyTorch state_dicts of the reference networks <-> Flax variables, without loss.

Works on mappings of NumPy arrays; no PyTorch is needed.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from hierseg_jax.models import SegmentationModel, network_of
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.network import ModulePath
from hierseg_jax.system.errors import HiersegError

Variables = dict[str, Any]

# Kernels: OIHW -> HWIO, and the transposed convolutions' IOHW -> HWOI.
TO_FLAX = (2, 3, 1, 0)
TO_TORCH = (3, 2, 0, 1)

LEAF_NAMES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}


def variables_from_state_dict(
    model: SegmentationModel, state_dict: Mapping[str, np.ndarray]
) -> Variables:
    """Flax variables with the weights of a reference state_dict.

    Args:
      model: the network the weights belong to; its class count and backbone count.
      state_dict: name -> floating array as PyTorch lays it out. The integer
        `num_batches_tracked` entries are not needed and not kept: PyTorch reads them
        only without momentum, which the reference never does.

    Returns:
      `{"params": ..., "batch_stats": ...}` with float32 NumPy arrays.

    Raises:
      ValueError: one sentence for each entry that is missing, unexpected, of another
        shape or not floating, all in one error.
    """
    names = torch_names(model)
    flat, faults = arrays_by_path(flat_shapes(model), names, state_dict)
    known = {*names.values(), *map(_counter_beside, names.values())}
    faults += [f"unexpected: {name}" for name in state_dict if name not in known]
    if faults:
        raise HiersegError(
            f"The weights do not fit {_described(model)} ({len(faults)} faults):\n  "
            + "\n  ".join(faults)
        )
    return traverse_util.unflatten_dict(flat)


def arrays_by_path(
    shapes: Mapping[ModulePath, tuple[int, ...]],
    names: Mapping[ModulePath, str],
    state_dict: Mapping[str, np.ndarray],
) -> tuple[dict[ModulePath, np.ndarray], list[str]]:
    """Takes arrays out of a state_dict into Flax's layout.

    Args:
      shapes: variable path -> shape in Flax's layout.
      names: variable path -> name in the state_dict.
      state_dict: name -> array as PyTorch lays it out.

    Returns:
      path -> float32 array, and a phrase for each that is missing, of another shape or not
      floating.
    """
    faults: list[str] = []
    flat: dict[ModulePath, np.ndarray] = {}
    for path, shape in shapes.items():
        name = names[path]
        if name not in state_dict:
            faults.append(f"missing: {name} {_torch_shape(shape)}")
            continue
        value = np.asarray(state_dict[name])
        if value.shape != _torch_shape(shape):
            faults.append(f"shape: {name} is {value.shape}, expected {_torch_shape(shape)}")
        elif not jnp.issubdtype(value.dtype, jnp.floating):
            faults.append(f"dtype: {name} is {value.dtype}, expected floating numbers")
        else:
            value = value.transpose(TO_FLAX) if value.ndim == 4 else value
            flat[path] = np.ascontiguousarray(value, np.float32)
    return flat, faults


def state_dict_from_variables(
    model: SegmentationModel, variables: Variables
) -> dict[str, np.ndarray]:
    """The reference's state_dict with the weights of Flax variables; bit-exact.

    Args:
      model: the network the variables belong to.
      variables: with the collections `params` and `batch_stats`.

    Returns:
      name -> array, in the reference's order of names. `num_batches_tracked`, which
      `load_state_dict` wants to find and the reference does not read, is 0.

    Raises:
      ValueError: listing every missing, unexpected or misshapen variable.
    """
    expected = flat_shapes(model)
    flat = traverse_util.flatten_dict(dict(variables))
    faults = [f"missing: {'/'.join(path)}" for path in expected if path not in flat]
    faults += [f"unexpected: {'/'.join(path)}" for path in flat if path not in expected]
    faults += [
        f"shape: {'/'.join(path)} is {tuple(np.shape(flat[path]))}, expected {shape}"
        for path, shape in expected.items()
        if path in flat and tuple(np.shape(flat[path])) != shape
    ]
    if faults:
        raise HiersegError(
            f"The variables do not fit {_described(model)} ({len(faults)} faults):\n  "
            + "\n  ".join(faults)
        )
    entries: dict[str, np.ndarray] = {}
    for path, name in torch_names(model).items():
        value = np.asarray(flat[path])
        value = value.transpose(TO_TORCH) if value.ndim == 4 else value
        entries[name] = np.ascontiguousarray(value)
        if (counter := _counter_beside(name)) != name:
            entries[counter] = np.array(0, np.int64)
    return entries


def torch_names(model: SegmentationModel) -> dict[ModulePath, str]:
    """Variable path (collection first) -> name in the reference's state_dict, in its order.

    Raises:
      ValueError: for a network that has no PyTorch class.
    """
    network = network_of(model)
    if network.state_dict is None:
        raise HiersegError(
            f"No PyTorch class is known that computes {network.name}; export it with "
            "hierseg export instead."
        )
    return leaf_names(network.state_dict.modules(model), flat_shapes(model))


def leaf_names(
    modules: Iterable[tuple[ModulePath, str]], shapes: Container[ModulePath]
) -> dict[ModulePath, str]:
    """Variable path -> PyTorch's name, of those of the modules' variables that are in `shapes`."""
    names = {}
    for module, torch_module in modules:
        for (collection, leaf), torch_leaf in LEAF_NAMES.items():
            path = (collection, *module, leaf)
            if path in shapes:
                names[path] = f"{torch_module}.{torch_leaf}"
    return names


def _counter_beside(name: str) -> str:
    """The name of a batch norm's counter, from that of its variance; of others their own."""
    return name.replace("running_var", "num_batches_tracked")


def flat_shapes(model: SegmentationModel) -> dict[ModulePath, tuple[int, ...]]:
    """Variable path -> shape."""
    flat = traverse_util.flatten_dict(variable_shapes(model))
    return {path: leaf.shape for path, leaf in flat.items()}


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in TO_TORCH) if len(shape) == 4 else shape


def _described(model: SegmentationModel) -> str:
    return f"{model.title} with {model.num_classes} classes"
