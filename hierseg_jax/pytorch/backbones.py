"""EfficientNet weights as torchvision, timm and efficientnet_pytorch name them.

Works on mappings of NumPy arrays; no PyTorch is needed. Of a network for classification the
backbone is taken, down to stride 32; what is behind it is left.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from hierseg_jax.models import create_model
from hierseg_jax.models.efficient_unet.backbone import (
    BACKBONES,
    Stage,
    Variant,
    is_lite,
    scaled_stages,
)
from hierseg_jax.pytorch.recognise import FIRST_LAYERS
from hierseg_jax.pytorch.weights import ModulePath, arrays_by_path, flat_shapes, leaf_names
from hierseg_jax.system.errors import HiersegError

Modules = Iterator[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a package names an EfficientNet's modules.

    Attributes:
      name: of the package.
      first: name of the first convolution's weight, by which a file is known.
      modules: backbone -> (our module, theirs) for each module with weights.
    """

    name: str
    first: str
    modules: Callable[[str], Modules]


@dataclasses.dataclass(frozen=True, eq=False)
class BackboneWeights:
    """The backbone found in a state_dict.

    Attributes:
      layout: that its names follow.
      backbone: of `BACKBONES`.
      variables: path in the network -> float32 array in Flax's layout.
      unused: names of all other tensors.
    """

    layout: Layout
    backbone: str
    variables: dict[ModulePath, np.ndarray]
    unused: tuple[str, ...]


def read_backbone(arrays: Mapping[str, np.ndarray], file: str) -> BackboneWeights:
    """Finds out which layout and backbone a state_dict is of, and takes the backbone.

    Args:
      arrays: name -> array as PyTorch lays it out; the names may have a prefix (`module.`,
        `encoder.`), and there may be others without it.
      file: for messages.

    Raises:
      ValueError: one sentence for another layout, a network that is no EfficientNet of ours,
        or tensors that are missing or no floating numbers.
    """
    layout, prefix = _recognise(arrays, file)
    inside = (key for key in arrays if key.startswith(prefix))
    state_dict = {key.removeprefix(prefix): arrays[key] for key in inside}
    backbone = _find_backbone(layout, state_dict)
    if backbone is None:
        raise HiersegError(
            f"{file} names its tensors as {layout.name} does, but they are of none of the "
            f"backbones {', '.join(BACKBONES)}."
        )
    shapes = {
        path: shape
        for path, shape in flat_shapes(create_model("effunet", 2, backbone=backbone)).items()
        if path[1] == "efficientnet"
    }
    modules = (
        (("efficientnet", *ours.split("/")), theirs) for ours, theirs in layout.modules(backbone)
    )
    names = leaf_names(modules, shapes)
    variables, faults = arrays_by_path(shapes, names, state_dict)
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise HiersegError(
            f"{file} holds {layout.name}'s {backbone}, but not whole: "
            f"{'; '.join(faults[:3])}{more}."
        )
    taken = {prefix + name for name in names.values()}
    unused = (n for n in arrays if n not in taken and not n.endswith("num_batches_tracked"))
    return BackboneWeights(layout, backbone, variables, tuple(unused))


def wanted_variant(weights: BackboneWeights, file: str, padding: str = "auto") -> Variant:
    """How the package that weights come from computes with them.

    timm's `tf_efficientnet_*` and `efficientnet_*` name their tensors alike: `padding` tells
    them apart or, where that is `auto`, the file's path.

    Args:
      weights: from `read_backbone`.
      file: path that they come from.
      padding: `same`, `symmetric` or `auto`.

    Raises:
      ValueError: one sentence, if neither tells.
    """
    lite = is_lite(weights.backbone)
    if weights.layout is TORCHVISION:
        epsilon = 1e-3 if weights.backbone in ("b5", "b6", "b7") else 1e-5
        return Variant("symmetric", epsilon, "imagenet")
    if weights.layout is EFFICIENTNET_PYTORCH:
        return Variant("same", 1e-3, "lite" if lite else "imagenet")
    called = re.findall(rf"(tf_|)efficientnet_{weights.backbone}", file)
    if padding == "auto" and not called:
        raise HiersegError(
            f"{file} may be timm's tf_efficientnet_{weights.backbone} or its "
            f"efficientnet_{weights.backbone}, which name their tensors alike; give "
            "--config.model.padding=same for the former, =symmetric for the latter (or the file "
            "its model's name)."
        )
    if padding == "same" or (padding == "auto" and called[-1]):
        return Variant("same", 1e-3, "half" if lite else "imagenet")
    return Variant("symmetric", 1e-5, "imagenet")


