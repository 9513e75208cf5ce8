"""Pretrained backbones, as the packages that their weights come from name them.

Works on mappings of NumPy arrays; no PyTorch is needed. Of a network for classification the
backbone is taken; what is behind it is left.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from hierseg_jax.models import NETWORKS, Network, Variant, create_model
from hierseg_jax.models.network import BackboneLayout, ModulePath
from hierseg_jax.pytorch.recognise import find_prefix
from hierseg_jax.pytorch.weights import arrays_by_path, flat_shapes, leaf_names
from hierseg_jax.system.errors import HiersegError


@dataclasses.dataclass(frozen=True, eq=False)
class BackboneWeights:
    """The backbone found in a state_dict.

    Attributes:
      layout: that its names follow.
      backbone: of the choices of a network that has this layout.
      variables: path in the network -> float32 array in Flax's layout.
      unused: names of all other tensors.
    """

    layout: BackboneLayout
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
      ValueError: one sentence for another layout, a backbone that is none of ours, or
        tensors that are missing or no floating numbers.
    """
    network, layout, prefix = _recognise(arrays, file)
    inside = (key for key in arrays if key.startswith(prefix))
    state_dict = {key.removeprefix(prefix): arrays[key] for key in inside}
    backbone = layout.recognise(state_dict)
    if backbone is None:
        raise HiersegError(
            f"{file} names its tensors as {layout.package} does, but they are of none of the "
            f"backbones {', '.join(network.backbones)}."
        )
    shapes = flat_shapes(create_model(network.name, 2, backbone=backbone))
    names = leaf_names(layout.modules(backbone), shapes)
    shapes = {path: shapes[path] for path in names}
    variables, faults = arrays_by_path(shapes, names, state_dict)
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise HiersegError(
            f"{file} holds {layout.package}'s {backbone}, but not whole: "
            f"{'; '.join(faults[:3])}{more}."
        )
    taken = {prefix + name for name in names.values()}
    unused = (n for n in arrays if n not in taken and not n.endswith("num_batches_tracked"))
    return BackboneWeights(layout, backbone, variables, tuple(unused))


def wanted_variant(weights: BackboneWeights, file: str, padding: str = "auto") -> Variant:
    """How the package that weights come from computes with them.

    Args:
      weights: from `read_backbone`.
      file: path that they come from.
      padding: `same`, `symmetric` or `auto`, which tells apart what is named alike.

    Raises:
      ValueError: one sentence, where neither the file's path nor `padding` tells.
    """
    return weights.layout.variant(weights.backbone, file, padding)


def _recognise(arrays: Mapping[str, np.ndarray], file: str) -> tuple[Network, BackboneLayout, str]:
    """A network, the layout of its backbone, and what stands before its names."""
    titles, known = [], []
    for network in NETWORKS.values():
        backbone = network.backbone
        if backbone is None:
            continue
        for layout in backbone.layouts:
            prefix = find_prefix(arrays, layout.first_layer)
            if prefix is not None:
                return network, layout, prefix
            titles.append(f"{backbone.title}s")
            known.append(f"{layout.package}'s ({layout.first_layer})")
    whole = (network.state_dict for network in NETWORKS.values() if network.state_dict)
    if any(find_prefix(arrays, layout.first_layer) is not None for layout in whole):
        raise HiersegError(
            f"{file} holds a whole network in the reference's layout; make a checkpoint of it with "
            "hierseg convert and give that."
        )
    readable = " and ".join(dict.fromkeys(titles))
    raise HiersegError(
        f"{file} holds {len(arrays)} tensors in another layout than the {readable} that can be "
        f"read, {', '.join(known)}; it begins with "
        f"{', '.join(list(arrays)[:3])[:200] or 'nothing'}."
    )
