"""ESNet and its smaller variants."""

from collections.abc import Mapping
from typing import Any

import jax

from hierseg_jax.models.esnet.architecture import ESNet
from hierseg_jax.models.esnet.state_dict import LAYOUT
from hierseg_jax.models.network import Backbone, ModulePath, Network, TrainingMemory

_STAGES = 3


def _stages_below(path: ModulePath) -> int:
    """Of the encoder's three stages, each of which begins with a `Down`."""
    block = path[1]
    if block.startswith("pfcu"):  # the last stage's units have no number of a stage
        return 0
    return _STAGES - int(block.removeprefix("down").removeprefix("fcu")[0])


def _graph(
    model: ESNet, variables: Mapping[str, Any], image_nchw: jax.Array, integers: bool
) -> jax.Array:
    # Imported when an export asks for it: with it comes jax2onnx, which takes seconds.
    from hierseg_jax.models.esnet.graph import logits

    return logits(model, variables, image_nchw, integers)


ENCODER = Backbone("encoder", "encoder", _stages_below)


def _describe(size: str) -> Network:
    return Network(
        name=size,
        architecture=ESNet,
        heads={"decoder/output_conv": 2, "encoder_head": 3},
        # A step at 320 px and batch 8 takes 1.2 GB (docs/kernels.md), hierseg train as a
        # whole 2.3 GB at 256 px and batch 16; smaller variants take less.
        training_memory=TrainingMemory(rest_gb=0.8, bytes_per_pixel=1.2e9 / (8 * 320 * 320)),
        fields={"size": size},
        backbone=ENCODER,
        graph=_graph,
        state_dict=LAYOUT,
    )


ESNET, ESNET_SMALL, ESNET_MINI = map(_describe, ("esnet", "esnet_small", "esnet_mini"))
