"""Weights that a new run starts from: those of another checkpoint, or a pretrained backbone."""

import dataclasses
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.checkpoint.arrays import EMBEDDING, described, differences
from hierseg_jax.checkpoint.same_checkpoint import open_configured
from hierseg_jax.models import NETWORKS, SegmentationModel, Variant
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.network import ModulePath
from hierseg_jax.pytorch.backbones import read_backbone, wanted_variant
from hierseg_jax.pytorch.files import read_torch_file
from hierseg_jax.pytorch.weights import flat_shapes
from hierseg_jax.runtime.packaged_network import NAME as PACKAGED
from hierseg_jax.runtime.packaged_network import packaged_network
from hierseg_jax.settings import ModelSettings, Settings
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import as_path, local_path
from hierseg_jax.system.wording import counted, did_you_mean
from hierseg_jax.train.exported_weights import SUFFIX, ExportedWeights, read_exported
from hierseg_jax.train.head_channels import HeadChannels, kept_channels
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.parsing import DEFAULT_NAME, default_names
from hierseg_jax.tree.siblings import channel_names

IMAGENET = "imagenet"


@dataclasses.dataclass(frozen=True, eq=False)
class InitialWeights:
    """Weights to start from.

    Attributes:
      variables: path in the network -> array; those that are missing start fresh.
      variant: how their backbone is to be computed.
      report: what was done with them, for the screen.
      head: what is kept of a head by the names of its channels, if anything is.
      without_statistics: whether their batch norms only add (`initial_statistics.py`).
      fresh_head: whether all is theirs but the head, or some of its channels, which is to be
        fitted (`initial_head.py`).
      of_network: whether they are of a whole network, and not of a backbone alone.
    """

    variables: dict[ModulePath, np.ndarray]
    variant: Variant
    report: str
    head: HeadChannels | None = None
    without_statistics: bool = False
    fresh_head: bool = False
    of_network: bool = False

    def completed(self, fresh: Mapping[str, Any]) -> dict[str, Any]:
        """Fresh variables with these in their places."""
        found = traverse_util.flatten_dict(fresh) | self.variables
        if self.head is not None:
            found |= self.head.of_run(found)
        return traverse_util.unflatten_dict(found)


def initial_weights(
    settings: Settings, model: SegmentationModel, hierarchy: Hierarchy
) -> InitialWeights | None:
    """The weights that settings name under `init` or `model.pretrained`; None where they don't.

    `init` is a checkpoint of the same network and the same class tree, all of which is taken;
    ImageNet's weights, which recipes name, are then not asked for.
    `model.pretrained` is `imagenet`, a file of a backbone, or a checkpoint or exported file of the
    same network for any classes; `street_photographs` is the one in the package.

    Raises:
      ValueError, OSError: one sentence for weights that can't be read or do not fit.
    """
    init, pretrained = settings.init, settings.model.pretrained
    if init and pretrained not in ("", IMAGENET):
        raise HiersegError(
            f"The config's init is {init} and its model.pretrained is {pretrained}; a "
            "run starts from one of them: leave the other empty."
        )
    if init:
        return _whole_checkpoint(init, settings, model, hierarchy)
    if not pretrained:
        return None
    if pretrained == PACKAGED or _is_exported(pretrained):
        file = packaged_network() if pretrained == PACKAGED else local_path(pretrained)
        exported = read_exported(file, settings)
        return _pretrained_network(str(file), exported, settings, model, hierarchy)
    if pretrained != IMAGENET and as_path(pretrained).is_dir():
        loaded = open_configured(pretrained, "model.pretrained")
        return _pretrained_network(str(loaded.path), loaded, settings, model, hierarchy)
    return _pretrained_backbone(pretrained, settings.model, model)


def network_begun_from(settings: Settings) -> str:
    """The trained network that all but the head is taken from, as settings name it, or empty."""
    named = settings.init or settings.model.pretrained
    whole = settings.init or named == PACKAGED or _is_exported(named)
    return named if whole or (named not in ("", IMAGENET) and as_path(named).is_dir()) else ""


def _is_exported(path: str) -> bool:
    return path.lower().endswith(SUFFIX) and not as_path(path).is_dir()


