"""Pictures of a split as people look at them: of their own shape and size, labels too."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sizes import bounded
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

LONGEST = 512
"""Pixels of a shown picture's longer side; larger pictures are shrunk to it."""

LEAST_KEPT = 0.5
"""Share of what the scores themselves paint that has to be left for borders to follow edges."""

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

    @classmethod
    def bounded(
        cls, example: Mapping[str, np.ndarray], prediction_hw: np.ndarray
    ) -> "ShownPicture":
        """Of a picture, its labels and leaf classes at its own size."""
        smaller = Resize().place(prediction_hw.shape, bounded(prediction_hw.shape, LONGEST))
        labels = (smaller.fit_labels(each) for each in (example["label"], prediction_hw))
        return cls(smaller.fit_image(example["image"]), *labels)


class SampleScores:
    """Scores of a few pictures of a split, as an evaluation comes by them.

    Attributes:
      by_index: scores, float32 [C, h, w], by the picture's index in the split.
    """

    def __init__(self, places: Iterable[int], first: int = 0, stride: int = 1) -> None:
        """Of pictures that an evaluation has.

        Args:
          places: their indices, in order; from each on the first that can be read is taken.
          first, stride: the batches have the pictures `first`, `first + stride`, ...
        """
        self.by_index: dict[int, np.ndarray] = {}
        self._places = [*places]
        self._next, self._stride = first, stride

    def choose(self, valid_b: np.ndarray) -> dict[int, int]:
        """Goes on by a batch, valid bool [B]: rows whose scores are to be added, and the index."""
        rows = {}
        for row, valid in enumerate(valid_b):
            if valid and self._places and self._next >= self._places[0]:
                rows[row] = self._next
                del self._places[0]
            self._next += self._stride
        return rows

    def add(self, rows: Mapping[int, int], scores_bchw: np.ndarray) -> None:
        """Scores, float32 [B, C, h, w], of the batch that `choose` was given."""
        self.by_index |= {index: scores_bchw[row].copy() for row, index in rows.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Gallery:
    """Looks at single pictures of a split again, so that none is kept in an evaluation.

    Attributes:
      source: of the split.
      hierarchy: of the classes.
      decoding: how they follow from scores, of `decoding.DECODINGS`.
      size: (height, width) of the network's input.
      resize: how pictures come to it.
      refined: whether predictions follow the pictures' edges, as those of `hierseg predict` do,
        if that leaves `LEAST_KEPT` of what the scores themselves paint.
    """

    source: Source
    hierarchy: Hierarchy
    decoding: str
    size: tuple[int, int]
    resize: Resize
    refined: bool = True

    def show(self, scores_of: Callable[[np.ndarray], Any], index: int) -> ShownPicture:
        """A picture of the split.

        Args:
          scores_of: from a picture at the network's size, uint8 [1, h, w, 3], to its scores,
            float32 [1, C, h', w'].
          index: in the split, from 0.

        Raises:
          ValueError, OSError: it can't be read.
        """
        example = self.source[index]
        image_hwc, label_hw = example["image"], example["label"]
        placement = self.resize.place(label_hw.shape, self.size)
        scores_bchw = scores_of(placement.fit_image(image_hwc)[None])
        size = bounded(label_hw.shape, LONGEST)
        smaller, of_shown = Resize().place(label_hw.shape, size), placement.of_size(size)
        shown_hwc, planes_chw = smaller.fit_image(image_hwc), log_planes(np.asarray(scores_bchw)[0])
        prediction_hw = picture_labels(planes_chw, of_shown, self.hierarchy, self.decoding)
        if self.refined:
            plain_hw, prediction_hw = (
                prediction_hw,
                guided_labels(planes_chw, of_shown, self.hierarchy, shown_hwc, self.decoding),
            )
            # What a young network paints here and there is the exception wherever it is averaged.
            if self._painted(prediction_hw) < LEAST_KEPT * self._painted(plain_hw):
                prediction_hw = plain_hw
        return ShownPicture(shown_hwc, smaller.fit_labels(label_hw), prediction_hw)

    def samples(self, scores: Mapping[int, np.ndarray]) -> Samples:
        """Pictures, read again, with scores that are known.

        Args:
          scores: from `SampleScores`.

        Raises:
          ValueError, OSError: one can't be read.
        """

        def sample(index: int) -> ShownPicture:
            return self.show(lambda _: scores[index][None], index)

        shown = [sample(index) for index in scores]
        return (
            dict(zip(ShownPicture._fields, zip(*shown, strict=True), strict=True)) if shown else {}
        )

    def _painted(self, label_hw: np.ndarray) -> int:
        """Pixels of a class that pictures paint."""
        return int(((label_hw != self.hierarchy.background) & (label_hw != IGNORE_LABEL)).sum())
