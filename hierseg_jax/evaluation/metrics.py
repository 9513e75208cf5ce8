"""Every number of an evaluation that follows from its confusion matrices."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from hierseg_jax.evaluation.boundary import boundary_ious
from hierseg_jax.evaluation.confusions import hidden_classes, labelled_confusions, level_confusions
from hierseg_jax.evaluation.picture_counts import PictureCounts, ratio
from hierseg_jax.settings.metric_choice import METRICS
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.background import foreground
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy, check_hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class LevelMetrics:
    """Numbers of one level of the tree, all in [0, 1].

    Per class, NaN where undefined (class neither labelled nor predicted for IoU and
    F1, never predicted for precision, never labelled for recall); the means leave such
    classes out. Where a mean leaves out the background, a tree without one has all of
    its classes counted.

    Attributes:
      class_names: in order.
      iou, precision, recall, f1: float64 [classes].
      miou: mean IoU over the data set's one matrix, background excluded.
      mean_precision, mean_recall, mean_f1: background excluded.
      pixel_accuracy: share of pixels that are right, background included.
      mean_accuracy: mean recall, background included (Long et al., CVPR 2015).
      frequency_weighted_iou: IoU weighted by labelled pixels, background included
        (Long et al., CVPR 2015).
      reference_miou: see `reference_miou`; undefined classes count as 0 in it.
      boundary_iou: float64 [classes], see `boundary.py`; all NaN where it was not measured.
      mean_boundary_iou: background excluded.
      labelled_pixels: that the level counts, where data label groups as well; 0 where their
        labels stop above it, and all is undefined. Else None: all levels count the same.
      order: in which tables list the classes; empty for that of their names.
    """

    class_names: tuple[str, ...]
    iou: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    miou: float
    mean_precision: float
    mean_recall: float
    mean_f1: float
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float
    reference_miou: float
    boundary_iou: np.ndarray
    mean_boundary_iou: float
    labelled_pixels: int | None = None
    order: tuple[int, ...] = ()


def evaluate_levels(
    confusions_nlc: np.ndarray,
    hierarchy: Hierarchy,
    batch_size: int,
    boundary_counts_3k: np.ndarray | None = None,
) -> dict[str, LevelMetrics]:
    """Metrics of every level from per-image matrices.

    A level counts the pixels whose class is known there; its `hidden_classes` are undefined, and
    all of it where the labels stop above (`labelled_confusions`). The reference's mIoU, a mean
    over images, leaves out those whose own labels do.

    Args:
      confusions_nlc: integer [N, L, C] in the order of evaluation, padding left out.
      hierarchy: with L labels and C leaf classes.
      batch_size: of the evaluation; the reference's metric depends on it.
      boundary_counts_3k: sums of `boundary.boundary_counts`; None leaves boundary IoU out.

    Returns:
      level name -> metrics, coarse to fine.

    Raises:
      ValueError: if the matrices are of other classes.
    """
    check_hierarchy(hierarchy)
    metrics = {}
    boundaries = {}
    if boundary_counts_3k is not None:
        boundaries = boundary_ious(boundary_counts_3k, hierarchy)
    confusions_nlc = np.asarray(confusions_nlc)
    confusion_lc = confusions_nlc.sum(0, dtype=np.int64)
    whole = labelled_confusions(confusion_lc, hierarchy)
    single = level_confusions(confusions_nlc, hierarchy)
    for k, level in enumerate(hierarchy.levels):
        labelled, hidden_k, single_nkk = None, None, single[k]
        if hierarchy.inner_labels:
            labelled = int(whole[k].sum())
            hidden_k = hidden_classes(confusion_lc, hierarchy, k)
            unknown_l = hierarchy.labels.classes_kl[k] == IGNORE_LABEL
            is_partial_n = confusions_nlc[:, unknown_l].any((1, 2))
            single_nkk = single_nkk[single_nkk[:, level.foreground].any((1, 2)) | ~is_partial_n]
        numbers = level_metrics(
            whole[k],
            level.class_names,
            float("nan")
            if labelled == 0
            else reference_miou(single_nkk, batch_size, level.background),
            None if labelled == 0 else boundaries.get(level.name),
            hidden_k,
            level.background,
        )
        metrics[level.name] = dataclasses.replace(
            numbers, labelled_pixels=labelled, order=level.in_tree_order
        )
    return metrics


def level_metrics(
    confusion_ll: np.ndarray,
    class_names: Sequence[str],
    reference: float = float("nan"),
    boundary_iou_l: np.ndarray | None = None,
    hidden_l: np.ndarray | None = None,
    background: int | None = 0,
) -> LevelMetrics:
    """Metrics of one level from the data set's confusion matrix [L, L] (rows true).

    Args:
      confusion_ll: integer [L, L].
      class_names: in order.
      reference: of `reference_miou`.
      boundary_iou_l: of every class, where it was measured.
      hidden_l: bool [L], classes to be undefined; see `hidden_classes`.
      background: the class that is, if any.
    """
    if boundary_iou_l is None:
        boundary_iou_l = np.full(len(class_names), np.nan)
    confusion_ll = np.asarray(confusion_ll, np.float64)
    hit = np.diagonal(confusion_ll)
    labelled, predicted = confusion_ll.sum(1), confusion_ll.sum(0)
    total = confusion_ll.sum()
    iou = ratio(hit, labelled + predicted - hit)
    precision, recall = ratio(hit, predicted), ratio(hit, labelled)
    f1 = ratio(2 * hit, labelled + predicted)
    if hidden_l is not None:
        iou, precision, recall, f1, boundary_iou_l = (
            np.where(hidden_l, np.nan, numbers_l)
            for numbers_l in (iou, precision, recall, f1, boundary_iou_l)
        )
    counted = foreground(background)
    weighted_iou = (np.where(labelled > 0, iou, 0.0) * labelled).sum()
    return LevelMetrics(
        class_names=tuple(class_names),
        iou=iou,
        precision=precision,
        recall=recall,
        f1=f1,
        miou=_mean_defined(iou[counted]),
        mean_precision=_mean_defined(precision[counted]),
        mean_recall=_mean_defined(recall[counted]),
        mean_f1=_mean_defined(f1[counted]),
        pixel_accuracy=float(ratio(hit.sum(), total)),
        mean_accuracy=_mean_defined(recall),
        frequency_weighted_iou=float(ratio(weighted_iou, total)),
        reference_miou=float(reference),
        boundary_iou=boundary_iou_l,
        mean_boundary_iou=_mean_defined(boundary_iou_l[counted]),
    )


def count_pictures(
    confusions_nlc: np.ndarray, hierarchy: Hierarchy, names: Sequence[str] = ()
) -> PictureCounts:
    """What the IoU of `evaluate_levels` is a ratio of, picture by picture, in the tree's order.

    Args:
      confusions_nlc, hierarchy: as there.
      names: of the N pictures; empty where they have none.
    """
    confusion_lc = np.asarray(confusions_nlc).sum(0, dtype=np.int64)
    whole = labelled_confusions(confusion_lc, hierarchy)
    counts: list[list[np.ndarray]] = [[], [], []]
    for k, single_nkk in enumerate(level_confusions(confusions_nlc, hierarchy)):
        counted_k = np.full(single_nkk.shape[-1], whole[k].any())
        if hierarchy.inner_labels:
            counted_k &= ~hidden_classes(confusion_lc, hierarchy, k)
        hits_nk = np.diagonal(single_nkk, axis1=1, axis2=2)
        of_level = (single_nkk.sum(2), single_nkk.sum(1), hits_nk)
        for column, counts_nk in zip(counts, of_level, strict=True):
            column.append(counts_nk * counted_k)
    levels = hierarchy.levels
    ends = np.cumsum([level.num_classes for level in levels])
    in_order = [
        end - level.num_classes + np.array(level.in_tree_order)
        for end, level in zip(ends, levels, strict=True)
    ]
    return PictureCounts(
        np.array(names, dtype=np.str_),
        np.array([level.name for level in levels for _ in level.class_names], dtype=np.str_),
        np.array([name for level in levels for name in level.class_names], dtype=np.str_),
        np.array(
            [c == level.background for level in levels for c in range(level.num_classes)],
            dtype=bool,
        ),
        *(np.concatenate(column, 1) for column in counts),
    ).take(classes=np.concatenate(in_order))


def level_number(level: LevelMetrics, metric: str) -> float:
    """A level's number, `metric` being of METRICS; NaN where undefined or not measured."""
    return float(getattr(level, METRICS[metric].mean))


