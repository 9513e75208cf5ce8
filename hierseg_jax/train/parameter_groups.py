"""Which parameters are the backbone's, how deep they lie, and which are decayed."""

from collections.abc import Callable
from typing import Any

import jax

from hierseg_jax.models import NETWORKS
from hierseg_jax.models.network import Backbone
from hierseg_jax.system.errors import HiersegError

BACKBONE, DECODER = "backbone", "decoder"


def group_labels(params: Any) -> Any:
    """`backbone` or `decoder` for every parameter; the heads belong to the decoder."""
    module = backbone_of(params).module
    return _map_names(lambda names: BACKBONE if names[0] == module else DECODER, params)


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

    backbone = backbone_of(params)

    def factor(names: tuple[str, ...]) -> float:
        if names[0] != backbone.module:
            return 1.0
        return backbone_rate * layer_decay ** backbone.stages_below(names)

    return _map_names(factor, params)


def backbone_of(params: Any) -> Backbone:
    """The backbone that a network's parameters have; its module's name tells.

    Raises:
      ValueError: where they have none.
      LookupError: where they may have one of two.
    """
    known = {network.backbone for network in NETWORKS.values() if network.backbone}
    found = [backbone for backbone in known if backbone.module in params]
    if not found:
        raise HiersegError(
            "The network has no backbone, which freeze_epochs, optimizer.backbone_rate and "
            "optimizer.layer_decay are about; leave them at 0, 1 and 1."
        )
    if len(found) > 1:
        titles = " and ".join(backbone.title for backbone in found)
        raise LookupError(f"The modules of {titles} have the same name; call one otherwise.")
    return found[0]


def _map_names(function: Callable[[tuple[str, ...]], Any], params: Any) -> Any:
    def of_path(path: tuple[Any, ...], _: Any) -> Any:
        return function(tuple(str(key.key) for key in path))

    return jax.tree_util.tree_map_with_path(of_path, params)
