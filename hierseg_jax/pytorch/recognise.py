"""Which network a state_dict belongs to."""

import re
from collections.abc import Mapping

import numpy as np

from hierseg_jax.checkpoint.stored_network import Network
from hierseg_jax.models.efficient_unet.backbone import BACKBONES, is_lite, scaled_stages
from hierseg_jax.models.esnet.architecture import SIZES
from hierseg_jax.system.errors import HiersegError

# A parameter that tells a network by its name; what stands before the name is a wrapper's
# prefix, such as DataParallel's `module.`. And the layer whose channels are the classes.
FIRST_LAYERS = {
    "esnet": "encoder.initial_block.conv.weight",
    "effunet": "backbone.stem_conv.0.weight",
}
REFERENCE_BACKBONES = tuple(name for name in BACKBONES if not is_lite(name))
LAST_LAYERS = {"esnet": ("decoder.output_conv.weight", 1), "effunet": ("head.conv.weight", 0)}


def recognise(arrays: Mapping[str, np.ndarray], file: str) -> tuple[Network, dict[str, np.ndarray]]:
    """Tells which of the networks a state_dict belongs to, and takes a wrapper's prefix off.

    Args:
      arrays: name -> array.
      file: for messages.

    Returns:
      The network, and the arrays by the reference's names.

    Raises:
      ValueError: if it is neither, or its last layer is missing.
    """
    for name, first_layer in FIRST_LAYERS.items():
        first = next((key for key in arrays if f".{key}".endswith(f".{first_layer}")), None)
        if first is None:
            continue
        prefix = first.removesuffix(first_layer)
        state_dict = {key.removeprefix(prefix): value for key, value in arrays.items()}
        last_layer, axis = LAST_LAYERS[name]
        if last_layer not in state_dict or state_dict[last_layer].ndim != 4:
            raise HiersegError(
                f"{file} begins as {name} does, but its last layer, {last_layer}, is missing or "
                "has not 4 dimensions."
            )
        backbone = _backbone(state_dict) if name == "effunet" else None
        name = _esnet_size(state_dict) if name == "esnet" else name
        return Network(name, state_dict[last_layer].shape[axis], backbone), state_dict
    raise HiersegError(
        f"{file} holds {len(arrays)} tensors, but neither the reference's ESNet (with "
        f"{FIRST_LAYERS['esnet']}) nor its EfficientUNet (with {FIRST_LAYERS['effunet']}); it "
        f"begins with {', '.join(list(arrays)[:3])[:200] or 'nothing'}."
    )


def _esnet_size(state_dict: Mapping[str, np.ndarray]) -> str:
    """By the encoder's number of blocks; the reference's own where it is that of none."""
    layers = {name.split(".")[2] for name in state_dict if name.startswith("encoder.layers.")}
    counts = {len(size.encoder_blocks) - 1: name for name, size in SIZES.items()}
    return counts.get(len(layers), "esnet")


def _backbone(state_dict: Mapping[str, np.ndarray]) -> str | None:
    """By the stages' numbers of blocks and channels."""
    channels: dict[int, dict[int, int]] = {}
    for name, value in state_dict.items():
        block = re.fullmatch(r"backbone\.blocks\.(\d+)\.(\d+)\.conv\.[23]\.0\.weight", name)
        # Of a block's convolutions the projection is the last.
        if block and value.ndim == 4:
            stage = channels.setdefault(int(block[1]), {})
            stage[int(block[2])] = value.shape[0]
    found = [(len(stage), stage.get(0)) for _, stage in sorted(channels.items())]
    for backbone in REFERENCE_BACKBONES:
        if found == [(stage.repeats, stage.out_channels) for stage in scaled_stages(backbone)]:
            return backbone
    return None
