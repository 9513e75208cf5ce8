"""Two evaluations of the same pictures beside each other, and what chance may have done."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from hierseg_jax.evaluation.picture_counts import PictureCounts, iou, picture_name
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import aligned, counted, listed

REDRAWS = 2000
"""Of the pictures, with replacement."""
_AT_ONCE = 100
FEWEST = 10
"""Pictures whose redraws tell something of others."""
MOST = 5
"""Pictures of either kind that are named."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A level, or one of its classes, in both evaluations.

    Attributes:
      level: its name.
      name: of the class; empty for the level.
      first, second: (mean) IoU in [0, 1]; NaN where undefined.
      low, high: between which the difference lies in 95 % of the redraws; NaN where it is
        undefined in most of them, or there are fewer than FEWEST pictures.
    """

    level: str
    name: str
    first: float
    second: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """What two evaluations say of the pictures and classes that both have.

    Attributes:
      rows: levels coarse to fine, each with its classes behind it.
      names: of the pictures.
      scores_2n: float64 [2, N], mean IoU of the finest level's classes that a picture shows,
        without a background; NaN where it shows none.
      notes: what was left out, a sentence each.
    """

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    scores_2n: np.ndarray
    notes: tuple[str, ...]


def compare(first: PictureCounts, second: PictureCounts, redraws: int = REDRAWS) -> Comparison:
    """Compares class by class. Classes of the finest level meet by name, those of groups where
    their levels have the same name as well; backgrounds meet whatever they are called.

    The interval is a paired bootstrap: pictures are drawn again with replacement, the same for
    both, and IoU follows from what was counted in those (percentiles; Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 13). It tells of other pictures, not of other
    seeds.

    Args:
      first, second: counts of two evaluations.
      redraws: of the pictures.

    Raises:
      ValueError: a sentence, if they share no class or no picture, or the same pictures have
        other labels.
    """
    first, second, notes = _same_classes(first, second)
    first, second, more = _same_pictures(first, second)
    sums_rtk = np.stack([_sums(of, np.ones((1, len(of))))[0] for of in (first, second)])
    numbers_2x = np.stack([_with_means(iou(*sums_tk), first) for sums_tk in sums_rtk])
    low_x, high_x = _interval(first, second, redraws)
    rows = tuple(
        Row(level, name, *map(float, numbers))
        for (level, name), *numbers in zip(
            _headings(first), *numbers_2x, low_x, high_x, strict=True
        )
    )
    finest = (first.levels == first.levels[-1]) & ~first.background
    scores_2n = np.stack([_scores(of, finest) for of in (first, second)])
    names = tuple(picture_name(first, n) for n in range(len(first)))
    return Comparison(rows, names, scores_2n, (*notes, *more))


def _same_classes(
    first: PictureCounts, second: PictureCounts
) -> tuple[PictureCounts, PictureCounts, list[str]]:
    keys = [_keys(of) for of in (first, second)]
    there = {key: k for k, key in enumerate(keys[1])}
    shared = [(k, there[key]) for k, key in enumerate(keys[0]) if key in there]
    if not any(not first.background[k] for k, _ in shared):
        raise HiersegError(
            f"The two evaluations share no class: {listed(_finest(first), 8)} here, "
            f"{listed(_finest(second), 8)} there."
        )
    own, others = (np.array(column) for column in zip(*shared, strict=True))
    alone = dict.fromkeys(
        key[1] or "a background" for a, b in (keys, keys[::-1]) for key in a if key not in b
    )
    notes = []
    if alone:
        notes.append(
            f"Only one of them has {listed([*alone], 8)}: left out, so that means are those of the "
            "classes of both."
        )
    every = (np.arange(len(first)), np.arange(len(second)))
    return first.take(every[0], own), second.take(every[1], others), notes


def _keys(counts: PictureCounts) -> list[tuple[str, str]]:
    """By which classes meet: level and name, the finest level and a background being nameless."""
    return [
        ("" if level == counts.levels[-1] else str(level), "" if background else str(name))
        for level, name, background in zip(
            counts.levels, counts.classes, counts.background, strict=True
        )
    ]


def _finest(counts: PictureCounts) -> list[str]:
    return counts.classes[(counts.levels == counts.levels[-1]) & ~counts.background].tolist()


def _same_pictures(
    first: PictureCounts, second: PictureCounts
) -> tuple[PictureCounts, PictureCounts, list[str]]:
    """Those of both that have the same labels in them."""
    names = [of.names.tolist() or list(range(len(of))) for of in (first, second)]
    if names[0] == names[1]:
        own = others = np.arange(len(first))
    else:
        if any(len(set(of)) < len(of) for of in names):
            raise HiersegError(
                "The two evaluations have other pictures, and names of files occur twice, so that "
                "it can't be told which are which. Evaluate both on the same data."
            )
        there = {name: n for n, name in enumerate(names[1])}
        shared = [(n, there[name]) for n, name in enumerate(names[0]) if name in there]
        if not shared:
            raise HiersegError(
                "The two evaluations share no picture. Evaluate both on the same data, with --data."
            )
        own, others = (np.array(column) for column in zip(*shared, strict=True))
    notes = []
    left_out = len(first) + len(second) - 2 * len(own)
    if left_out:
        notes.append(f"{counted(left_out, 'picture')} that only one of them has: left out.")
    alike = (first.labelled_nk[own] == second.labelled_nk[others]).all(1)
    if not alike.any():
        raise HiersegError(
            "The labels of all pictures differ between the two evaluations: other masks, or "
            "other sizes. Evaluate both again on the same masks, or with --resolution=original."
        )
    if not alike.all():
        notes.append(
            f"{counted(int((~alike).sum()), 'picture')} whose masks have changed between the two: "
            "left out. Evaluate both again to have them."
        )
    every = np.arange(first.labelled_nk.shape[1])
    return first.take(own[alike], every), second.take(others[alike], every), notes


def _sums(counts: PictureCounts, weights_rn: np.ndarray) -> np.ndarray:
    """float64 [R, 3, K]: labelled, predicted and right pixels of pictures drawn so often."""
    of = (counts.labelled_nk, counts.predicted_nk, counts.right_nk)
    return np.stack([weights_rn @ counts_nk.astype(np.float64) for counts_nk in of], 1)


def _headings(counts: PictureCounts) -> list[tuple[str, str]]:
    """(level, class) as `_with_means` orders them."""
    keys = [*zip(map(str, counts.levels), map(str, counts.classes), strict=True)]
    return [
        heading
        for level in dict.fromkeys(level for level, _ in keys)
        for heading in ((level, ""), *(key for key in keys if key[0] == level))
    ]


def _with_means(iou_k: np.ndarray, counts: PictureCounts) -> np.ndarray:
    """Each level's mean without the background, and its classes behind it."""
    numbers: list[float] = []
    for level in dict.fromkeys(counts.levels.tolist()):
        own = counts.levels == level
        numbers += [_mean(iou_k[own & ~counts.background]), *iou_k[own]]
    return np.array(numbers)


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def _interval(
    first: PictureCounts, second: PictureCounts, redraws: int
) -> tuple[np.ndarray, np.ndarray]:
    count = len(first)
    if count < FEWEST:
        undefined_x = np.full(len(_headings(first)), np.nan)
        return undefined_x, undefined_x
    random, differences = np.random.default_rng(0), []
    for start in range(0, redraws, _AT_ONCE):
        drawn = min(_AT_ONCE, redraws - start)
        weights_rn = random.multinomial(count, np.full(count, 1 / count), drawn).astype(np.float64)
        both = zip(_sums(first, weights_rn), _sums(second, weights_rn), strict=True)
        differences += [_with_means(iou(*b), second) - _with_means(iou(*a), first) for a, b in both]
    differences_rx = np.stack(differences)
    mostly_x = np.isnan(differences_rx).mean(0) < 0.5
    interval_2x = np.full((2, len(mostly_x)), np.nan)
    interval_2x[:, mostly_x] = np.nanpercentile(differences_rx[:, mostly_x], [2.5, 97.5], axis=0)
    low_x, high_x = interval_2x
    return low_x, high_x


