"""What is searched for: a number of a run's history."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from hierseg_jax.errors import HiersegError
from hierseg_jax.hierarchy import Hierarchy
from hierseg_jax.train.progress import Progress
from hierseg_jax.tune.space import Space

VAL_LOSS = "val_loss"
# What changes the validation pictures or their classes.
_CHANGES_DATA = (
    "data.spec",
    "data.hierarchy",
    "data.figures_val",
    "data.on_error",
    "data.resize",
)
# What changes the loss that is measured, and not the network alone.
_CHANGES_LOSS = ("loss", "loss_options.gamma", "model.hierarchical")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A column of metrics.csv, as `val_loss` or `levels.part.miou`."""

    name: str

    @property
    def maximized(self) -> bool:
        """Whether more is better."""
        return self.name != VAL_LOSS

    def of_epoch(self, row: Mapping[str, Any]) -> float:
        """The number of one epoch of a `Progress`.

        Raises:
          ValueError: if it is undefined, for want of pixels to measure.
        """
        if not self.maximized:
            return row[VAL_LOSS]
        _, level, key = self._parts()
        value = row["levels"][level][key]
        if value is None:
            raise HiersegError(
                f"{self.name} is undefined: no class of that level is in the validation split or "
                "predicted there. Choose another --metric."
            )
        return value

    def of_run(self, progress: Progress) -> float:
        """That of the best epoch, by the config's `best`, whose checkpoint a run keeps."""
        return self.of_epoch(progress.best_row)

    def _parts(self) -> tuple[str, str, str]:
        # A level may have a point in its name.
        first, _, rest = self.name.partition(".")
        level, _, key = rest.rpartition(".")
        return first, level, key


def find_metric(name: str, hierarchy: Hierarchy, metrics: Sequence[str]) -> Metric:
    """A metric by its name.

    Args:
      name: a column of metrics.csv.
      hierarchy: with the levels.
      metrics: that the config keeps of every level.

    Raises:
      ValueError: naming the nearest one, or all.
    """
    names = [VAL_LOSS] + [
        f"levels.{level.name}.{key}" for level in hierarchy.levels for key in metrics
    ]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}."
        raise HiersegError(f"--metric is {name!r}; {hint}")
    return Metric(name)


def check_comparable(space: Space, metric: Metric) -> None:
    """Refuses a search whose trials could not be compared by the metric.

    Raises:
      ValueError: naming the key and what to do.
    """
    for key in space:
        if key in _CHANGES_DATA:
            raise HiersegError(
                f"The space has {key}, which changes what {metric.name} is measured on; trials "
                "could not be compared. Remove it, and set it with --config."
            )
        if not metric.maximized and key in _CHANGES_LOSS:
            raise HiersegError(
                f"The space has {key}, which changes what val_loss is; trials could not be "
                "compared. Choose a --metric of a level, such as levels.NAME.miou."
            )