def class_numbers(level: LevelMetrics, metric: str) -> np.ndarray | None:
    """The numbers of a level's classes; None where the metric has none."""
    fields = METRICS[metric]
    return getattr(level, fields.classes) if fields.classes else None


@dataclasses.dataclass(frozen=True)
class TreeMetrics:
    """What the tree says of a prediction beside the levels' metrics; NaN where undefined.

    Attributes:
      contradictions: the inconsistency rate, under the name that files have had for it: share
        of pixels whose best classes, found at every level by itself, contradict the tree;
        before decoding, which mends them.
      mistake_distance: edges in the tree between the predicted and the true leaf, mean over
        the pixels whose true leaf is known and that are wrong (after Bertinetto et al., Making
        Better Mistakes, CVPR 2020, who count levels up to the common ancestor).
      mean_distance: the same over all pixels whose true leaf is known, those that are right
        counting 0.
    """

    contradictions: float
    mistake_distance: float
    mean_distance: float


def tree_metrics(
    confusion_lc: np.ndarray,
    inconsistent_pixels: int,
    hierarchy: Hierarchy,
    looked_at: int | None = None,
) -> TreeMetrics:
    """Metrics from the data set's confusion matrix and a count of pixels.

    Args:
      confusion_lc: integer [L, C], of labels and leaf classes.
      inconsistent_pixels: found by `predictions.inconsistent_pixels`.
      hierarchy: of the labels.
      looked_at: the pixels among which they were found; by default those of the matrix.
    """
    counts_lc = np.asarray(confusion_lc, np.float64)
    counts_cc = counts_lc[: hierarchy.num_classes]
    total, right = counts_cc.sum(), np.trace(counts_cc)
    edges = (counts_cc * hierarchy.distances).sum()
    return TreeMetrics(
        contradictions=float(
            ratio(
                np.float64(inconsistent_pixels),
                counts_lc.sum() if looked_at is None else looked_at,
            )
        ),
        mistake_distance=float(ratio(edges, total - right)),
        mean_distance=float(ratio(edges, total)),
    )


