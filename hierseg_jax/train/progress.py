"""How far a run is: its history and what early stopping remembers. Plain JSON in a checkpoint."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hierseg_jax.evaluation.metrics import level_number
from hierseg_jax.evaluation.result import Evaluation
from hierseg_jax.evaluation.tables import plain
from hierseg_jax.settings.metric_choice import METRICS, Criterion
from hierseg_jax.system.wording import counted, lasting, level_called

LOWEST_LOSS = Criterion()
_MINUTE = 60.0
_MANY_EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class Progress:
    """Immutable; every epoch makes a new one.

    Attributes:
      step: training steps done.
      rows: one plain dict per finished epoch.
      best_score: lowest so far of what tells the best epoch: the validation loss, or a
        metric with its sign changed.
      stale_epochs: epochs since then.
      epoch_losses: of the steps done in the unfinished epoch.
    """

    step: int = 0
    rows: tuple[dict[str, Any], ...] = ()
    best_score: float = float("inf")
    stale_epochs: int = 0
    epoch_losses: tuple[float, ...] = ()

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.rows)

    @property
    def best_row(self) -> dict[str, Any]:
        """Of the best epoch; the first where no epoch had anything to judge it by."""
        return self.rows[max(0, self.epoch - self.stale_epochs - 1)]

    def finished(self, epochs: int, patience: int) -> bool:
        """Whether the run has had its epochs or stopped improving."""
        return self.epoch >= epochs or bool(patience and self.stale_epochs >= patience)

    def with_steps(self, losses: list[float]) -> "Progress":
        """After some steps of an epoch, with their losses."""
        return dataclasses.replace(
            self,
            step=self.step + len(losses),
            epoch_losses=(*self.epoch_losses, *losses),
        )

    def with_epoch(
        self,
        evaluation: Evaluation,
        learning_rate: float,
        seconds: float,
        images: int,
        metrics: Sequence[str] = ("miou",),
        criterion: Criterion = LOWEST_LOSS,
    ) -> "Progress":
        """After an epoch and its validation.

        Args:
          evaluation: on the validation split.
          learning_rate: of the epoch.
          seconds: of its training since the start or resumption.
          images: trained on in that time.
          metrics: of `metric_choice.METRICS`, kept of every level.
          criterion: what tells the best epoch.
        """
        row: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "learning_rate": learning_rate,
            "train_loss": sum(self.epoch_losses) / len(self.epoch_losses),
            "val_loss": evaluation.loss,
            # None where all steps were done before a resumption.
            "images_per_second": round(images / max(seconds, 1e-9), 2) if images else None,
            "levels": {
                name: {metric: plain(level_number(level, metric)) for metric in metrics}
                for name, level in evaluation.levels.items()
            },
            "tree": {
                name: plain(value) for name, value in dataclasses.asdict(evaluation.tree).items()
            },
        }
        if evaluation.inner_labels:
            row["labelled_pixels"] = {
                name: level.labelled_pixels for name, level in evaluation.levels.items()
            }
        score = criterion.score(row)
        # Of equal ones, as while mIoU is still 0, that of the lower loss.
        best_loss = self.best_row["val_loss"] if self.rows else float("inf")
        better = (score, row["val_loss"]) < (self.best_score, best_loss) and score < float("inf")
        return Progress(
            step=self.step,
            rows=(*self.rows, row),
            best_score=score if better else self.best_score,
            stale_epochs=0 if better else self.stale_epochs + 1,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; infinity is null."""
        fields = dataclasses.asdict(self)
        best = fields.pop("best_score")
        # The name that it had when it could only be a loss.
        return fields | {"best_loss": None if best == float("inf") else best}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Progress":
        """Inverse of `to_json`."""
        return cls(
            step=data["step"],
            rows=tuple(data["rows"]),
            best_score=float("inf") if data["best_loss"] is None else data["best_loss"],
            stale_epochs=data["stale_epochs"],
            epoch_losses=tuple(data["epoch_losses"]),
        )


def epoch_line(progress: Progress, epochs: int, left: float = 0.0) -> str:
    """What the last epoch gave, the first metric of every level; a star where it is the best.

    Args:
      progress: after the epoch.
      epochs: of the whole run.
      left: seconds that the others may take; told from a minute on.
    """
    row = progress.rows[-1]
    shown = next((metric for level in row["levels"].values() for metric in level), "miou")
    numbers = " / ".join(
        "-" if level[shown] is None else f"{level[shown]:.4f}" for level in row["levels"].values()
    )
    rate = row["images_per_second"]
    told = [] if rate is None else [f"{rate:.1f} images/s"]
    if left >= _MINUTE:
        told.append(f"about {lasting(left)} left")
    return (
        f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, validation loss "
        f"{row['val_loss']:.4f}, {METRICS[shown].title} {numbers} ({' / '.join(row['levels'])})"
        f"{''.join(f', {each}' for each in told)}{'' if progress.stale_epochs else ' *'}"
    )


def stand_in_note(progress: Progress, criterion: Criterion) -> str:
    """After the first epoch, that another level than the config's `best` tells; else nothing."""
    level = criterion.level_of(progress.rows[-1])
    if progress.epoch > 1 or level == criterion.level:
        return ""
    return (
        f"the labels of the validation split stop above {level_called(criterion.level)}, whose "
        f"{METRICS[criterion.metric].title} should tell the best epoch; that of "
        f"{level_called(level)} does."
    )


def start_note(progress: Progress, start: str) -> str:
    """A line at a run's end, that a trained network it began from may be better; else nothing.

    Args:
      start: what it started from; empty without.
    """
    if not start or progress.epoch < _MANY_EPOCHS or progress.best_row["epoch"] > 1:
        return ""
    return (
        f"No epoch was better than the first. {start}, which training began from, may be better as "
        "it is: hierseg evaluate tells. A lower --config.learning_rate keeps more of it.\n"
    )


def end_line(progress: Progress, epochs: int, criterion: Criterion = LOWEST_LOSS) -> str:
    """How the run ended, and its best epoch."""
    best = progress.best_row
    stopped = f" (stopped early: {counted(progress.stale_epochs, 'epoch')} without a better one)"
    early = stopped if progress.epoch < epochs else ""
    return (
        f"Done after {counted(progress.epoch, 'epoch')}{early}; best is epoch "
        f"{best['epoch']} with {criterion.describe(best)}."
    )
