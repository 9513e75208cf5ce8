"""How far a run is: its history and what early stopping remembers. Plain JSON in a checkpoint."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hierseg_jax.evaluate import Evaluation
from hierseg_jax.report import plain


@dataclasses.dataclass(frozen=True)
class Progress:
    """Immutable; every epoch makes a new one.

    Attributes:
      step: training steps done.
      rows: one plain dict per finished epoch.
      best_loss: lowest validation loss so far.
      stale_epochs: epochs since then.
      epoch_losses: of the steps done in the unfinished epoch.
    """

    step: int = 0
    rows: tuple[dict[str, Any], ...] = ()
    best_loss: float = float("inf")
    stale_epochs: int = 0
    epoch_losses: tuple[float, ...] = ()

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.rows)

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
        self, evaluation: Evaluation, learning_rate: float, seconds: float, images: int
    ) -> "Progress":
        """After an epoch and its validation.

        Args:
          evaluation: on the validation split.
          learning_rate: of the epoch.
          seconds: of its training since the start or resumption.
          images: trained on in that time.
        """
        row = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "learning_rate": learning_rate,
            "train_loss": sum(self.epoch_losses) / len(self.epoch_losses),
            "val_loss": evaluation.loss,
            "images_per_second": round(images / max(seconds, 1e-9), 2),
            "levels": {
                name: {
                    "miou": plain(level.miou),
                    "reference_miou": plain(level.reference_miou),
                    "pixel_accuracy": plain(level.pixel_accuracy),
                }
                for name, level in evaluation.levels.items()
            },
            "tree": {
                name: plain(value) for name, value in dataclasses.asdict(evaluation.tree).items()
            },
        }
        better = evaluation.loss < self.best_loss
        return Progress(
            step=self.step,
            rows=(*self.rows, row),
            best_loss=evaluation.loss if better else self.best_loss,
            stale_epochs=0 if better else self.stale_epochs + 1,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; infinity is null."""
        fields = dataclasses.asdict(self)
        return fields | {"best_loss": self.best_loss if self.rows else None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Progress":
        """Inverse of `to_json`."""
        return cls(
            step=data["step"],
            rows=tuple(data["rows"]),
            best_loss=float("inf") if data["best_loss"] is None else data["best_loss"],
            stale_epochs=data["stale_epochs"],
            epoch_losses=tuple(data["epoch_losses"]),
        )


def epoch_line(progress: Progress, epochs: int) -> str:
    """What the last epoch gave; a star where its validation loss is the best so far."""
    row = progress.rows[-1]
    mious = " / ".join(
        "-" if level["miou"] is None else f"{level['miou']:.4f}" for level in row["levels"].values()
    )
    return (
        f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, validation loss "
        f"{row['val_loss']:.4f}, mIoU {mious} ({' / '.join(row['levels'])}), "
        f"{row['images_per_second']:.1f} images/s{'' if progress.stale_epochs else ' *'}"
    )


def end_line(progress: Progress, epochs: int) -> str:
    """How the run ended, and its best epoch."""
    best = min(progress.rows, key=lambda row: row["val_loss"])
    stopped = f" (stopped early: {progress.stale_epochs} epochs without a lower validation loss)"
    return (
        f"Done after {progress.epoch} epochs{stopped if progress.epoch < epochs else ''}; best is "
        f"epoch {best['epoch']} with a validation loss of {best['val_loss']:.4f}."
    )
