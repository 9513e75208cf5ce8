"""From a file of PyTorch weights to a checkpoint, and from a checkpoint to such a file."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import hierseg_jax
from hierseg_jax.checkpoint import checkpoint_meta, open_checkpoint, save_checkpoint
from hierseg_jax.checkpoint.digest import file_digest
from hierseg_jax.checkpoint.stored_network import (
    StoredNetwork,
    check_own_arrays,
    checkpoint_network,
)
from hierseg_jax.data.read.sources import load_hierarchy
from hierseg_jax.data.resize import place
from hierseg_jax.data.sampling import SAMPLINGS
from hierseg_jax.data.sizes import MAX_SIDE, as_size, format_size
from hierseg_jax.models import Variant, create_model, find_network
from hierseg_jax.models.upsampling import UPSAMPLINGS
from hierseg_jax.pytorch.files import TorchFile, read_torch_file, write_safetensors
from hierseg_jax.pytorch.recognise import recognise
from hierseg_jax.pytorch.weights import state_dict_from_variables, variables_from_state_dict
from hierseg_jax.settings import Settings, read_settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import as_path, local_path
from hierseg_jax.system.wording import one_line
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.tree.siblings import find_siblings


def convert_to_checkpoint(
    weights: Path | str,
    output: Path | str,
    settings: Settings,
    *,
    model: str | None = None,
    num_classes: int | None = None,
    backbone: str | None = None,
    data: str | None = None,
    image_size: int | tuple[int, int] = 320,
    resize: str | None = None,
) -> list[str]:
    """Makes a checkpoint of a file of PyTorch weights.

    Args:
      weights: as `read_torch_file` takes it, of one of the reference's networks.
      output: folder of the checkpoint; missing or empty.
      settings: of the checkpoint; those that the other arguments and the file tell of are
        replaced, and then all are checked.
      model, num_classes, backbone: what the file must hold; by default what it holds.
      data: data set with the class tree, to be evaluated on by default. Without it the
        tree is the file's own, if this project wrote it; PASCAL-Person-Part's where
        there are 7 classes; or one level of classes with numbers for names.
      image_size: side, or (height, width), in pixels that the weights were trained for.
      resize: the rule by which pictures come to it; by default that of `settings`. They are
        sampled, and logits upsampled, as the file's header says if this project wrote it, else
        as the reference does it.

    Returns:
      What was done, in sentences.

    Raises:
      ValueError, OSError: one sentence for a file that can't be used, another network or
        class count than was given, or a folder that is not empty.
    """
    weights, output = local_path(weights), as_path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise HiersegError(f"{output} exists and is not overwritten; choose another --output.")
    content = read_torch_file(weights)
    network, state_dict = recognise(content.arrays, str(weights))
    _check_network(network, weights, model, num_classes, backbone)
    built = create_model(network.name, network.num_classes, backbone=network.backbone)
    hierarchy, tree = _choose_hierarchy(network.num_classes, content, weights, data)
    # Without a background both kinds of head may have as many channels; our own header tells.
    told = content.metadata.get("hierarchical")
    of_nodes = network.num_classes == hierarchy.num_nodes
    several = network.num_classes != hierarchy.num_classes
    hierarchical = of_nodes and (told == "True" or (told is None and several))
    conditional = several and not hierarchical
    size = as_size(image_size)
    if not all(built.stride <= side <= MAX_SIDE and side % built.stride == 0 for side in size):
        raise HiersegError(
            f"--image_size is {format_size(size)}; {network.name} takes multiples of "
            f"{built.stride} up to {MAX_SIDE}."
        )
    if resize is not None:
        place((1, 1), (1, 1), resize)  # refuses a rule that is none
        settings = settings.replace({"data.resize": resize})
    settings = _told(settings, network, hierarchical, conditional).replace(
        _geometry(content, weights)
        | {"data.spec": data or "", "data.image_size": size[0] if size[0] == size[1] else size}
    )
    settings = read_settings(settings)
    try:
        variables = variables_from_state_dict(built, state_dict)
    except HiersegError as error:
        text = one_line(error)
        raise HiersegError(
            f"{weights}: {text if len(text) < 600 else f'{text[:500]} ...'}"
        ) from error
    source = {"file": weights.name, "sha256": file_digest(weights)}
    save_checkpoint(output, variables, {**checkpoint_meta(settings, hierarchy), "source": source})
    where = f" (under the key {content.key!r})" if content.key else ""
    return [
        f"{weights}{where} holds {network} with {network.num_classes} classes.",
        *_widened(state_dict),
        f"Class tree: {tree}.",
    ]


def convert_to_torch(checkpoint: Path | str, file: Path | str, which: str = "best") -> Path:
    """Writes a checkpoint's variables as safetensors with the reference's names, bit for bit.

    The projection head of `tree_triplet`, which the reference's classes have no place for,
    is left out. The header tells `model`, `backbone`, `num_classes` (channels of the head),
    `hierarchical` (whether they are nodes of the tree), `class_names` and `hierarchy`
    (both JSON), and how logits come to the image's size (`upsampling`) and images to the
    network's (`sampling`). PyTorch reads the file with
    `model.load_state_dict(safetensors.torch.load_file(file))`; the reference's classes upsample
    nearest whatever that says.

    Args:
      checkpoint: a run's workdir or a checkpoint's folder.
      file: to be written, named `*.safetensors`.
      which: of a workdir: `best`, `last`, or an epoch.

    Returns:
      The checkpoint's folder.

    Raises:
      ValueError, OSError: one sentence.
    """
    loaded = open_checkpoint(checkpoint, which)
    check_own_arrays(loaded)
    network, hierarchy = checkpoint_network(loaded), loaded.hierarchy
    variant, decoder = loaded.settings.model.variant, loaded.settings.model.decoder
    layout = find_network(network.name).state_dict
    known = not network.backbone or layout is None or network.backbone in layout.backbones
    if not known or variant != Variant() or decoder != "reference":
        raise HiersegError(
            f"{loaded.path} holds {network} with {variant} and the decoder {decoder}, which "
            "the reference's classes do not compute; export it with hierseg export instead."
        )
    model = create_model(network.name, network.num_classes, backbone=network.backbone)
    variables = without_embedding(loaded.variables)
    metadata = {
        "format": "pt",
        "hierseg_jax": hierseg_jax.__version__,
        "model": network.name,
        "num_classes": str(network.num_classes),
        "hierarchical": str(loaded.settings.model.hierarchical),
        "upsampling": loaded.settings.model.upsampling,
        "sampling": loaded.settings.data.sampling,
        "class_names": json.dumps(hierarchy.class_names),
        "hierarchy": json.dumps(hierarchy.to_json()),
    }
    if network.backbone:
        metadata["backbone"] = network.backbone
    write_safetensors(file, state_dict_from_variables(model, variables), metadata)
    return loaded.path


def _check_network(
    network: StoredNetwork,
    weights: Path,
    model: str | None,
    num_classes: int | None,
    backbone: str | None,
) -> None:
    if model is not None and model != network.name:
        raise HiersegError(
            f"{weights} holds the weights of {network.name}, not of {model}; give "
            f"--model={network.name}."
        )
    if num_classes is not None and num_classes != network.num_classes:
        raise HiersegError(
            f"{weights} has {network.num_classes} classes (background included), not "
            f"{num_classes}; give --num_classes={network.num_classes}."
        )
    described = find_network(network.name)
    layout = described.state_dict
    if layout and layout.backbones and network.backbone is None:
        raise HiersegError(
            f"{weights} holds an {described.architecture.__name__} whose stages are those of none "
            f"of the backbones {', '.join(layout.backbones)}."
        )
    if backbone is not None and backbone != network.backbone:
        has = f"the backbone {network.backbone}" if network.backbone else "no backbone to choose"
        raise HiersegError(
            f"{weights} holds {network.name} with {has}, not {backbone}; leave --backbone out."
        )


def _choose_hierarchy(
    num_classes: int, content: TorchFile, weights: Path, data: str | None
) -> tuple[Hierarchy, str]:
    """The class tree, and where it comes from in words."""
    if data:
        hierarchy, source = load_hierarchy(data), f"that of {data}"
    elif "hierarchy" in content.metadata:
        try:
            hierarchy = Hierarchy.from_json(json.loads(content.metadata["hierarchy"]))
        except (ValueError, TypeError, RecursionError) as error:
            reason = one_line(error, 300)
            raise HiersegError(
                f"{weights} has a class tree in its header that can't be read ({reason}); give "
                "one with --data=data.yaml."
            ) from error
        source = "that in the file's header"
    elif num_classes == PASCAL_PERSON_PART.num_classes:
        hierarchy = PASCAL_PERSON_PART
        source = "PASCAL-Person-Part's, as there are 7 classes; give another with --data=data.yaml"
    else:
        hierarchy = Hierarchy.from_mapping(list(range(1, num_classes)))
        source = (
            "none is known, so the classes are class_1, class_2, ... in one level; give a tree "
            "with --data=data.yaml"
        )
    siblings = find_siblings(hierarchy).num_nodes
    if num_classes not in (hierarchy.num_classes, hierarchy.num_nodes, siblings):
        raise HiersegError(
            f"{weights} has {num_classes} classes (background included); the class tree of "
            f"{data or 'its header'} has {hierarchy.num_classes} (or, for a hierarchical head, "
            f"{hierarchy.num_nodes} nodes, for a conditional one {siblings})."
        )
    return hierarchy, source


def _told(
    settings: Settings, network: StoredNetwork, hierarchical: bool, conditional: bool
) -> Settings:
    """With what a file tells of its network."""
    model: dict[str, Any] = {"name": network.name}
    model |= {"hierarchical": hierarchical, "sibling_softmax": conditional}
    model |= {"pretrained": "", **dataclasses.asdict(Variant())}
    if network.backbone:
        model["backbone"] = network.backbone
    return settings.replace({f"model.{name}": value for name, value in model.items()})


def _geometry(content: TorchFile, weights: Path) -> dict[str, str]:
    """How its network came to be trained: as its header tells, else as the reference does it."""
    settings = {}
    for key, name, known, default in (
        ("sampling", "data.sampling", SAMPLINGS, "reference"),
        ("upsampling", "model.upsampling", UPSAMPLINGS, "nearest"),
    ):
        settings[name] = content.metadata.get(key, default)
        if settings[name] not in known:
            raise HiersegError(
                f"{weights} has the {key} {settings[name][:50]!r} in its header; this version "
                f"knows {', '.join(known)}. Update hierseg_jax."
            )
    return settings


def _widened(state_dict: Mapping[str, np.ndarray]) -> list[str]:
    """A sentence for every floating dtype that is not float32."""
    counts: dict[str, int] = {}
    for value in state_dict.values():
        if jnp.issubdtype(value.dtype, jnp.floating) and value.dtype != np.float32:
            counts[value.dtype.name] = counts.get(value.dtype.name, 0) + 1
    return [
        f"Of the tensors, {count} were {dtype} and are float32 now"
        + (", rounded." if dtype == "float64" else ", their values the same.")
        for dtype, count in counts.items()
    ]


def without_embedding(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Variables without the projection head, which only training needs."""
    return {
        collection: {name: value for name, value in tree.items() if name != "embedding"}
        for collection, tree in variables.items()
    }
