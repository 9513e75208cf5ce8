"""ESNet's modules in the reference's state_dicts."""

from collections.abc import Iterator

from hierseg_jax.models.esnet.architecture import DILATIONS, SIZES, ESNet
from hierseg_jax.models.network import ModulePath, StateDict, StateDictLayout


def _recognise(state_dict: StateDict) -> tuple[str, None]:
    """By the encoder's number of blocks; the reference's own where it is that of none."""
    layers = {name.split(".")[2] for name in state_dict if name.startswith("encoder.layers.")}
    counts = {len(size.encoder_blocks) - 1: name for name, size in SIZES.items()}
    return counts.get(len(layers), "esnet"), None


def _modules(model: ESNet) -> Iterator[tuple[ModulePath, str]]:
    size = SIZES[model.size]
    first, *encoder = size.encoder_blocks
    yield from _block(("encoder", first), "encoder.initial_block")
    for i, block in enumerate(encoder):
        yield from _block(("encoder", block), f"encoder.layers.{i}")
    for i, block in enumerate(size.decoder_blocks):
        yield from _block(("decoder", block), f"decoder.layers.{i}")
    yield ("decoder", "output_conv"), "decoder.output_conv"
    yield ("encoder_head",), "encoder_output_conv"


def _block(flax_block: ModulePath, torch_block: str) -> Iterator[tuple[ModulePath, str]]:
    """The reference names its k x 1 convolutions conv3x1 whatever k is."""
    name = flax_block[-1]
    if name.startswith(("down", "up")):
        parts = [("conv", "conv"), ("norm", "bn")]
    else:
        parts = [
            ("conv1_vertical", "conv3x1_1"),
            ("conv1_horizontal", "conv1x3_1"),
            ("norm1", "bn1"),
        ]
        if name.startswith("fcu"):
            parts += [("conv2_vertical", "conv3x1_2"), ("conv2_horizontal", "conv1x3_2")]
        else:
            for d in DILATIONS:
                parts += [(f"conv2_vertical_dilated{d}", f"conv3x1_2{d}")]
                parts += [(f"conv2_horizontal_dilated{d}", f"conv1x3_2{d}")]
        parts += [("norm2", "bn2")]
    for flax_part, torch_part in parts:
        yield (*flax_block, flax_part), f"{torch_block}.{torch_part}"


LAYOUT = StateDictLayout(
    first_layer="encoder.initial_block.conv.weight",
    last_layer="decoder.output_conv.weight",
    class_axis=1,
    modules=_modules,
    recognise=_recognise,
)