def _scores(counts: PictureCounts, classes: np.ndarray) -> np.ndarray:
    labelled_nk = counts.labelled_nk[:, classes]
    iou_nk = iou(labelled_nk, counts.predicted_nk[:, classes], counts.right_nk[:, classes])
    present_nk = labelled_nk > 0
    total_n, count_n = np.where(present_nk, iou_nk, 0).sum(1), present_nk.sum(1)
    return np.divide(total_n, count_n, out=np.full(len(total_n), np.nan), where=count_n > 0)


def format_comparison(comparison: Comparison, titles: Sequence[str]) -> str:
    """The table for the screen, and the pictures that differ most.

    Args:
      comparison: from `compare`.
      titles: of both, in a column's head.
    """
    table = [["", *titles, "difference", "95 % of redraws"]]
    for row in comparison.rows:
        interval = "" if math.isnan(row.low) else f"{row.low:+.4f} to {row.high:+.4f}"
        table.append(
            [
                f"  {row.name}" if row.name else row.level,
                *("" if math.isnan(x) else f"{x:.4f}" for x in (row.first, row.second)),
                "" if math.isnan(row.second - row.first) else f"{row.second - row.first:+.4f}",
                interval,
            ]
        )
    before_n, after_n = comparison.scores_2n
    change_n = after_n - before_n
    order = [int(n) for n in np.argsort(change_n, kind="stable") if not np.isnan(change_n[n])]
    worse = [n for n in order if change_n[n] < 0]
    better = [n for n in reversed(order) if change_n[n] > 0]
    lines = [
        *aligned(table, "<>"),
        f"Of {counted(len(order), 'picture')} {len(better):,} are better in {titles[1]} and "
        f"{len(worse):,} worse, by mean IoU of the finest level's classes.",
    ]
    for word, found in (("better", better), ("worse", worse)):
        if found:
            named = (
                f"{comparison.names[n]} {before_n[n]:.2f} to {after_n[n]:.2f}" for n in found[:MOST]
            )
            lines.append(f"Most {word}: {', '.join(named)}")
    return "\n".join(lines)
