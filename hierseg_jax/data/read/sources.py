"""From the name of a data set, or of several, to its splits."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.read import png
from hierseg_jax.data.read.common_tree import DataSet, load_hierarchy, read_data_sets
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.members import FIGURES, TFDS_PREFIX, Spec, spec_text
from hierseg_jax.data.read.mixture import Mixture, Relabelled
from hierseg_jax.data.read.source import Source, read_label
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.read.tfds_source import TfdsSource
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import label_table

__all__ = [
    "FIGURES",
    "TFDS_PREFIX",
    "Source",
    "load_hierarchy",
    "open_split",
    "read_label",
    "unread_of",
]


def open_split(
    spec: Spec,
    split: str,
    image_size: int,
    figures: dict[str, Any],
    hierarchy: Hierarchy | None = None,
) -> Source:
    """A split of a data set; a `Mixture` where there are several, or one with a weight.

    All data sets must have a training split; of another those that have it.

    Args:
      spec: as in `load_hierarchy`.
      split: `train`, `val` or `test`.
      image_size: side at which `figures` are drawn.
      figures: `count` of pictures by split, `seed` and `inner_share`, read for `figures` alone.
      hierarchy: of the labels, which has a place for all classes; the data's by default.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    share = figures.get("inner_share", 0.0)
    sets = read_data_sets(spec, share)
    if hierarchy is None:
        hierarchy = load_hierarchy(spec, inner_share=share)
    if len(sets) == 1 and sets[0].member.weight == 1:
        return _open(sets[0], split, image_size, figures, hierarchy)
    having = sets if split == "train" else [of for of in sets if split in of.splits]
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
    name = data.member.name
    if data.spec is not None:
        spec = data.spec.in_tree(hierarchy)
        return FolderSource(spec.layout(split), hierarchy.num_classes, spec.values)
    source: Source
    if name == FIGURES:
        share = figures.get("inner_share", 0.0)
        count = figures["count"][split]
        source = FiguresSource(split, image_size, count, figures["seed"], share)
    else:
        source = TfdsSource(name.removeprefix(TFDS_PREFIX), split)
    same = label_table(data.hierarchy, data.names, data.hierarchy)
    table = label_table(data.hierarchy, data.names, hierarchy)
    return source if np.array_equal(table, same) else Relabelled(source, table)


def unread_of(sources: Iterable[Source]) -> list[str]:
    """Sentences about what is not read of pictures as it stands in their files.

    `png.HEADERS` files of every data set are looked at, evenly spread; drawn pictures have none.
    """
    each = (of for source in sources for of in getattr(source, "sources", (source,)))
    files = (
        map(image_file, spread_indices(len(source), png.HEADERS))
        for source in each
        if (image_file := getattr(source, "image_file", None)) is not None
    )
    return png.losses(itertools.chain.from_iterable(files))
