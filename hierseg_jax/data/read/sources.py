"""From the name of a data set to its class tree and its splits."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.read import png
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.spec import load_spec, read_tree_file
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.read.tfds_source import TfdsSource
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy

FIGURES = "figures"
TFDS_PREFIX = "tfds:"


class Source(Protocol):
    """Random access to examples."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """`image`: uint8 RGB [H, W, 3], `label`: uint8 [H, W], in their own size."""
        ...

    def inventory(self) -> Iterable[Entry]:
        """What it reads, by names that don't tell where the data lie, in the examples' order."""
        ...


def load_hierarchy(spec: str, tree_file: str = "") -> Hierarchy:
    """The class tree of a data set.

    Args:
      spec: the path of a data.yaml, `figures`, or `tfds:NAME`.
      tree_file: a YAML file with another tree over the same classes; empty for the data's.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    if not spec:
        raise HiersegError(
            "No data set is given: set data.spec to the path of a data.yaml, to 'figures' or to "
            "'tfds:pascal_person_part'."
        )
    own = spec == FIGURES or spec.startswith(TFDS_PREFIX)
    hierarchy = PASCAL_PERSON_PART if own else load_spec(spec).hierarchy
    if not tree_file:
        return hierarchy
    other = read_tree_file(tree_file, hierarchy.class_names)
    if other.class_names != hierarchy.class_names:
        raise HiersegError(
            f"{tree_file} is a tree over the classes {', '.join(other.class_names)}; {spec} has "
            f"{', '.join(hierarchy.class_names)}, in this order."
        )
    # Left and right are the data's, whatever stands above them.
    return other if other.pairs else dataclasses.replace(other, pairs=hierarchy.pairs)


def open_split(spec: str, split: str, image_size: int, figures: dict[str, Any]) -> Source:
    """A split of a data set.

    Args:
      spec: as in `load_hierarchy`.
      split: `train`, `val` or `test`.
      image_size: side at which `figures` are drawn.
      figures: `count` of pictures by split and `seed`, read for `figures` alone.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    if spec == FIGURES:
        return FiguresSource(split, image_size, figures["count"][split], figures["seed"])
    if spec.startswith(TFDS_PREFIX):
        return TfdsSource(spec.removeprefix(TFDS_PREFIX), split)
    data = load_spec(spec)
    return FolderSource(data.image_dir(split), data.hierarchy.num_classes)


def read_label(source: Source, index: int) -> np.ndarray:
    """The label of an example alone, uint8 [H, W]; without its image, where that takes time."""
    read = getattr(source, "label", None)
    return source[index]["label"] if read is None else read(index)


def unread_of(sources: Iterable[Source]) -> list[str]:
    """Sentences about what is not read of pictures as it stands in their files.

    `png.HEADERS` files of every source are looked at, evenly spread; drawn pictures have none.
    """
    files = (
        map(image_file, spread_indices(len(source), png.HEADERS))
        for source in sources
        if (image_file := getattr(source, "image_file", None)) is not None
    )
    return png.losses(itertools.chain.from_iterable(files))
