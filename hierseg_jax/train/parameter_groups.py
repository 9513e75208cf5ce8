"""Which parameters are the backbone's, how deep they lie, and which are decayed."""

from collections.abc import Callable
from typing import Any

import jax

from hierseg_jax.models.network import Backbone

BACKBONE, DECODER = "backbone", "decoder"


def group_labels(params: Any, backbone: Backbone | None) -> Any:
    """`backbone` or `decoder` for every parameter; the heads belong to the decoder."""
    module = backbone.module if backbone else None
    return _map_names(lambda names: BACKBONE if names[0] == module else DECODER, params)


def decayed(params: Any) -> Any:
    """Whether weight decay applies to every parameter: kernels alone, no norm and no bias."""
    return _map_names(lambda names: names[-1] == "kernel", params)


def rate_factors(
    params: Any, backbone: Backbone | None, backbone_rate: float, layer_decay: float
) -> Any:
    """Factor on the learning rate of every parameter: 1 outside of the backbone.

    Args:
      backbone_rate: factor on the backbone's last stage.
      layer_decay: on every stage further down once more.
    """

    def below(names: tuple[str, ...]) -> int | None:
        if backbone is None or names[0] != backbone.module:
            return None
        return backbone.stages_below(names)

    last = 0
    if backbone is not None and backbone.cut_from:
        # A short one ends before the last stage of the one that it is cut from.
        last = min(jax.tree.leaves(_map_names(below, params)), default=0)

    def factor(names: tuple[str, ...]) -> float:
        depth = below(names)
        return 1.0 if depth is None else backbone_rate * layer_decay ** (depth - last)

    return _map_names(factor, params)


def _map_names(function: Callable[[tuple[str, ...]], Any], params: Any) -> Any:
    def of_path(path: tuple[Any, ...], _: Any) -> Any:
        return function(tuple(str(key.key) for key in path))

    return jax.tree_util.tree_map_with_path(of_path, params)