def _recognise(arrays: Mapping[str, np.ndarray], file: str) -> tuple[Layout, str]:
    """The layout, and what stands before its names."""
    for layout in LAYOUTS:
        first = next((key for key in arrays if f".{key}".endswith(f".{layout.first}")), None)
        if first is not None:
            return layout, first.removesuffix(layout.first)
    if any(f".{key}".endswith(f".{first}") for key in arrays for first in FIRST_LAYERS.values()):
        raise HiersegError(
            f"{file} holds a whole network in the reference's layout; make a checkpoint of it with "
            "launch/convert.py and give that."
        )
    known = ", ".join(f"{layout.name}'s ({layout.first})" for layout in LAYOUTS)
    raise HiersegError(
        f"{file} holds {len(arrays)} tensors in another layout than the EfficientNets that can be "
        f"read, {known}; it begins with {', '.join(list(arrays)[:3])[:200] or 'nothing'}."
    )


def _find_backbone(layout: Layout, state_dict: Mapping[str, np.ndarray]) -> str | None:
    """By the names of all convolutions in blocks, and the channels of the stem and the stages."""
    kernels = {name: value.shape for name, value in state_dict.items() if value.ndim == 4}
    for backbone in BACKBONES:
        stages = scaled_stages(backbone)
        channels = {"stem_conv": stages[0].in_channels}
        for block, stage, *_ in _blocks(backbone):
            channels[f"{block}/project_conv"] = stage.out_channels
        convolutions = {
            f"{theirs}.weight": channels.get(ours)
            for ours, theirs in layout.modules(backbone)
            if not ours.endswith("norm")
        }
        # The last convolution stands behind the backbone.
        same_names = convolutions.keys() <= kernels.keys() and len(kernels) <= len(convolutions) + 1
        if same_names and all(
            count in (None, kernels[name][0]) for name, count in convolutions.items()
        ):
            return backbone
    return None


def _blocks(backbone: str) -> Iterator[tuple[str, Stage, int, int, int]]:
    """Our name, the stage, its index, the block's in the stage, and the block's over all."""
    number = 0
    for i, stage in enumerate(scaled_stages(backbone)):
        for j in range(stage.repeats):
            yield f"stage{i + 1}_block{j + 1}", stage, i, j, number
            number += 1


def _parts(stage: Stage, lite: bool) -> list[str]:
    """Of a block, in order."""
    parts = ["expand", "depthwise", "squeeze_excite", "project"]
    if lite:
        parts.remove("squeeze_excite")
    return parts if stage.expand_ratio != 1 else parts[1:]


def _torchvision(backbone: str) -> Modules:
    yield "stem_conv", "features.0.0"
    yield "stem_norm", "features.0.1"
    for block, stage, i, j, _ in _blocks(backbone):
        for k, part in enumerate(_parts(stage, is_lite(backbone))):
            theirs = f"features.{i + 1}.{j}.block.{k}"
            if part == "squeeze_excite":
                yield f"{block}/{part}/reduce", f"{theirs}.fc1"
                yield f"{block}/{part}/expand", f"{theirs}.fc2"
            else:
                yield f"{block}/{part}_conv", f"{theirs}.0"
                yield f"{block}/{part}_norm", f"{theirs}.1"


def _timm(backbone: str) -> Modules:
    yield "stem_conv", "conv_stem"
    yield "stem_norm", "bn1"
    for block, stage, i, j, _ in _blocks(backbone):
        theirs = f"blocks.{i}.{j}"
        parts = _parts(stage, is_lite(backbone))
        # The projection of a block without an expansion is called as an expansion is.
        project = "conv_pwl" if "expand" in parts else "conv_pw"
        convs = {"expand": "conv_pw", "depthwise": "conv_dw", "project": project}
        number = 0
        for part in parts:
            if part == "squeeze_excite":
                yield f"{block}/{part}/reduce", f"{theirs}.se.conv_reduce"
                yield f"{block}/{part}/expand", f"{theirs}.se.conv_expand"
            else:
                number += 1
                yield f"{block}/{part}_conv", f"{theirs}.{convs[part]}"
                yield f"{block}/{part}_norm", f"{theirs}.bn{number}"


def _efficientnet_pytorch(backbone: str) -> Modules:
    yield "stem_conv", "_conv_stem"
    yield "stem_norm", "_bn0"
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    for block, stage, _, _, number in _blocks(backbone):
        theirs = f"_blocks.{number}"
        for part in _parts(stage, is_lite(backbone)):
            if part == "squeeze_excite":
                yield f"{block}/{part}/reduce", f"{theirs}._se_reduce"
                yield f"{block}/{part}/expand", f"{theirs}._se_expand"
            else:
                yield f"{block}/{part}_conv", f"{theirs}._{part}_conv"
                yield f"{block}/{part}_norm", f"{theirs}.{norms[part]}"


TORCHVISION = Layout("torchvision", "features.0.0.weight", _torchvision)
TIMM = Layout("timm", "conv_stem.weight", _timm)
EFFICIENTNET_PYTORCH = Layout("efficientnet_pytorch", "_conv_stem.weight", _efficientnet_pytorch)
LAYOUTS = (TORCHVISION, TIMM, EFFICIENTNET_PYTORCH)
