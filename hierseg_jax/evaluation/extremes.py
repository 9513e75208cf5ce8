"""The pictures of a split that are segmented best and worst, kept while it is evaluated."""

import dataclasses
import heapq
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredPicture:
    """A picture with its truth, what was predicted, and how well.

    Attributes:
      index: in the split, from 0.
      name: of its file; empty where the data set has none.
      score: from `image_scores`.
      image: uint8 RGB [H, W, 3].
      label, prediction: uint8 [H, W], leaf classes; 255 is ignored.
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
    """Sees every picture once and keeps the best and the worst, never more than 2 x `most`."""

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
        # Heaps of (rank, index, picture) whose first goes next. Of equal scores the
        # earlier picture ranks higher; indices differ, so that pictures are never compared.
        self._best: list[tuple[float, int, ScoredPicture]] = []
        self._worst: list[tuple[float, int, ScoredPicture]] = []

    def add(
        self,
        confusions_bcc: np.ndarray,
        image_bhwc: np.ndarray,
        label_bhw: np.ndarray,
        prediction_bhw: np.ndarray,
        valid_b: np.ndarray,
    ) -> None:
        """The next pictures in order; those that are not valid count as seen alone."""
        scores_b = image_scores(confusions_bcc)
        for i, score in enumerate(scores_b.tolist()):
            index = self._next
            self._next += self._stride
            if not valid_b[i] or np.isnan(score):
                continue
            self._scored += 1
            for heap, rank in ((self._best, (score, -index)), (self._worst, (-score, index))):
                if len(heap) < self._most or rank > heap[0][:2]:
                    name = self._names[index] if index < len(self._names) else ""
                    # Copied, so that the rest of the batch can go.
                    picture = ScoredPicture(
                        index,
                        name,
                        score,
                        image_bhwc[i].copy(),
                        label_bhw[i].copy(),
                        prediction_bhw[i].copy(),
                    )
                    push = heapq.heappush if len(heap) < self._most else heapq.heapreplace
                    push(heap, (*rank, picture))

    def best(self) -> tuple[ScoredPicture, ...]:
        """The best first; where there are few, no picture is among the worst as well."""
        return self._ordered(self._best, (self._scored + 1) // 2)

    def worst(self) -> tuple[ScoredPicture, ...]:
        """The worst first."""
        return self._ordered(self._worst, self._scored // 2)

    @staticmethod
    def _ordered(
        heap: list[tuple[float, int, ScoredPicture]], most: int
    ) -> tuple[ScoredPicture, ...]:
        return tuple(picture for *_, picture in sorted(heap, reverse=True))[:most]
