"""Which numbers a user wants to see of every level, and which one tells the best epoch."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean
from hierseg_jax.tree.hierarchy import Hierarchy

LOSS = "loss"


@dataclasses.dataclass(frozen=True)
class MetricFields:
    """What a metric is called, and where it stands in `LevelMetrics`.

    Attributes:
      heading: of its column, at most ten letters.
      title: in full.
      mean: the field of the level's number.
      classes: the field of the classes' numbers; empty where there are none.
    """

    heading: str
    title: str
    mean: str
    classes: str = ""


METRICS = {
    "miou": MetricFields("mIoU", "mIoU", "miou", "iou"),
    "reference_miou": MetricFields("reference", "reference's mIoU", "reference_miou"),
    "precision": MetricFields("precision", "precision", "mean_precision", "precision"),
    "recall": MetricFields("recall", "recall", "mean_recall", "recall"),
    "f1": MetricFields("F1", "F1", "mean_f1", "f1"),
    "boundary_iou": MetricFields("boundary", "boundary IoU", "mean_boundary_iou", "boundary_iou"),
    "pixel_accuracy": MetricFields("pixel-acc", "pixel accuracy", "pixel_accuracy"),
    "mean_accuracy": MetricFields("mean-acc", "mean accuracy", "mean_accuracy"),
    "frequency_weighted_iou": MetricFields(
        "weighted", "frequency-weighted IoU", "frequency_weighted_iou"
    ),
}


DEFAULT_METRICS = ("miou", "pixel_accuracy", "precision", "recall", "f1")


def parse_metrics(given: Any, key: str = "metrics") -> tuple[str, ...]:
    """The metrics that a config or flag names: a sequence, or text with commas.

    Args:
      given: as it was written.
      key: where, for the message.

    Raises:
      ValueError: naming the nearest metric, or all.
    """
    parts = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(part, str) for part in parts):
        raise HiersegError(f"{key} is {given!r}; give names: {', '.join(METRICS)}.")
    names = [name.strip() for part in parts for name in part.split(",") if name.strip()]
    for name in names:
        _check(name, key)
    if not names:
        raise HiersegError(f"{key} names no metric; choose of {', '.join(METRICS)}.")
    return tuple(dict.fromkeys(names))


@dataclasses.dataclass(frozen=True)
class Criterion:
    """What tells the best epoch.

    Attributes:
      metric: of METRICS, more being better; or LOSS, of the validation, less being better.
      level: of the tree; empty for the loss. Where the labels of the validation split stop
        above it, the finest level that they reach stands in.
    """

    metric: str = LOSS
    level: str = ""

    def score(self, row: Mapping[str, Any]) -> float:
        """Of an epoch's row in the history: the less the better; infinite if undefined."""
        if self.metric == LOSS:
            return row["val_loss"]
        value = row["levels"][self.level_of(row)][self.metric]
        return float("inf") if value is None else -value

    def level_of(self, row: Mapping[str, Any]) -> str:
        """The level that an epoch is judged at: its own, or what stands in for it."""
        pixels = row.get("labelled_pixels", {})
        labelled = [name for name in row["levels"] if pixels.get(name)]
        if pixels.get(self.level) == 0 and labelled:
            return labelled[-1]
        return self.level

    def describe(self, row: Mapping[str, Any]) -> str:
        """As `validation loss of 0.1234`."""
        if self.metric == LOSS:
            return f"validation loss of {row['val_loss']:.4f}"
        level = self.level_of(row)
        value = row["levels"][level][self.metric]
        number = ", which is undefined" if value is None else f" of {value:.4f}"
        return f"{METRICS[self.metric].title} ({level}){number}"


def parse_best(best: str, metrics: Sequence[str], hierarchy: Hierarchy | None = None) -> Criterion:
    """What `best` of a config means.

    Args:
      best: `loss`; a metric, of the finest level; or LEVEL.METRIC.
      metrics: the config's, of which it must be one.
      hierarchy: with the levels; without it the level is not looked at.

    Raises:
      ValueError: one sentence.
    """
    if best == LOSS:
        return Criterion()
    # A level may have a point in its name.
    level, _, metric = best.rpartition(".")
    _check(metric, "best", (LOSS,))
    if metric not in metrics:
        raise HiersegError(
            f"The config's best is {best!r}, but its metrics are {', '.join(metrics)}; add "
            f"{metric} to them, or choose a best of these or {LOSS}."
        )
    if hierarchy is None:
        return Criterion(metric, level)
    names = hierarchy.level_names
    if "." in best and level not in names:
        raise HiersegError(
            f"The config's best is {best!r}; the tree has the levels {', '.join(names)}."
        )
    return Criterion(metric, level or names[-1])


def _check(name: str, key: str, others: tuple[str, ...] = ()) -> None:
    known = (*others, *METRICS)
    if name not in known:
        hint = did_you_mean(name, known, f"choose of {', '.join(known)}.")
        raise HiersegError(f"There is no metric {name!r} ({key}); {hint}")
