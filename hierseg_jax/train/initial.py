"""Weights that a new run starts from: those of another checkpoint."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from hierseg_jax.checkpoint import open_checkpoint
from hierseg_jax.hierarchy import Hierarchy
from hierseg_jax.models import EfficientUNet, ESNet
from hierseg_jax.models.initialize import variable_shapes


def load_initial_variables(
    init: str,
    config: Mapping[str, Any],
    model: EfficientUNet | ESNet,
    hierarchy: Hierarchy,
) -> dict[str, Any]:
    """The variables of a checkpoint of the same network and class tree.

    Args:
      init: a run's workdir, whose best checkpoint is taken, or a checkpoint's folder.
      config: of the new run.
      model: that the config describes.
      hierarchy: of the new run's data.

    Returns:
      `{"params": ..., "batch_stats": ...}`, NumPy arrays.

    Raises:
      ValueError: one sentence for a checkpoint that can't be read or does not fit.
    """
    try:
        loaded = open_checkpoint(init)
    except (ValueError, OSError) as error:
        raise ValueError(f"The config's init: {error}") from None
    tree = Hierarchy.from_json(loaded.meta["hierarchy"])
    if tree != hierarchy:
        theirs, ours = tree.class_names, hierarchy.class_names
        differ = (
            f"are {', '.join(theirs)}; {config['data']['spec']} has {', '.join(ours)}"
            if theirs != ours
            else f"stand in another tree than those of {config['data']['spec']}"
        )
        raise ValueError(
            f"The config's init, {loaded.path}, can't start this run: its classes {differ}. "
            "(Converted weights get their tree with launch/convert.py --data.)"
        )
    differences = _differences(loaded.variables, variable_shapes(model))
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        theirs, ours = _describe(loaded.meta["config"]), _describe(config)
        if theirs == ours:
            # Then the loss differs: tree_triplet's head is in one of them alone.
            theirs += f" trained on the loss {loaded.meta['config']['loss']!r}"
            ours += f" on {config['loss']!r}"
        raise ValueError(
            f"The config's init, {loaded.path}, holds {theirs}, this run is to train {ours}: "
            f"{', '.join(differences[:3])}{more}."
        )
    return loaded.variables


def _describe(config: Mapping[str, Any]) -> str:
    model = config["model"]
    name = f"effunet-{model['backbone']}" if model["name"] == "effunet" else model["name"]
    head = " with a hierarchical head" if model["hierarchical"] else ""
    return f"{name}{head}"


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    shapes, wanted = (
        {"/".join(path): tuple(np.shape(leaf)) for path, leaf in flat.items()}
        for flat in map(traverse_util.flatten_dict, (found, expected))
    )
    return [
        f"{name} is {shapes.get(name, 'missing')}, expected {wanted.get(name, 'none')}"
        for name in sorted(shapes.keys() | wanted.keys())
        if shapes.get(name) != wanted.get(name)
    ]
