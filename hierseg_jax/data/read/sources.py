"""From the name of a data set, or of several, to its splits."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.read import unread
from hierseg_jax.data.read.common_tree import DataSet, load_hierarchy, read_data_sets, tree_of_first
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.members import Kind, Spec, spec_text
from hierseg_jax.data.read.mixture import Mixture, Relabelled
from hierseg_jax.data.read.own_source import OwnSource
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.read.tfds_name import parse_tfds_name
from hierseg_jax.data.read.tfds_prepared import open_prepared
from hierseg_jax.data.read.tfds_source import TfdsSource
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import label_table

__all__ = ["load_hierarchy", "open_split", "unread_of"]


def open_split(
    spec: Spec,
    split: str,
    image_size: int,
    figures: dict[str, Any],
    hierarchy: Hierarchy | None = None,
    tree_file: str = "",
) -> Source:
    """A split of a data set; a `Mixture` where there are several, or one with a weight.

    All data sets must have a training split; of another those that have it.

    Args:
      spec: as in `load_hierarchy`.
      split: `train`, `val` or `test`.
      image_size: side at which `figures` are drawn.
      figures: `count` of pictures by split, `seed` and `inner_share`, read for `figures` alone.
      hierarchy: of the labels, which has a place for all classes; the data's by default.
      tree_file: as in `read_data_sets`.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    share = figures.get("inner_share", 0.0)
    sets = read_data_sets(spec, share, tree_file)
    if hierarchy is None:
        hierarchy = tree_of_first(sets)
    if len(sets) == 1 and sets[0].member.weight == 1:
        return _open(sets[0], split, image_size, figures, hierarchy)
    having = sets if split == "train" else [of for of in sets if of.has(split)]
    if not having:
        raise HiersegError(
            f"None of the data sets {spec_text(spec)} has the split {split!r}; add `{split}: "
            "FOLDER` to the data.yaml of one."
        )
    return Mixture(
        [of.member.name for of in having],
        [_open(of, split, image_size, figures, hierarchy) for of in having],
        # Weights are of training; other splits are read once.
        [of.member.weight if split == "train" else 1.0 for of in having],
    )


def _open(
    data: DataSet, split: str, image_size: int, figures: dict[str, Any], hierarchy: Hierarchy
) -> Source:
    """A split of one data set, with labels of a tree."""
    if data.spec is None:
        return _open_figures(data, split, image_size, figures, hierarchy)
    name, spec = data.member.name, data.spec.in_tree(hierarchy)
    match data.member.kind:
        case Kind.TFDS:
            return TfdsSource(name, _tfds_split(name, split), values=spec.values)
        case Kind.OWN:
            return OwnSource(name, split, spec.values)
    return FolderSource(spec.layout(split), hierarchy.num_classes, spec.values)


def _open_figures(
    data: DataSet, split: str, image_size: int, figures: dict[str, Any], hierarchy: Hierarchy
) -> Source:
    share = figures.get("inner_share", 0.0)
    count = figures["count"][split]
    source = FiguresSource(split, image_size, count, figures["seed"], share)
    same = label_table(data.hierarchy, data.names, data.hierarchy)
    table = label_table(data.hierarchy, data.names, hierarchy)
    return source if np.array_equal(table, same) else Relabelled(source, table)


def _tfds_split(text: str, split: str) -> str:
    """What TFDS calls a split.

    Raises:
      ValueError: one sentence, where there is none.
    """
    name = parse_tfds_name(text)
    available = open_prepared(name).splits
    found = name.split_of(split, available)
    if found is None:
        example = "?train=train[:90%]&val=train[90%:]" if split == "val" else f"?{split}=SPLIT"
        raise HiersegError(
            f"{text} has no {split!r} among its splits {', '.join(available)}; say which are "
            f"read, such as tfds:{name.name}{example}."
        )
    return found


def unread_of(sources: Iterable[Source]) -> list[str]:
    """Sentences about what is not read of pictures as it stands in their files.

    `unread.HEADERS` files of every data set are looked at, evenly spread; drawn pictures have none.
    """
    each = [of for source in sources for of in getattr(source, "sources", (source,))]
    files = (
        map(image_file, spread_indices(len(source), unread.HEADERS))
        for source in each
        if (image_file := getattr(source, "image_file", None)) is not None
    )
    others = [note for source in each if (note := getattr(source, "unread", ""))]
    return others + unread.losses(itertools.chain.from_iterable(files))