def _whole_checkpoint(
    init: str, settings: Settings, model: SegmentationModel, hierarchy: Hierarchy
) -> InitialWeights:
    if _is_exported(init):
        raise HiersegError(
            f"The config's init is {init}, an exported file; give it as "
            f"--config.model.pretrained={shlex.quote(init)}, which keeps what it knows of "
            "classes that have the same names."
        )
    loaded = open_configured(init, "init")
    if loaded.hierarchy != hierarchy:
        theirs, ours = loaded.hierarchy.class_names, hierarchy.class_names
        differ = (
            f"are {', '.join(theirs)}; {settings.data.named} has {', '.join(ours)}"
            if theirs != ours
            else f"stand in another tree than those of {settings.data.named}"
        )
        raise HiersegError(
            f"The config's init, {loaded.path}, can't start this run: its classes {differ}. "
            f"With --config.model.pretrained={shlex.quote(init)} in its place everything is taken "
            "but the head of classes with other names. (Converted weights get their tree with "
            "hierseg convert --data.)"
        )
    if loaded.settings.model.head != settings.model.head:
        raise HiersegError(
            f"The config's init, {loaded.path}, holds {_describe(loaded.settings.model)}, this run "
            f"is to train {settings.model.label} with a {settings.model.head} head. With "
            f"--config.model.pretrained={shlex.quote(init)} in its place all but the head is taken."
        )
    found = traverse_util.flatten_dict(loaded.variables)
    _check_fit("init", str(loaded.path), loaded.settings, settings, found, _wanted(model))
    report = f"Starting from the weights of {init}."
    return InitialWeights(found, loaded.settings.model.variant, report, of_network=True)


def _pretrained_network(
    source: str,
    loaded: Checkpoint | ExportedWeights,
    settings: Settings,
    model: SegmentationModel,
    hierarchy: Hierarchy,
) -> InitialWeights:
    """All of it but what depends on the classes, and that as well for those of the same names."""
    found, wanted = traverse_util.flatten_dict(loaded.variables), _wanted(model)
    theirs, ours = loaded.settings.model, settings.model
    heads = ours.network.heads

    def may_differ(variable: ModulePath) -> bool:
        return "/".join(variable[1:-1]) in heads or variable[1] == EMBEDDING

    fixed_found = {p: v for p, v in found.items() if not may_differ(p)}
    fixed_wanted = {p: v for p, v in wanted.items() if not may_differ(p)}
    _check_fit("model.pretrained", source, loaded.settings, settings, fixed_found, fixed_wanted)
    shared = {p for p in found if p in wanted and p[1] == EMBEDDING and found[p].shape == wanted[p]}
    variables = {p: v for p, v in found.items() if p in fixed_found or p in shared}
    head = None
    trees = loaded.hierarchy, hierarchy
    if theirs.head == ours.head and _meet_by_name(*trees):
        named, names = (_names_of_channels(tree, ours.head) for tree in trees)
        head = kept_channels(named, names, heads, found, wanted)
    taken = variables if head is None else {**variables, **head.arrays}
    left_out = [_module(path, taken) for path in found if path not in taken]
    report = _report(source, taken, left_out, wanted)
    if head is not None and (head.fresh or head.left_out):
        report += f"\n  classes and groups: {head.described()}"
    exported = isinstance(loaded, ExportedWeights)
    fresh = head is None or bool(head.fresh)
    return InitialWeights(variables, theirs.variant, report, head, exported, fresh, of_network=True)


def _meet_by_name(one: Hierarchy, other: Hierarchy) -> bool:
    """Whether names tell which classes are the same: not those that nobody has given."""
    if one.class_names == other.class_names:
        return True
    defaults = (default_names(tree.num_classes, tree.background) for tree in (one, other))
    return one.class_names != next(defaults) and other.class_names != next(defaults)


def _names_of_channels(tree: Hierarchy, head: str) -> tuple[str, ...]:
    """A background meets another whatever it is called."""
    names = channel_names(tree, head)
    if tree.background is None:
        return names
    own = tree.class_names[tree.background]
    return tuple(DEFAULT_NAME if name == own else name for name in names)


