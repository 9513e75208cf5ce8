"""The networks: what they compute, what describes them, and the table of them by name.

A network is a folder with the same files: `architecture.py` (the Flax module), `graph.py`
(its graph for export), `state_dict.py` (its names in PyTorch), and the description of it all,
a `Network`, in `__init__.py`. What networks share lies beside the folders.

May import: tree (siblings), system.
"""

from typing import Any

import jax.numpy as jnp

from hierseg_jax.models.efficient_unet import EFFUNET
from hierseg_jax.models.esnet import ESNET, ESNET_MINI, ESNET_SMALL
from hierseg_jax.models.initialize import init_variables
from hierseg_jax.models.layers import CONV_IMPLS, MATMUL_PRECISIONS
from hierseg_jax.models.network import Network
from hierseg_jax.models.segmentation_model import (
    Forward,
    SegmentationModel,
    forward_of,
    grid_forward_of,
    precision_of,
)
from hierseg_jax.models.summary import format_summary, summarize
from hierseg_jax.models.upsampling import UPSAMPLINGS
from hierseg_jax.models.variant import Variant
from hierseg_jax.system.choices import check_choice
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.number_kinds import is_whole
from hierseg_jax.tree.siblings import Siblings

DECODERS = ("reference", "fine")
NETWORKS = {network.name: network for network in (EFFUNET, ESNET, ESNET_SMALL, ESNET_MINI)}

__all__ = [
    "DECODERS",
    "MATMUL_PRECISIONS",
    "NETWORKS",
    "UPSAMPLINGS",
    "Forward",
    "Network",
    "SegmentationModel",
    "Variant",
    "backbone_choices",
    "create_model",
    "find_network",
    "format_summary",
    "forward_of",
    "grid_forward_of",
    "init_variables",
    "network_of",
    "precision_of",
    "summarize",
]


def find_network(name: str) -> Network:
    """The description of a network.

    Raises:
      ValueError: for an unknown name.
    """
    check_choice("model", name, NETWORKS)
    return NETWORKS[name]


def backbone_choices() -> str:
    """As `effunet: b0, b1`, of the networks with several backbones, for help texts."""
    networks = [network for network in NETWORKS.values() if network.backbones]
    return "; ".join(f"{network.name}: {', '.join(network.backbones)}" for network in networks)


def network_of(model: SegmentationModel) -> Network:
    """The description of a network that was built by it.

    Raises:
      LookupError: for a network that is not in the table.
    """
    for network in NETWORKS.values():
        if type(model) is network.architecture and all(
            getattr(model, field) == value for field, value in network.fields.items()
        ):
            return network
    raise LookupError(f"No network of NETWORKS is a {model.title}.")


def create_model(
    name: str,
    num_classes: int,
    *,
    backbone: str | None = None,
    dropout: bool = True,
    dtype: Any = jnp.float32,
    matmul_precision: str = "default",
    axis_name: str | None = None,
    conv_impl: str = "auto",
    embedding_size: int = 0,
    stochastic_depth: float = 0.0,
    upsampling: str = "nearest",
    variant: Variant | None = None,
    conditional_head: Siblings | None = None,
    decoder: str = "reference",
) -> SegmentationModel:
    """A network that maps images to per-pixel logits.

    `init_variables(model, key)` gives its variables and
    `model.apply(variables, image_bhwc, train=...)` its logits.

    Args:
      name: of `NETWORKS`: `effunet` (sides in multiples of 32) or `esnet` and its smaller
        `esnet_small` and `esnet_mini` (of 8).
      num_classes: channels of the head, at least 2: the leaf classes, or
        the nodes of a hierarchical or conditional one.
      backbone: of a network with several, such as `b0`..`b7`, `lite0`..`lite4` or `lite0_short` of
        `effunet`;
        by default the first.
      dropout: whether training drops channels.
      dtype: of the computation: float32, bfloat16, or float64 (with
        `jax_enable_x64`). Parameters, statistics and logits are float32 at least.
      matmul_precision: of `layers.MATMUL_PRECISIONS`, of products of float32 on devices that
        have faster ones: `default` is TF32 on GPUs and bfloat16 on TPUs, `highest` is float32.
      axis_name: mapped axis (of `jax.pmap`) over which batch statistics are shared.
      conv_impl: `xla`, `tuned` (faster on a CPU) or `auto`: `tuned` but on a TPU;
        same parameters, same results up to rounding.
      embedding_size: of the pixel embeddings that training leaves in the collection
        `intermediates` (see `EmbeddingHead`); 0 for none.
      stochastic_depth: rate, in [0, 1), that dropping whole residual branches of the backbone
        rises to with their depth, in place of channels; 0 for none.
      upsampling: of `upsampling.UPSAMPLINGS`: how logits come to the image's size, of networks
        that compute them for fewer pixels.
      variant: what the backbone's weights want to be computed with, of networks that take
        weights from elsewhere; by default what the reference does.
      conditional_head: its families of nodes, whose number is then `num_classes`; the network
        gives log-probabilities of the leaf classes (`conditional.py`).
      decoder: of `DECODERS`: `fine` has a skip connection of stride 2 and interpolates between
        its blocks, of networks that have a choice.

    Raises:
      ValueError: for an unknown name, backbone, dtype, conv_impl or rate, too few classes, or
        what this network has not.
    """
    network = find_network(name)
    if not is_whole(num_classes) or num_classes < 2:
        raise HiersegError(
            f"A model needs a whole number of classes, at least 2; got {num_classes!r}."
        )
    num_classes = int(num_classes)  # of NumPy, perhaps
    allowed = ("float32", "bfloat16", "float64")
    try:
        dtype_name = jnp.dtype(dtype).name
    except TypeError:
        dtype_name = repr(dtype)
    if dtype_name not in allowed:
        raise HiersegError(f"A model computes in {', '.join(allowed)}; got {dtype_name}.")
    check_choice("conv_impl", conv_impl, CONV_IMPLS)
    check_choice("matmul_precision", matmul_precision, MATMUL_PRECISIONS)
    check_choice("upsampling", upsampling, UPSAMPLINGS)
    check_choice("decoder", decoder, DECODERS)
    if not 0 <= stochastic_depth < 1:
        raise HiersegError(
            f"The rate of stochastic_depth is {stochastic_depth}; it must be 0 or more, below 1."
        )
    if not is_whole(embedding_size) or embedding_size < 0:
        raise HiersegError(
            f"embedding_size is {embedding_size!r}; it is a whole number, 0 for none."
        )
    if conditional_head is not None:
        if not isinstance(conditional_head, Siblings):
            raise HiersegError(
                "conditional_head takes the families of a tree; find_siblings(hierarchy) gives "
                f"them, got {type(conditional_head).__name__}."
            )
        if conditional_head.num_nodes != num_classes:
            raise HiersegError(
                f"A conditional head has a channel for each of its {conditional_head.num_nodes} "
                f"nodes, which num_classes is to be; got {num_classes}."
            )
    return network.build(
        num_classes,
        backbone,
        variant,
        dropout=dropout,
        dtype=jnp.dtype(dtype),
        matmul_precision=matmul_precision,
        axis_name=axis_name,
        conv_impl=conv_impl,
        embedding_size=embedding_size,
        stochastic_depth=stochastic_depth,
        upsampling=upsampling,
        conditional_head=conditional_head,
        fine_decoder=decoder == "fine",
    )
