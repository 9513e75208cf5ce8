"""What an evaluation gives, brought together from all processes."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from hierseg_jax.evaluation.data_sets import DataSetMetrics, evaluate_parts
from hierseg_jax.evaluation.extremes import (
    Extremes,
    ScoredPicture,
    Show,
    image_scores,
    painted_shares,
)
from hierseg_jax.evaluation.metrics import (
    LevelMetrics,
    TreeMetrics,
    count_pictures,
    evaluate_levels,
    tree_metrics,
)
from hierseg_jax.evaluation.picture_counts import PictureCounts
from hierseg_jax.evaluation.tally import Measures, Tally
from hierseg_jax.system.devices.hosts import gather_interleaved
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Results over a split.

    Attributes:
      levels: metrics by level name, coarse to fine.
      tree: inconsistency of the levels, distances of mistakes.
      loss: mean over batches, a partial one counted as a whole one (the reference's); NaN where
        pictures are seen in windows.
      num_images: evaluated, padding left out.
      confusion_cc: int64 [C, C] of leaf classes, rows true, over all images; [L, C] with a row
        for every label where data label groups as well.
      unseen: share of labelled pixels that a crop left out, in [0, 1], which no number
        counts; 0 unless pixels are the pictures' own.
      inner_labels: whether the data label groups as well.
      data_sets: metrics of each by its name, where several were evaluated as one.
      counts: of every picture; None where they were not kept.
      scores_n: float64 [N], from `image_scores`, of the same.
      painted_n: float64 [N], from `painted_shares`, of the same.
      best, worst, false_alarms: this process's pictures that `evaluate_checkpoint` was asked for,
        most extreme first.
    """

    levels: dict[str, LevelMetrics]
    tree: TreeMetrics
    loss: float
    num_images: int
    confusion_cc: np.ndarray
    unseen: float = 0.0
    inner_labels: bool = False
    data_sets: Mapping[str, DataSetMetrics] = dataclasses.field(default_factory=dict)
    counts: PictureCounts | None = None
    scores_n: np.ndarray | None = None
    painted_n: np.ndarray | None = None
    best: tuple[ScoredPicture, ...] = ()
    worst: tuple[ScoredPicture, ...] = ()
    false_alarms: tuple[ScoredPicture, ...] = ()

    def with_pictures(self, extremes: Extremes | None, show: Show) -> "Evaluation":
        """With those that `extremes` remembers."""
        if extremes is None:
            return self
        return dataclasses.replace(
            self,
            best=extremes.best(show),
            worst=extremes.worst(show),
            false_alarms=extremes.false_alarms(show),
        )


def gather_evaluation(
    tally: Tally,
    hierarchy: Hierarchy,
    batch_size: int,
    measures: Measures,
) -> Evaluation:
    """The numbers of all processes together.

    Args:
      tally: of this process's share.
      hierarchy: of the labels.
      batch_size: as in `evaluate_levels`.
      measures: that the tally was made with.
    """
    # Of all processes; each has the same number, padding included.
    valid_n = gather_interleaved(np.concatenate(tally.valid))

    def gathered(parts: list[np.ndarray]) -> np.ndarray:
        return gather_interleaved(np.concatenate(parts))[valid_n]

    confusions_nlc = gathered(tally.confusions)
    confusion_lc = confusions_nlc.sum(0, dtype=np.int64)
    boundaries_n3k = boundary_3k = None
    if measures.boundary:
        boundaries_n3k = gathered(tally.boundaries)
        boundary_3k = boundaries_n3k.sum(0, dtype=np.int64)
    counts = scores_n = painted_n = None
    if measures.names is not None:
        named = np.flatnonzero(valid_n).tolist() if measures.names else []
        counts = count_pictures(confusions_nlc, hierarchy, [measures.names[n] for n in named])
        scores_n = image_scores(confusions_nlc, hierarchy.labels.leaves_lc, hierarchy.background)
        painted_n = painted_shares(confusions_nlc, hierarchy.background)
    unseen = int(gathered(tally.unseen).sum(dtype=np.int64)) if measures.whole else 0
    return Evaluation(
        levels=evaluate_levels(confusions_nlc, hierarchy, batch_size, boundary_3k),
        tree=tree_metrics(
            confusion_lc,
            int(gathered(tally.inconsistent).sum()),
            hierarchy,
            int(gathered(tally.looked_at).sum(dtype=np.int64)),
        ),
        loss=float(np.mean(tally.losses)),
        num_images=len(confusions_nlc),
        confusion_cc=confusion_lc,
        unseen=unseen / max(1, unseen + int(confusion_lc.sum())),
        inner_labels=hierarchy.inner_labels,
        data_sets=evaluate_parts(
            measures.parts, valid_n, confusions_nlc, hierarchy, batch_size, boundaries_n3k
        ),
        counts=counts,
        scores_n=scores_n,
        painted_n=painted_n,
    )