def reference_miou(
    confusions_nll: np.ndarray, batch_size: int, background: int | None = 0
) -> float:
    """The reference's own mIoU (torchmetrics 1.6.1 `MeanIoU` without background).

    IoU per image and class, 0 where a class is neither labelled nor predicted; mean
    over classes, then over the images of a batch, then over batches, a partial one
    counting as much as a whole one. Classes absent from an image pull it down: it
    is no stand-in for the data set's `miou`.

    Args:
      confusions_nll: integer [N, L, L], in the order of evaluation.
      batch_size: consecutive images that made a batch.
      background: the class that is, if any.

    Returns:
      In [0, 1]; NaN without images.
    """
    if batch_size < 1:
        raise HiersegError(f"The batch size is at least 1; got {batch_size}.")
    confusions_nll = np.asarray(confusions_nll, np.float64)
    if not len(confusions_nll):
        return float("nan")
    hit = np.diagonal(confusions_nll, axis1=1, axis2=2)
    union = confusions_nll.sum(1) + confusions_nll.sum(2) - hit
    image_scores = np.nan_to_num(ratio(hit, union), nan=0.0)[:, foreground(background)].mean(1)
    batches = np.split(image_scores, range(batch_size, len(image_scores), batch_size))
    return float(np.mean([batch.mean() for batch in batches]))


def _mean_defined(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
