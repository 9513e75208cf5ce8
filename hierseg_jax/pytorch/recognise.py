"""Which network a state_dict belongs to."""

from collections.abc import Mapping

import numpy as np

from hierseg_jax.checkpoint.stored_network import StoredNetwork
from hierseg_jax.models import NETWORKS
from hierseg_jax.system.errors import HiersegError


def recognise(
    arrays: Mapping[str, np.ndarray], file: str
) -> tuple[StoredNetwork, dict[str, np.ndarray]]:
    """Tells which of the networks a state_dict belongs to, and takes a wrapper's prefix off.

    Returns:
      The network, and the arrays by the reference's names.

    Raises:
      ValueError: if it is none, or its last layer is missing.
    """
    for network in NETWORKS.values():
        layout = network.state_dict
        prefix = find_prefix(arrays, layout.first_layer) if layout else None
        if layout is None or prefix is None:
            continue
        state_dict = {key.removeprefix(prefix): value for key, value in arrays.items()}
        last = state_dict.get(layout.last_layer)
        if last is None or last.ndim != 4:
            raise HiersegError(
                f"{file} begins as {network.name} does, but its last layer, {layout.last_layer}, "
                "is missing or has not 4 dimensions."
            )
        name, backbone = layout.recognise(state_dict)
        return StoredNetwork(name, last.shape[layout.class_axis], backbone), state_dict
    known = {
        f"the reference's {network.architecture.__name__} (with {network.state_dict.first_layer})"
        for network in NETWORKS.values()
        if network.state_dict
    }
    raise HiersegError(
        f"{file} holds {len(arrays)} tensors, but neither {' nor '.join(sorted(known))}; it begins "
        f"with {', '.join(list(arrays)[:3])[:200] or 'nothing'}."
    )


def find_prefix(arrays: Mapping[str, np.ndarray], layer: str) -> str | None:
    """What stands before the names, such as DataParallel's `module.`; None without the layer."""
    found = next((key for key in arrays if f".{key}".endswith(f".{layer}")), None)
    return None if found is None else found.removesuffix(layer)
