"""What an evaluation writes down of every picture, until all have been seen."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hierseg_jax.data.batches import Batch
from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.resize import Placement, Resize
from hierseg_jax.evaluation.boundary import boundary_counts
from hierseg_jax.evaluation.data_sets import Part
from hierseg_jax.evaluation.extremes import Extremes
from hierseg_jax.evaluation.whole_pictures import confusion_matrix, unseen_pixels
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The pictures that this process evaluates, read again: batches of large ones fill the memory.

    Attributes:
      source: of the split.
      first, stride: this process has the pictures `first`, `first + stride`, ...
    """

    source: Source
    first: int = 0
    stride: int = 1

    def __getitem__(self, number: int) -> np.ndarray:
        """uint8 [H, W, 3], of this process's own."""
        image_hwc: np.ndarray = self.source[self.first + number * self.stride]["image"]
        return image_hwc


@dataclasses.dataclass(frozen=True)
class Measures:
    """What is measured beside the confusion matrices at the network's size.

    Attributes:
      boundary: whether boundary IoU is.
      whole: whether pixels are the pictures' own; batches then have `whole_label`, and the
        step's results `scores`.
      pictures: whose edges predictions there follow; where it is None, they follow none.
      resize: how pictures came to the network's size.
      decoding: how classes follow from scores, of `decoding.DECODINGS`.
      parts: of the source, each of which is measured by itself as well.
      names: of the source's pictures, empty where they have none, to keep the counts of every
        picture; None keeps none.
    """

    boundary: bool = False
    whole: bool = False
    pictures: Pictures | None = None
    resize: Resize = dataclasses.field(default_factory=Resize)
    decoding: str = "leaf"
    parts: Sequence[Part] = ()
    names: Sequence[str] | None = None


class Tally:
    """What single pictures gave, in the order in which this process saw them."""

    def __init__(
        self, hierarchy: Hierarchy, measures: Measures, extremes: Extremes | None = None
    ) -> None:
        """Empty at first; `extremes`, new, learns of every picture."""
        self._hierarchy = hierarchy
        self._measures = measures
        self._extremes = extremes
        self.losses: list[float] = []
        self.valid: list[np.ndarray] = []
        self.inconsistent: list[np.ndarray] = []
        # Where inconsistent pixels were looked for; other pixels than the confusions', if whole.
        self.looked_at: list[np.ndarray] = []
        self.confusions: list[np.ndarray] = []
        self.boundaries: list[np.ndarray] = []
        self.unseen: list[np.ndarray] = []

    def add(self, batch: Batch, result: dict[str, Any]) -> None:
        """A batch from `eval_batches` and what the compiled step made of it."""
        confusion_blc = np.asarray(result["confusion"])
        self.losses.append(float(result["loss"]))
        self.inconsistent.append(np.asarray(result["inconsistent"]))
        self.looked_at.append(confusion_blc.sum((1, 2)))
        labels, valid_b = batch["label"], batch["valid"]
        if not self._measures.whole:
            self._count(labels, np.asarray(result["prediction"]), valid_b, confusion_blc)
            return
        size, seen = labels.shape[1:], len(labels) * len(self.confusions)
        predictions = [
            self._predicted(
                scores_chw,
                self._measures.resize.place(label_hw.shape, size),
                seen + i if valid else None,
            )
            for i, (label_hw, scores_chw, valid) in enumerate(
                zip(batch["whole_label"], np.asarray(result["scores"]), valid_b, strict=True)
            )
        ]
        self._count(batch["whole_label"], predictions, valid_b)

    def add_picture(
        self,
        label_hw: np.ndarray,
        prediction_hw: np.ndarray,
        *,
        valid: bool = True,
        inconsistent: int | None = None,
    ) -> None:
        """A picture's labels and leaf classes, without a loss.

        Args:
          label_hw: uint8 [H, W].
          prediction_hw: uint8 [H, W]; 255 where there is none.
          valid: whether it counts.
          inconsistent: of the pixels that are counted those whose levels disagreed before
            decoding; None where nobody looked.
        """
        self._count([label_hw], [prediction_hw], np.array([valid]))
        looked_at = 0 if inconsistent is None else self.confusions[-1].sum()
        self.losses.append(np.nan)
        self.inconsistent.append(np.array([inconsistent or 0], np.int32))
        self.looked_at.append(np.array([looked_at], np.int32))

    def _count(
        self,
        labels: Iterable[np.ndarray],
        predictions: Iterable[np.ndarray],
        valid_b: np.ndarray,
        confusion_blc: np.ndarray | None = None,
    ) -> None:
        """What pictures' labels and leaf classes give, if need be their confusion matrices too."""
        pairs = list(zip(labels, predictions, strict=True))
        if confusion_blc is None:
            shape = self._hierarchy.num_classes, len(self._hierarchy.labels.names)
            confusion_blc = np.stack([confusion_matrix(*pair, *shape) for pair in pairs])
            self.unseen.append(np.array([unseen_pixels(*pair) for pair in pairs], np.int32))
        self.valid.append(valid_b)
        # No picture has more pixels than int32 counts, and JAX gathers no int64.
        self.confusions.append(confusion_blc.astype(np.int32))
        if self._measures.boundary:
            counts = [boundary_counts(*pair, self._hierarchy) for pair in pairs]
            self.boundaries.append(np.stack(counts).astype(np.int32))
        if self._extremes is not None:
            self._extremes.add(confusion_blc, valid_b)

    def _predicted(
        self, scores_chw: np.ndarray, placement: Placement, number: int | None
    ) -> np.ndarray:
        """Leaf classes on the pixels of this process's picture of a number; None fills a batch."""
        planes_chw, decoding = log_planes(scores_chw), self._measures.decoding
        pictures = self._measures.pictures
        if pictures is None or number is None:
            return picture_labels(planes_chw, placement, self._hierarchy, decoding)
        return guided_labels(planes_chw, placement, self._hierarchy, pictures[number], decoding)