def _pretrained_backbone(
    pretrained: str, chosen: ModelSettings, model: SegmentationModel
) -> InitialWeights:
    """The backbone of an ImageNet network; the decoder starts fresh."""
    network = chosen.network
    backbone = network.backbone
    if backbone is None or not backbone.layouts:
        others = " or ".join(name for name, other in NETWORKS.items() if other.takes_variant)
        raise HiersegError(
            f"The config's model.pretrained is {pretrained}, but {network.name} has no backbone; "
            f"give --config.model.pretrained= for fresh weights, or train {others}."
        )
    named = backbone.choices[0] if chosen.backbone is None else chosen.backbone
    built_on = backbone.cut_from.get(named, named)
    file = local_path(pretrained)
    if pretrained != IMAGENET and not file.exists():
        kinds = (
            f"give {IMAGENET}, {PACKAGED}, a run, an .onnx file of hierseg export, or a .pt, .pth "
            "or .safetensors file of PyTorch."
        )
        raise HiersegFileNotFoundError(
            f"The config's model.pretrained is {pretrained}, and there is no such file or run; "
            + did_you_mean(pretrained, (IMAGENET, PACKAGED), kinds)
        )
    if pretrained == IMAGENET:
        if backbone.imagenet_file is None:
            raise HiersegError(
                f"The config's model.pretrained is {IMAGENET}, and no package has such weights "
                f"for {network.name}; give a file of weights."
            )
        file = backbone.imagenet_file(built_on)
    weights = read_backbone(read_torch_file(file).arrays, str(file))
    if weights.layout not in backbone.layouts:
        raise HiersegError(
            f"{file} holds {weights.layout.package}'s {weights.backbone}, a backbone that "
            f"{network.name} can't be built on."
        )
    if weights.backbone not in (built_on, named):
        raise HiersegError(
            f"{file} holds the backbone {weights.backbone}, the config's model.backbone is "
            f"{named}; give --config.model.backbone={weights.backbone}."
        )
    variant = wanted_variant(weights, str(file.absolute()), chosen.padding)
    source = f"{file} ({weights.layout.package}'s {weights.backbone})"
    wanted = flat_shapes(model)
    variables = {path: value for path, value in weights.variables.items() if path in wanted}
    beyond = [_module(path, wanted) for path in weights.variables if path not in wanted]
    unused = [name.rpartition(".")[0] or name for name in weights.unused]
    report = _report(source, variables, [*beyond, *unused], wanted)
    return InitialWeights(variables, variant, report)


def _wanted(model: SegmentationModel) -> dict[ModulePath, jax.ShapeDtypeStruct]:
    return traverse_util.flatten_dict(variable_shapes(model))


def _check_fit(
    key: str,
    source: str,
    stored: Settings,
    settings: Settings,
    found: Mapping[ModulePath, np.ndarray],
    wanted: Mapping[ModulePath, jax.ShapeDtypeStruct],
) -> None:
    both = (traverse_util.unflatten_dict(arrays) for arrays in (found, wanted))
    differ = differences(*map(described, both))
    if not differ:
        return
    theirs, ours = _describe(stored.model), _describe(settings.model)
    if theirs == ours and stored.loss != settings.loss:
        # tree_triplet's head is in one of them alone.
        theirs += f" trained on the loss {stored.loss!r}"
        ours += f" on {settings.loss!r}"
    raise HiersegError(
        f"The config's {key}, {source}, holds {theirs}, this run is to train {ours}: {differ}."
    )


def _describe(model: ModelSettings) -> str:
    decoder = f" with the decoder {model.decoder}" if model.decoder != "reference" else ""
    head = f" with a {model.head} head" if model.head != "flat" else ""
    return f"{model.label}{head}{decoder}"


def _report(
    source: str,
    loaded: Collection[ModulePath],
    left_out: Sequence[str],
    wanted: Collection[ModulePath],
) -> str:
    """By module: how many tensors were loaded, start fresh, or are in the file besides.

    `left_out` names the module of every tensor.
    """
    kinds = {
        "loaded": [path[1] for path in loaded],
        "new": [_module(path, loaded) for path in wanted if path not in loaded],
        "left out": left_out,
    }
    lines = [
        f"  {counted(len(modules), 'tensor')} {kind}: {', '.join(sorted(set(modules)))}"
        for kind, modules in kinds.items()
        if modules
    ]
    return "\n".join([f"Starting from the weights of {source}", *lines])


def _module(path: ModulePath, loaded: Iterable[ModulePath]) -> str:
    """Of a tensor; a part of one that others were loaded of is named as such."""
    whole = all(other[1] != path[1] for other in loaded)
    return path[1] if whole else "/".join(path[1:-1][:2])
