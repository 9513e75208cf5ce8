"""ESNet and its small variant."""

from hierseg_jax.models.esnet.architecture import ESNet
from hierseg_jax.models.esnet.state_dict import LAYOUT
from hierseg_jax.models.network import Backbone, ModulePath, Network, imported

_STAGES = 3


def _stages_below(path: ModulePath) -> int:
    """Of the encoder's three stages, each of which begins with a `Down`."""
    block = path[1]
    if block.startswith("pfcu"):  # the last stage's units have no number of a stage
        return 0
    return _STAGES - int(block.removeprefix("down").removeprefix("fcu")[0])


ENCODER = Backbone("encoder", "encoder", _stages_below)


def _describe(size: str) -> Network:
    return Network(
        name=size,
        architecture=ESNet,
        heads=("decoder/output_conv", "encoder_head"),
        fields={"size": size},
        backbone=ENCODER,
        inference=imported("hierseg_jax.models.esnet.inference"),
        state_dict=LAYOUT,
    )


ESNET, ESNET_MINI = _describe("esnet"), _describe("esnet_mini")
