"""What an evaluation writes down of every picture, until all have been seen."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hierseg_jax.data.batches import Batch
from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.resize import Placement, Resize
from hierseg_jax.evaluation.boundary import boundary_counts
from hierseg_jax.evaluation.data_sets import Part
from hierseg_jax.evaluation.extremes import Extremes
from hierseg_jax.evaluation.whole_pictures import confusion_matrix, unseen_pixels
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True)
class Measures:
    """What is measured beside the confusion matrices at the network's size.

    Attributes:
      boundary: whether boundary IoU is.
      whole: whether pixels are the pictures' own; batches then have `whole_label`, and the
        step's results `scores`.
      refined: whether predictions there follow the pictures' edges; batches then have
        `whole_image`, too.
      resize: how pictures came to the network's size.
      decoding: how classes follow from scores, of `decoding.DECODINGS`.
      parts: of the source, each of which is measured by itself as well.
    """

    boundary: bool = False
    whole: bool = False
    refined: bool = False
    resize: Resize = dataclasses.field(default_factory=Resize)
    decoding: str = "leaf"
    parts: Sequence[Part] = ()


class Tally:
    """What single pictures gave, in the order in which this process saw them."""

    def __init__(self, hierarchy: Hierarchy, measures: Measures) -> None:
        self._hierarchy = hierarchy
        self._measures = measures
        self.losses: list[float] = []
        self.valid: list[np.ndarray] = []
        self.inconsistent: list[np.ndarray] = []
        # Where inconsistent pixels were looked for; other pixels than the confusions', if whole.
        self.looked_at: list[np.ndarray] = []
        self.confusions: list[np.ndarray] = []
        self.boundaries: list[np.ndarray] = []
        self.unseen: list[np.ndarray] = []

    def add(self, batch: Batch, result: dict[str, Any], extremes: Extremes | None) -> None:
        """A batch from `eval_batches` and what the compiled step made of it."""
        valid_b = batch["valid"]
        confusion_blc = np.asarray(result["confusion"])
        self.losses.append(float(result["loss"]))
        self.valid.append(valid_b)
        self.inconsistent.append(np.asarray(result["inconsistent"]))
        self.looked_at.append(confusion_blc.sum((1, 2)))
        labels: Sequence[np.ndarray] = list(batch["label"])
        predictions: Sequence[np.ndarray] = list(np.asarray(result["prediction"]))
        if self._measures.whole:
            labels, size = batch["whole_label"], batch["label"].shape[1:]
            images = batch["whole_image"] if self._measures.refined else [None] * len(labels)
            predictions = [
                self._predicted(
                    scores_chw, self._measures.resize.place(label_hw.shape, size), image_hwc
                )
                for label_hw, scores_chw, image_hwc in zip(
                    labels, np.asarray(result["scores"]), images, strict=True
                )
            ]
            pairs = list(zip(labels, predictions, strict=True))
            shape = self._hierarchy.num_classes, len(self._hierarchy.labels.names)
            confusion_blc = np.stack([confusion_matrix(*pair, *shape) for pair in pairs])
            self.unseen.append(np.array([unseen_pixels(*pair) for pair in pairs], np.int32))
        # No picture has more pixels than int32 counts, and JAX gathers no int64.
        self.confusions.append(confusion_blc.astype(np.int32))
        if self._measures.boundary:
            counts = [
                boundary_counts(label_hw, prediction_hw, self._hierarchy)
                for label_hw, prediction_hw in zip(labels, predictions, strict=True)
            ]
            self.boundaries.append(np.stack(counts).astype(np.int32))
        if extremes is not None:
            extremes.add(confusion_blc, valid_b)

    def _predicted(
        self, scores_chw: np.ndarray, placement: Placement, image_hwc: np.ndarray | None
    ) -> np.ndarray:
        """Leaf classes on the picture's own pixels."""
        planes_chw, decoding = log_planes(scores_chw), self._measures.decoding
        if image_hwc is None:
            return picture_labels(planes_chw, placement, self._hierarchy, decoding)
        return guided_labels(planes_chw, placement, self._hierarchy, image_hwc, decoding)
