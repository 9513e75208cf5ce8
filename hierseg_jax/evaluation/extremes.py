"""The pictures of a split that are segmented best and worst, found while it is evaluated."""

import dataclasses
import heapq
from collections.abc import Callable, Sequence

import numpy as np

from hierseg_jax.evaluation.shown_pictures import ShownPicture

Show = Callable[[int], ShownPicture]
"""A picture of the split, by its index."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredPicture:
    """A picture with its truth, what was predicted, and how well.

    Attributes:
      index: in the split, from 0.
      name: of its file; empty where the data set has none.
      score: from `image_scores`.
      image, label, prediction: as in `ShownPicture`.
    """

    index: int
    name: str
    score: float
    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray


def image_scores(confusions_ncc: np.ndarray) -> np.ndarray:
    """How well single pictures are segmented: mean IoU over the classes that a picture has.

    The background is no class here, and a class that is only predicted lowers the score by
    the pixels that it takes from others, not as an IoU of 0.

    Args:
      confusions_ncc: integer [N, C, C], leaf classes, rows true.

    Returns:
      float64 [N] in [0, 1]; NaN for a picture of background alone.
    """
    confusions_ncc = np.asarray(confusions_ncc, np.float64)
    hit_nc = np.diagonal(confusions_ncc, axis1=1, axis2=2)[:, 1:]
    labelled_nc = confusions_ncc.sum(2)[:, 1:]
    union_nc = labelled_nc + confusions_ncc.sum(1)[:, 1:] - hit_nc
    present_nc = labelled_nc > 0
    iou_nc = np.divide(hit_nc, union_nc, out=np.zeros_like(hit_nc), where=present_nc)
    count_n = present_nc.sum(1)
    scores_n = np.full(len(confusions_ncc), np.nan)
    return np.divide(iou_nc.sum(1), count_n, out=scores_n, where=count_n > 0)


class Extremes:
    """Learns of every picture once and remembers the best and the worst, `most` of either."""

    def __init__(
        self, most: int, names: Sequence[str] = (), *, first: int = 0, stride: int = 1
    ) -> None:
        """Empty at first.

        Args:
          most: pictures of either kind.
          names: of all pictures of the split; empty where they have none.
          first, stride: the pictures seen are `first`, `first + stride`, ...: one
            process's share.
        """
        self._most = most
        self._names = names
        self._next, self._stride = first, stride
        self._scored = 0
        # Heaps of (score, -index) and (-score, index) whose first goes next.
        self._best: list[tuple[float, int]] = []
        self._worst: list[tuple[float, int]] = []

    def add(self, confusions_bcc: np.ndarray, valid_b: np.ndarray) -> None:
        """The next pictures in order; those that are not valid count as seen alone."""
        scores_b = image_scores(confusions_bcc)
        for i, score in enumerate(scores_b.tolist()):
            index = self._next
            self._next += self._stride
            if not valid_b[i] or np.isnan(score):
                continue
            self._scored += 1
            for heap, rank in ((self._best, (score, -index)), (self._worst, (-score, index))):
                push = heapq.heappush if len(heap) < self._most else heapq.heappushpop
                push(heap, rank)

    def best(self, show: Show) -> tuple[ScoredPicture, ...]:
        """The best first; where there are few, no picture is among the worst as well."""
        ranks = sorted(self._best, reverse=True)[: (self._scored + 1) // 2]
        return tuple(self._picture(-index, score, show) for score, index in ranks)

    def worst(self, show: Show) -> tuple[ScoredPicture, ...]:
        """The worst first."""
        ranks = sorted(self._worst, reverse=True)[: self._scored // 2]
        return tuple(self._picture(index, -score, show) for score, index in ranks)

    def _picture(self, index: int, score: float, show: Show) -> ScoredPicture:
        name = self._names[index] if index < len(self._names) else ""
        return ScoredPicture(index, name, score, *show(index))
