"""Two evaluations of the same pictures beside each other, and what chance may have done."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from hierseg_jax.evaluation.picture_counts import PictureCounts, iou, picture_name, ratio
from hierseg_jax.evaluation.shared_counts import shared_counts
from hierseg_jax.system.wording import aligned, level_called, listed, printable

REDRAWS = 2000
"""Of the pictures, with replacement."""
_AT_ONCE = 100
FEWEST, FEW = 10, 20
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
      scores_2n: float64 [2, N], mean IoU of the finest of these levels' classes that a picture
        shows, without a background; NaN where it shows none.
      notes: what was left out, a sentence each.
    """

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    scores_2n: np.ndarray
    notes: tuple[str, ...]


def compare(first: PictureCounts, second: PictureCounts, redraws: int = REDRAWS) -> Comparison:
    """Compares class by class; `shared_counts` tells which classes and pictures meet.

    The interval is a paired bootstrap: pictures are drawn again with replacement, the same for
    both, and IoU follows from what was counted in those (percentiles; Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 13). It tells of other pictures, not of other
    seeds.

    Args:
      first, second: counts of two evaluations.
      redraws: of the pictures.

    Raises:
      ValueError: a sentence, if they share no class, no picture, or no labels.
    """
    first, second, notes = shared_counts(first, second)
    numbers_2x = [numbers_rx[0] for numbers_rx in _numbers(first, second, np.ones((1, len(first))))]
    notes += _painted_alone(first, second)
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
    return Comparison(rows, names, scores_2n, tuple(notes))


