"""What settings describe, built: network, loss, data."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.sources import Source, load_hierarchy, open_split
from hierseg_jax.losses import LossOptions, TotalLoss, build_loss
from hierseg_jax.models import SegmentationModel, create_model
from hierseg_jax.settings.sections import DataSettings, ModelSettings
from hierseg_jax.settings.settings import Settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.siblings import find_siblings


def build_model(
    model: ModelSettings,
    hierarchy: Hierarchy,
    *,
    axis_name: str | None = None,
    embedding_size: int = 0,
) -> SegmentationModel:
    """The network of settings that leave nothing of it to the weights, as `create_model`."""
    return create_model(
        model.name,
        model.head_channels(hierarchy),
        backbone=model.chosen_backbone,
        variant=model.variant,
        dropout=model.dropout,
        dtype=model.dtype,
        axis_name=axis_name,
        conv_impl=model.conv_impl,
        embedding_size=embedding_size,
        stochastic_depth=model.stochastic_depth,
        upsampling=model.upsampling,
        conditional_head=find_siblings(hierarchy) if model.sibling_softmax else None,
    )


def validation_loss(settings: Settings, hierarchy: Hierarchy) -> TotalLoss:
    """The plain loss, whatever helps in training."""
    return _build_loss(settings, hierarchy)


def training_loss(
    settings: Settings, hierarchy: Hierarchy, class_weights: Sequence[Sequence[float]]
) -> TotalLoss:
    """The loss with smoothed labels, hard pixels and class weights (by level, coarse to fine)."""
    return _build_loss(
        settings,
        hierarchy,
        label_smoothing=settings.loss_options.label_smoothing,
        hard_share=settings.loss_options.hard_share,
        class_weights=tuple(tuple(weights) for weights in class_weights),
    )


def _build_loss(settings: Settings, hierarchy: Hierarchy, **of_training: Any) -> TotalLoss:
    given = settings.loss_options
    options = LossOptions(
        given.gamma, given.level_weights, given.triplets, given.beta, **of_training
    )
    return build_loss(
        settings.loss, hierarchy, hierarchical=settings.model.hierarchical, options=options
    )


def open_source(data: DataSettings, seed: int, split: str, spec: str | None = None) -> Source:
    """A split of the data set of some settings, or of `spec` in its place.

    Args:
      seed: of the pictures of `figures`.
      split: `train`, `val` or `test`.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    figures = {"count": {split: data.figures(split)}, "seed": seed}
    source = open_split(spec or data.spec, split, max(data.size), figures)
    return SkippingSource(source, replace=split == "train") if data.on_error == "skip" else source


def check_tree_of_data(
    hierarchy: Hierarchy, data: DataSettings, spec: str, checkpoint: str
) -> Hierarchy:
    """Refuses data of other classes, or of another tree unless the run had one of its own.

    Args:
      hierarchy: of the checkpoint.
      data: the settings of its run.
      spec: the data.
      checkpoint: for the message.

    Returns:
      The checkpoint's tree with the pairs of the data, for left and right are theirs; with its
      own where the data name none, or where a `data.hierarchy` set them over these very data.
      Whether groups are labelled is the data's, too.

    Raises:
      ValueError: one sentence.
    """
    found = load_hierarchy(spec)
    own_tree = bool(data.hierarchy)
    if found.class_names != hierarchy.class_names or (found != hierarchy and not own_tree):
        raise HiersegError(
            f"{checkpoint} was trained on the classes {', '.join(hierarchy.class_names)}; {spec} "
            "has another class tree."
        )
    pairs = (found.pairs, hierarchy.pairs)
    if own_tree and spec == data.spec:
        pairs = pairs[::-1]
    return dataclasses.replace(
        hierarchy, pairs=pairs[0] or pairs[1], inner_labels=found.inner_labels
    )
