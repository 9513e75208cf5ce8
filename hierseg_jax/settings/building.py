"""What settings describe, built: network, loss, data."""

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from hierseg_jax.data.read.common_tree import colors_of, meet, pairs_of, read_data_sets
from hierseg_jax.data.read.dataset_spec import SPLITS
from hierseg_jax.data.read.members import Spec, locations, names_code, spec_text
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.picture_folder import PictureFolder, check_apart
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.sources import load_hierarchy, open_split
from hierseg_jax.losses import Counters, LossOptions, TotalLoss, build_loss
from hierseg_jax.models import SegmentationModel, create_model
from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.error_bins import error_bins
from hierseg_jax.models.kernels.soft_counts import label_counts, soft_counts
from hierseg_jax.settings.data_section import DataSettings
from hierseg_jax.settings.model_section import ModelSettings
from hierseg_jax.settings.settings import Settings
from hierseg_jax.system.choices import check_choice
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
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
        matmul_precision=model.matmul_precision,
        axis_name=axis_name,
        conv_impl=model.conv_impl,
        embedding_size=embedding_size,
        stochastic_depth=model.stochastic_depth,
        upsampling=model.upsampling,
        decoder=model.decoder,
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
        gamma=given.gamma,
        every_level=given.every_level,
        level_weights=given.level_weights,
        triplets=given.triplets,
        beta=given.beta,
        **of_training,
    )
    return build_loss(
        settings.loss,
        hierarchy,
        hierarchical=settings.model.hierarchical,
        options=options,
        counters=None if settings.model.conv_impl == "xla" else counters_of_cpu(),
    )


def counters_of_cpu() -> Counters | None:
    """The kernels that count for losses, where JAX computes on a CPU that has them."""
    return Counters(label_counts, soft_counts, error_bins) if library.usable() else None


def tree_of(data: DataSettings) -> Hierarchy:
    """The class tree of the data of some settings.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    return load_hierarchy(data.spec, data.hierarchy, data.figures_inner_share)


def open_source(
    data: DataSettings,
    seed: int,
    split: str,
    spec: Spec | None = None,
    hierarchy: Hierarchy | None = None,
) -> Source:
    """A split of the data of some settings, or of `spec` in their place.

    Args:
      seed: of the pictures of `figures`.
      split: `train`, `val` or `test`.
      hierarchy: of the labels, as `tree_of` or `check_tree_of_data` gives it; by default that of
        the settings' data, or of `spec`.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    check_choice("split", split, SPLITS)
    if hierarchy is None and not spec:
        hierarchy = tree_of(data)
    figures = {
        "count": {split: data.figures(split)},
        "seed": seed,
        "inner_share": data.figures_inner_share,
    }
    source = open_split(
        spec or data.spec, split, max(data.size), figures, hierarchy, tree_file=data.hierarchy
    )
    if data.on_error != "skip":
        return source

    def skipping(source: Source) -> Source:
        return SkippingSource(source, replace=split == "train")

    return source.each(skipping) if isinstance(source, Mixture) else skipping(source)


def with_folders(
    source: Source, data: DataSettings, background: int | None, others: Sequence[Source] = ()
) -> Source:
    """A training split, and behind it the pictures without masks that settings name.

    Args:
      source: the split.
      data: names folders of pictures that show none of the classes, and of unlabelled ones.
      background: `Hierarchy.background`.
      others: splits of the data, whose files can't be in the folders either.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    if data.negatives and background is None:
        raise HiersegError(
            f"The config's data.negatives is {data.negatives}, whose pictures are all background, "
            f"and the classes of {data.named} have none (`background` in docs/data.md); leave it "
            "empty."
        )
    labels = {"negatives": background, "unlabelled": IGNORE_LABEL}
    folders = {
        key: PictureFolder(folder, label, key)
        for key, label in labels.items()
        if (folder := getattr(data, key)) and label is not None
    }
    if not folders:
        return source
    check_apart(folders, (source, *others))
    if isinstance(source, Mixture):
        names, sources = [part.name for part in source.parts], list(source.sources)
        weights = [draws / max(1, len(of)) for draws, of in zip(source.draws, sources, strict=True)]
    else:
        names, sources, weights = [data.named], [source], [1.0]
    for key, pictures in folders.items():
        names.append(f"data.{key}, {getattr(data, key)}")
        skips = data.on_error == "skip"
        sources.append(SkippingSource(pictures, replace=True) if skips else pictures)
        weights.append(1.0)
    return Mixture(names, sources, weights)


def spec_of_checkpoint(data: DataSettings, checkpoint: str) -> Spec:
    """What a checkpoint was trained on, empty where it does not say.

    A function (`module:function`) is called where a person names it, never because a file does:
    a checkpoint may be a stranger's.

    Args:
      data: the settings of its run.
      checkpoint: for the message.

    Raises:
      ValueError: one sentence, where that is a function.
    """
    if names_code(data.spec):
        raise HiersegError(
            f"{checkpoint} was trained on {data.named}, which is code, and is not run because a "
            f"file names it. Where it is yours, give --data={shlex.quote(data.named)}."
        )
    if not data.spec:
        raise HiersegError(f"{checkpoint} names no data set; give one with --data.")
    return data.spec


def check_tree_of_data(
    hierarchy: Hierarchy, data: DataSettings, spec: Spec, checkpoint: str
) -> Hierarchy:
    """Refuses data without a place in a checkpoint's tree, or with another tree of its classes.

    A single data set with the checkpoint's classes must have its tree, unless the run had one of
    its own. Others may be coarser, or several: they meet by name.

    Args:
      hierarchy: of the checkpoint.
      data: the settings of its run.
      spec: the data.
      checkpoint: for the message.

    Returns:
      The checkpoint's tree with the pairs of the data, for left and right are theirs; with its
      own where the data name none, or where a `data.hierarchy` set them over these very data.
      Whether groups are labelled is the data's, too, and so are the colours that they name.

    Raises:
      ValueError: one sentence.
    """
    try:
        sets = read_data_sets(spec, data.figures_inner_share, data.hierarchy)
    except FileNotFoundError as error:
        if spec != data.spec:
            raise
        raise HiersegFileNotFoundError(
            f"{error} {checkpoint} was trained on it; say where it is now with --data."
        ) from error
    own_tree = bool(data.hierarchy)
    try:
        found = meet(sets, hierarchy, "the checkpoint", whole=not own_tree)
        first = sets[0].hierarchy
        same_classes = len(sets) == 1 and first.class_names == hierarchy.class_names
        if same_classes and first != hierarchy and not own_tree:
            raise HiersegError("its classes stand in other groups or in another order.")
    except HiersegError as error:
        raise HiersegError(
            f"{checkpoint} was trained on the classes {', '.join(hierarchy.class_names)}; "
            f"{spec_text(spec)} has another class tree: {error}"
        ) from error
    pairs = (pairs_of(sets, hierarchy), hierarchy.pairs)
    if own_tree and locations(spec) == locations(data.spec):
        pairs = pairs[::-1]
    of_data = colors_of(sets, dataclasses.replace(hierarchy, colors=()))
    colors = tuple((dict(hierarchy.colors) | dict(of_data)).items())
    return dataclasses.replace(found, pairs=pairs[0] or pairs[1], colors=colors)
