"""The pictures of a split that are segmented best and worst, found while it is evaluated."""

import dataclasses
import heapq
from collections.abc import Callable, Sequence

import numpy as np

from hierseg_jax.evaluation.picture_counts import ratio
from hierseg_jax.evaluation.shown_pictures import ShownPicture
from hierseg_jax.tree.background import foreground

Show = Callable[[int], ShownPicture]
"""A picture of the split, by its index."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredPicture:
    """A picture with its truth, what was predicted, and how well.

    Attributes:
      index: in the split, from 0.
      name: of its file; empty where the data set has none.
      score: from `image_scores`, of a false alarm from `painted_shares`.
      image, label, prediction: as in `ShownPicture`.
    """

    index: int
    name: str
    score: float
    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray


def image_scores(
    confusions_nlc: np.ndarray,
    leaves_lc: np.ndarray | None = None,
    background: int | None = 0,
) -> np.ndarray:
    """How well single pictures are segmented: mean IoU over the labels that a picture has.

    A background is no label here, and a class that is only predicted lowers the score by
    the pixels that it takes from others, not as an IoU of 0. Of a group's pixels those are
    right that are predicted as a class below it; such a class is in excess of the group where
    it contradicts the label of its pixel.

    Args:
      confusions_nlc: integer [N, L, C], of labels and leaf classes.
      leaves_lc: bool [L, C], `hierarchy.labels.leaves_lc`; by default labels are leaf classes.
      background: the class that is, if any.

    Returns:
      float64 [N] in [0, 1]; NaN for a picture of background alone.
    """
    confusions_nlc = np.asarray(confusions_nlc, np.float64)
    if leaves_lc is None:
        leaves_lc = np.eye(confusions_nlc.shape[-1], dtype=bool)
    counted = foreground(background)
    labelled_nl = confusions_nlc.sum(2)[:, counted]
    hit_nl = (confusions_nlc * leaves_lc).sum(2)[:, counted]
    wrong_nc = (confusions_nlc * ~leaves_lc).sum(1)
    union_nl = labelled_nl + (wrong_nc @ leaves_lc.T)[:, counted]
    present_nl = labelled_nl > 0
    iou_nl = np.divide(hit_nl, union_nl, out=np.zeros_like(hit_nl), where=present_nl)
    return ratio(iou_nl.sum(1), present_nl.sum(1))


def painted_shares(confusions_nlc: np.ndarray, background: int | None) -> np.ndarray:
    """Of pictures of background alone the share of pixels that are predicted as something.

    Args:
      confusions_nlc: integer [N, L, C], of labels and leaf classes.
      background: the class that is, if any.

    Returns:
      float64 [N] in [0, 1]; NaN for all other pictures, and for those without a labelled pixel.
    """
    confusions_nlc = np.asarray(confusions_nlc, np.float64)
    shares_n = np.full(len(confusions_nlc), np.nan)
    if background is None:
        return shares_n
    bare_nc = confusions_nlc[:, background]
    total_n = bare_nc.sum(1)
    alone_n = (confusions_nlc.sum((1, 2)) == total_n) & (total_n > 0)
    return np.divide(total_n - bare_nc[:, background], total_n, out=shares_n, where=alone_n)


class Extremes:
    """Learns of every picture once and remembers the best, the worst and false alarms.

    These are the pictures of background alone in which most is painted. `most` of each kind.
    """

    def __init__(
        self,
        most: int,
        names: Sequence[str] = (),
        leaves_lc: np.ndarray | None = None,
        background: int | None = 0,
        *,
        first: int = 0,
        stride: int = 1,
    ) -> None:
        """Empty at first.

        Args:
          most: pictures of each kind.
          names: of all pictures of the split; empty where they have none.
          leaves_lc, background: as in `image_scores`. Labels begin with the leaf classes.
          first, stride: the pictures seen are `first`, `first + stride`, ...: one
            process's share.
        """
        self._most = most
        self._names = names
        self._leaves_lc, self._background = leaves_lc, background
        self._next, self._stride = first, stride
        self._scored = 0
        # Heaps of (score, -index) and (-score, index) whose first goes next.
        self._best: list[tuple[float, int]] = []
        self._worst: list[tuple[float, int]] = []
        self._painted: list[tuple[float, int]] = []

    def add(self, confusions_blc: np.ndarray, valid_b: np.ndarray) -> None:
        """The next pictures in order; those that are not valid count as seen alone."""
        scores_b = image_scores(confusions_blc, self._leaves_lc, self._background)
        painted_b = painted_shares(confusions_blc, self._background)
        for i, (score, painted) in enumerate(zip(scores_b, painted_b, strict=True)):
            index = self._next
            self._next += self._stride
            if not valid_b[i]:
                continue
            if painted > 0:
                self._keep(self._painted, (float(painted), -index))
            if np.isnan(score):
                continue
            self._scored += 1
            self._keep(self._best, (float(score), -index))
            self._keep(self._worst, (-float(score), index))

    def _keep(self, heap: list[tuple[float, int]], rank: tuple[float, int]) -> None:
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

    def false_alarms(self, show: Show) -> tuple[ScoredPicture, ...]:
        """Those with the most painted first; their score is the share of their pixels."""
        ranks = sorted(self._painted, reverse=True)
        return tuple(self._picture(-index, share, show) for share, index in ranks)

    def _picture(self, index: int, score: float, show: Show) -> ScoredPicture:
        name = self._names[index] if index < len(self._names) else ""
        return ScoredPicture(index, name, score, *show(index))
