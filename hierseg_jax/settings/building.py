"""What a config describes, built: network, loss, decoding, data."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.sources import load_hierarchy, open_split
from hierseg_jax.devices.parallel import Parallel
from hierseg_jax.losses import LossOptions, TotalLoss, build_loss
from hierseg_jax.models import create_model, find_network
from hierseg_jax.settings.config import config_variant, network_size
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.decoding import choose_decoding
from hierseg_jax.tree.hierarchy import Hierarchy


def build_model(
    config: Mapping[str, Any], hierarchy: Hierarchy, parallel: Parallel, embedding_size: int = 0
) -> Any:
    """The network that a config describes, for these devices."""
    model = config["model"]
    return create_model(
        model["name"],
        hierarchy.num_nodes if model["hierarchical"] else hierarchy.num_classes,
        backbone=find_network(model["name"]).own_backbone(model["backbone"]),
        variant=config_variant(config),
        dropout=model["dropout"],
        dtype=model["dtype"],
        axis_name=parallel.axis_name,
        conv_impl=model["conv_impl"],
        embedding_size=embedding_size,
        stochastic_depth=model["stochastic_depth"],
    )


def build_config_loss(
    config: Mapping[str, Any],
    hierarchy: Hierarchy,
    *,
    training: bool = False,
    class_weights: Sequence[Sequence[float]] = (),
) -> TotalLoss:
    """The loss that a config describes, for a class tree.

    Args:
      config: of the run.
      hierarchy: of its classes.
      training: whether smoothed labels, hard pixels and class weights belong to it. They
        help to learn; what is evaluated is the plain loss, whatever helped.
      class_weights: by level, coarse to fine.
    """
    given = config["loss_options"]
    options = LossOptions(given["gamma"], tuple(given["level_weights"]), given["triplets"])
    if training:
        options = dataclasses.replace(
            options,
            label_smoothing=given["label_smoothing"],
            hard_share=given["hard_share"],
            class_weights=tuple(tuple(weights) for weights in class_weights),
        )
    return build_loss(
        config["loss"], hierarchy, hierarchical=config["model"]["hierarchical"], options=options
    )


def config_decoding(config: Mapping[str, Any], decode: str | None = None) -> str:
    """The decoding rule that a config (or `decode`, in its place) names."""
    return choose_decoding(decode or config["decode"], config["model"]["hierarchical"])


def open_config_split(config: Mapping[str, Any], split: str, spec: str | None = None) -> Any:
    """A split of the data set that a config (or `spec`, in its place) names."""
    data = config["data"]
    counts = {name: data[f"figures_{name}"] for name in ("train", "val", "test")}
    figures = {"count": counts, "seed": config["seed"]}
    source = open_split(spec or data["spec"], split, max(network_size(config)), figures)
    skip = data["on_error"] == "skip"
    return SkippingSource(source, replace=split == "train") if skip else source


def check_tree_of_data(
    hierarchy: Hierarchy, config: Mapping[str, Any], spec: str, checkpoint: str
) -> Hierarchy:
    """Refuses data of other classes, or of another tree unless the run had one of its own.

    Args:
      hierarchy: of the checkpoint.
      config: of the checkpoint.
      spec: the data.
      checkpoint: for the message.

    Returns:
      The checkpoint's tree with the pairs of the data, for left and right are theirs; with its
      own where the data name none, or where a `data.hierarchy` set them over these very data.

    Raises:
      ValueError: one sentence.
    """
    found = load_hierarchy(spec)
    own_tree = bool(config["data"]["hierarchy"])
    if found.class_names != hierarchy.class_names or (found != hierarchy and not own_tree):
        raise HiersegError(
            f"{checkpoint} was trained on the classes {', '.join(hierarchy.class_names)}; {spec} "
            "has another class tree."
        )
    pairs = (found.pairs, hierarchy.pairs)
    if own_tree and spec == config["data"]["spec"]:
        pairs = pairs[::-1]
    return dataclasses.replace(hierarchy, pairs=pairs[0] or pairs[1])