def _numbers(
    first: PictureCounts, second: PictureCounts, weights_rn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `_with_means`, of both, of pictures drawn so often.

    A class that none of them is labelled with tells nothing, whatever else is painted as it.
    """
    first_rk, second_rk = (
        iou(
            *(
                weights_rn @ counts_nk.astype(np.float64)
                for counts_nk in (of.labelled_nk, of.predicted_nk, of.right_nk)
            )
        )
        for of in (first, second)
    )
    shown_rk = weights_rn @ (first.labelled_nk > 0) > 0
    return (
        _with_means(np.where(shown_rk, first_rk, np.nan), first),
        _with_means(np.where(shown_rk, second_rk, np.nan), first),
    )


def _painted_alone(first: PictureCounts, second: PictureCounts) -> list[str]:
    painted_k = (first.predicted_nk + second.predicted_nk).any(0)
    names = dict.fromkeys(first.classes[painted_k & ~first.labelled_nk.any(0)].tolist())
    return [f"No mask shows {listed([*names], 8)}: left out of the means."] if names else []


def _headings(counts: PictureCounts) -> list[tuple[str, str]]:
    """(level, class) as `_with_means` orders them."""
    keys = [*zip(map(str, counts.levels), map(str, counts.classes), strict=True)]
    return [
        heading
        for level in dict.fromkeys(level for level, _ in keys)
        for heading in ((level, ""), *(key for key in keys if key[0] == level))
    ]


def _with_means(values_rk: np.ndarray, counts: PictureCounts) -> np.ndarray:
    """Each level's mean without the background, and its classes behind it: [R, levels + K]."""
    numbers: list[np.ndarray] = []
    for level in dict.fromkeys(counts.levels.tolist()):
        own = counts.levels == level
        counted_rk = values_rk[:, own & ~counts.background]
        defined_rk = ~np.isnan(counted_rk)
        total_r = np.where(defined_rk, counted_rk, 0).sum(1, keepdims=True)
        count_r = defined_rk.sum(1, keepdims=True)
        numbers += [ratio(total_r, count_r), values_rk[:, own]]
    return np.concatenate(numbers, 1)


def _interval(
    first: PictureCounts, second: PictureCounts, redraws: int
) -> tuple[np.ndarray, np.ndarray]:
    count = len(first)
    if count < FEWEST:
        undefined_x = np.full(len(_headings(first)), np.nan)
        return undefined_x, undefined_x
    random, parts = np.random.default_rng(0), []
    for start in range(0, redraws, _AT_ONCE):
        drawn = min(_AT_ONCE, redraws - start)
        weights_rn = random.multinomial(count, np.full(count, 1 / count), drawn).astype(np.float64)
        before_rx, after_rx = _numbers(first, second, weights_rn)
        parts.append(after_rx - before_rx)
    difference_rx = np.concatenate(parts)
    mostly_x = np.isnan(difference_rx).mean(0) < 0.5
    interval_2x = np.full((2, len(mostly_x)), np.nan)
    interval_2x[:, mostly_x] = np.nanpercentile(difference_rx[:, mostly_x], [2.5, 97.5], axis=0)
    low_x, high_x = interval_2x
    return low_x, high_x


def _scores(counts: PictureCounts, classes: np.ndarray) -> np.ndarray:
    labelled_nk = counts.labelled_nk[:, classes]
    iou_nk = iou(labelled_nk, counts.predicted_nk[:, classes], counts.right_nk[:, classes])
    present_nk = labelled_nk > 0
    total_n, count_n = np.where(present_nk, iou_nk, 0).sum(1), present_nk.sum(1)
    return ratio(total_n, count_n)


def format_comparison(comparison: Comparison, titles: Sequence[str]) -> str:
    """The table for the screen, a verdict, and the pictures that differ most.

    What several levels have alike, as a background, stands below the first of them.

    Args:
      comparison: from `compare`.
      titles: of both, in a column's head.
    """
    table = [["", *titles, "difference", "95 % of redraws"]]
    seen: set[tuple[str, float, float]] = set()
    for row in comparison.rows:
        if row.name and (row.name, row.first, row.second) in seen:
            continue
        seen.add((row.name, row.first, row.second))
        interval = "" if math.isnan(row.low) else f"{row.low:+.4f} to {row.high:+.4f}"
        table.append(
            [
                f"  {row.name}" if row.name else row.level,
                *("" if math.isnan(x) else f"{x:.4f}" for x in (row.first, row.second)),
                "" if math.isnan(row.second - row.first) else f"{row.second - row.first:+.4f}",
                interval,
            ]
        )
    if all(math.isnan(row.low) for row in comparison.rows):  # of too few pictures
        table = [line[:-1] for line in table]
    finest = level_called(comparison.rows[-1].level)
    before_n, after_n = comparison.scores_2n
    change_n = after_n - before_n
    order = [int(n) for n in np.argsort(change_n, kind="stable") if not np.isnan(change_n[n])]
    worse = [n for n in order if change_n[n] < 0]
    better = [n for n in reversed(order) if change_n[n] > 0]
    lines = [
        *aligned(table, "<>"),
        *_verdict(comparison, titles[1]),
        f"Pictures that show a class of {finest}: {len(order):,}; better in {titles[1]}: "
        f"{len(better):,}, worse: {len(worse):,}, by the mean IoU of the classes that they show.",
    ]
    if len(comparison.names) < FEWEST:
        lines.append(f"With fewer than {FEWEST} pictures nothing tells chance from a difference.")
    elif len(comparison.names) < FEW:
        lines.append(f"With fewer than {FEW} pictures the redraws lie too close together.")
    for word, found in (("better", better), ("worse", worse)):
        if found:
            lines.append(f"Most {word}:")
            named = [
                ["", f"{before_n[n]:.3f} to {after_n[n]:.3f}", printable(comparison.names[n])]
                for n in found[:MOST]
            ]
            lines += aligned(named, "<<")
    return "\n".join(lines)


def _verdict(comparison: Comparison, title: str) -> list[str]:
    """What the finest level's mean says of the second evaluation, where there are enough pictures.

    Nothing where it is undefined, or alike in as many digits as are told.
    """
    row = [row for row in comparison.rows if not row.name][-1]
    difference = row.second - row.first
    if math.isnan(difference) or not round(difference, 4) or len(comparison.names) < FEW:
        return []
    which = "better" if difference > 0 else "worse"
    beyond = row.low > 0 or row.high < 0
    chance = "the choice of pictures"
    how = f"more than {chance} explains" if beyond else f"what {chance} alone may explain"
    return [f"By {level_called(row.level)}, {title} is {which} by {abs(difference):.4f}: {how}."]
