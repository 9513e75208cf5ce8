"""EfficientUNet's modules in the reference's state_dicts."""

import re
from collections.abc import Iterator

from hierseg_jax.models.efficient_unet.architecture import EfficientUNet
from hierseg_jax.models.efficient_unet.backbone import BACKBONES, is_lite, scaled_stages
from hierseg_jax.models.network import ModulePath, StateDict, StateDictLayout

BACKBONES_OF_REFERENCE = tuple(name for name in BACKBONES if not is_lite(name))


def _recognise(state_dict: StateDict) -> tuple[str, str | None]:
    """By the stages' numbers of blocks and channels."""
    channels: dict[int, dict[int, int]] = {}
    for name, value in state_dict.items():
        block = re.fullmatch(r"backbone\.blocks\.(\d+)\.(\d+)\.conv\.[23]\.0\.weight", name)
        # Of a block's convolutions the projection is the last.
        if block and value.ndim == 4:
            stage = channels.setdefault(int(block[1]), {})
            stage[int(block[2])] = value.shape[0]
    found = [(len(stage), stage.get(0)) for _, stage in sorted(channels.items())]
    for backbone in BACKBONES_OF_REFERENCE:
        if found == [(stage.repeats, stage.out_channels) for stage in scaled_stages(backbone)]:
            return "effunet", backbone
    return "effunet", None


def _modules(model: EfficientUNet) -> Iterator[tuple[ModulePath, str]]:
    yield ("efficientnet", "stem_conv"), "backbone.stem_conv.0"
    yield ("efficientnet", "stem_norm"), "backbone.stem_conv.1"
    for i, stage in enumerate(scaled_stages(model.backbone)):
        for j in range(stage.repeats):
            flax_block = ("efficientnet", f"stage{i + 1}_block{j + 1}")
            torch_block = f"backbone.blocks.{i}.{j}.conv"
            # Without an expansion the reference's list of parts starts one earlier.
            parts = ["expand", "depthwise", "squeeze_excite", "project"]
            for k, part in enumerate(parts if stage.expand_ratio != 1 else parts[1:]):
                if part == "squeeze_excite":
                    for end in ("reduce", "expand"):
                        yield (*flax_block, part, end), f"{torch_block}.{k}.se_{end}"
                else:
                    yield (*flax_block, f"{part}_conv"), f"{torch_block}.{k}.0"
                    yield (*flax_block, f"{part}_norm"), f"{torch_block}.{k}.1"
    for k in range(3):
        yield (f"decoder_block{k + 1}", "conv"), f"head.decoders.{k}.conv.0"
        yield (f"decoder_block{k + 1}", "norm"), f"head.decoders.{k}.conv.1"
    yield ("head",), "head.conv"


LAYOUT = StateDictLayout(
    first_layer="backbone.stem_conv.0.weight",
    last_layer="head.conv.weight",
    class_axis=0,
    modules=_modules,
    recognise=_recognise,
    backbones=BACKBONES_OF_REFERENCE,
)
