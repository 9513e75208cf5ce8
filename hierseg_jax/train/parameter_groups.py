"""Which parameters are the backbone's, how deep they lie, and which are decayed."""

import re
from collections.abc import Callable
from typing import Any

import jax

BACKBONES = ("efficientnet", "encoder")
"""The backbones' names among the parameters: of EfficientUNet, of ESNet."""

BACKBONE, DECODER = "backbone", "decoder"
_EFFICIENTNET_STAGE = re.compile(r"stage(\d+)_")
_ESNET_STAGE = re.compile(r"(?:down|p?fcu)(\d+)")
EFFICIENTNET_STAGES, ESNET_STAGES = 7, 3


def group_labels(params: Any) -> Any:
    """`backbone` or `decoder` for every parameter; the heads belong to the decoder."""
    return _map_names(lambda names: BACKBONE if names[0] in BACKBONES else DECODER, params)


def decayed(params: Any) -> Any:
    """Whether weight decay applies to every parameter: kernels alone, no norm and no bias."""
    return _map_names(lambda names: names[-1] == "kernel", params)


def rate_factors(params: Any, backbone_rate: float, layer_decay: float) -> Any:
    """Factor on the learning rate of every parameter: 1 outside of the backbone.

    Args:
      params: of the network.
      backbone_rate: factor on the backbone's last stage.
      layer_decay: on every stage further down once more.
    """

    def factor(names: tuple[str, ...]) -> float:
        if names[0] not in BACKBONES:
            return 1.0
        return backbone_rate * layer_decay ** stages_below(names)

    return _map_names(factor, params)


def stages_below(names: tuple[str, ...]) -> int:
    """How many stages lie between a backbone's parameter and the decoder: 0 for the last.

    EfficientNet has a stem and 7 stages; ESNet's encoder 3, each beginning with a `Down`.
    """
    if names[0] == "efficientnet":
        stage = _EFFICIENTNET_STAGE.match(names[1])
        return EFFICIENTNET_STAGES - (int(stage[1]) if stage else 0)
    if names[1].startswith("pfcu"):
        return 0
    return ESNET_STAGES - int(_ESNET_STAGE.match(names[1])[1])


def _map_names(function: Callable[[tuple[str, ...]], Any], params: Any) -> Any:
    def of_path(path: tuple[Any, ...], _: Any) -> Any:
        return function(tuple(str(key.key) for key in path))

    return jax.tree_util.tree_map_with_path(of_path, params)
