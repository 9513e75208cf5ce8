"""Pictures of a split as people look at them: of their own shape and size, labels too."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.read.sources import Source
from hierseg_jax.data.resize import Resize, bounded
from hierseg_jax.tree.hierarchy import Hierarchy

LONGEST = 512
"""Pixels of a shown picture's longer side; larger pictures are shrunk to it."""

Samples = Mapping[str, Sequence[np.ndarray]]
"""By the names of `ShownPicture`, a list each."""


class ShownPicture(NamedTuple):
    """A picture at its own size, or shrunk to `LONGEST`.

    Attributes:
      image: uint8 RGB [H, W, 3].
      label, prediction: uint8 [H, W], leaf classes; IGNORE_LABEL where there is none.
    """

    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Gallery:
    """Looks at single pictures of a split again, so that none is kept in an evaluation.

    Attributes:
      source: of the split.
      scores: compiled, from `make_scores`.
      hierarchy: of the classes.
      decoding: how they follow from scores, of `decoding.DECODINGS`.
      size: (height, width) of the network's input.
      resize: how pictures come to it.
    """

    source: Source
    scores: Callable[[Any, np.ndarray], jax.Array]
    hierarchy: Hierarchy
    decoding: str
    size: tuple[int, int]
    resize: Resize

    def show(self, variables: Any, index: int) -> ShownPicture:
        """A picture of the split.

        Args:
          variables: of the network, on one device.
          index: in the split, from 0.

        Raises:
          ValueError, OSError: it can't be read.
        """
        return self._shown(variables, self.source[index])

    def samples(self, variables: Any, count: int, first: int = 0, stride: int = 1) -> Samples:
        """The first readable pictures of `first`, `first + stride`, ..., `count` at most."""
        examples = (self.source[i] for i in range(first, len(self.source), stride))
        readable = (example for example in examples if example.get("valid", True))
        shown = [self._shown(variables, e) for e in itertools.islice(readable, count)]
        return (
            dict(zip(ShownPicture._fields, zip(*shown, strict=True), strict=True)) if shown else {}
        )

    def _shown(self, variables: Any, example: Mapping[str, np.ndarray]) -> ShownPicture:
        image_hwc, label_hw = example["image"], example["label"]
        placement = self.resize.place(label_hw.shape, self.size)
        scores_bchw = self.scores(variables, placement.fit_image(image_hwc)[None])
        planes_chw = log_planes(np.asarray(scores_bchw)[0])
        size = bounded(label_hw.shape, LONGEST)
        smaller = Resize().place(label_hw.shape, size)
        return ShownPicture(
            smaller.fit_image(image_hwc),
            smaller.fit_labels(label_hw),
            picture_labels(planes_chw, placement.of_size(size), self.hierarchy, self.decoding),
        )
