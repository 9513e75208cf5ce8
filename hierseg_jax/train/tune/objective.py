"""What is searched for: a number of a run's history."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hierseg_jax.data.sizes import format_size
from hierseg_jax.models import create_model
from hierseg_jax.settings import Settings
from hierseg_jax.settings.fitting import fitted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.tune.space import Choice, Space
from hierseg_jax.tree.hierarchy import Hierarchy

VAL_LOSS = "val_loss"
MIOU = "miou"
# What changes the validation pictures, their classes or the pixels that count.
_CHANGES_DATA = (
    "data.spec",
    "data.hierarchy",
    "data.figures_val",
    "data.figures_inner_share",
    "data.image_size",
    "data.on_error",
    "data.resize",
    "data.sampling",
)
# What changes the loss that is measured, and not the network alone. It is a mean over batches.
_CHANGES_LOSS = (
    "batch_size",
    "loss",
    "loss_options.beta",
    "loss_options.every_level",
    "loss_options.gamma",
    "loss_options.level_weights",
    "model.hierarchical",
)


class UndefinedError(HiersegError):
    """A number that an epoch lacks, such as the precision where only background is predicted."""


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
          UndefinedError: for want of pixels to measure.
        """
        if not self.maximized:
            return row[VAL_LOSS]
        # A level may have a point in its name.
        level, _, key = self.name.removeprefix("levels.").rpartition(".")
        value = row["levels"][level][key]
        if value is None:
            raise UndefinedError(
                f"{self.name} is undefined: no class of that level is in the validation split, or "
                "none is predicted there."
            )
        return value

    def of_run(self, progress: Progress) -> float:
        """That of the best epoch, by the config's `best`, whose checkpoint a run keeps."""
        return self.of_epoch(progress.best_row)


def find_metric(name: str | None, hierarchy: Hierarchy, metrics: Sequence[str]) -> Metric:
    """A metric by its name.

    Args:
      name: a column of metrics.csv; None for the mIoU of the finest level.
      hierarchy: with the levels.
      metrics: that the config keeps of every level.

    Raises:
      ValueError: naming the nearest one, or all.
    """
    if name is None:
        name = f"levels.{hierarchy.level_names[-1]}.{MIOU}"
        if MIOU not in metrics:
            raise HiersegError(
                f"Without --metric a search goes by {name}, but the config's metrics are "
                f"{', '.join(metrics)}; add {MIOU} to them, or give a --metric."
            )
    names = [VAL_LOSS] + [
        f"levels.{level.name}.{key}" for level in hierarchy.levels for key in metrics
    ]
    if name not in names:
        hint = did_you_mean(name, names, f"choose one of {', '.join(names)}.")
        raise HiersegError(f"--metric is {name!r}; {hint}")
    return Metric(name)


def check_comparable(space: Space, metric: Metric) -> None:
    """Refuses a search whose trials could not be compared by the metric.

    Raises:
      ValueError: naming the key and what to do.
    """
    for key in space:
        why, remedy = _incomparable(key, metric)
        if why:
            raise HiersegError(
                f"The space has {key}, which {why}; trials could not be compared. {remedy}"
            )


def _incomparable(key: str, metric: Metric) -> tuple[str, str]:
    """What a searched key does to the metric, and what to do about it; empty for nothing."""
    remove = "Remove it, and set it with --config."
    other = "Choose a --metric of a level, such as levels.NAME.miou."
    if key in _CHANGES_DATA:
        return f"changes what {metric.name} is measured on", remove
    if key == "seed":
        return "draws other embedded figures, and elsewhere tells the luckiest run alone", remove
    if key == "best":
        return f"decides from which epoch {metric.name} is taken", remove
    # A loss may be a mapping, whose keys are `loss.NAME`.
    if not metric.maximized and (key in _CHANGES_LOSS or key.startswith("loss.")):
        return f"changes what {VAL_LOSS} is", other
    if metric.name.endswith(".reference_miou") and key == "batch_size":
        return f"changes what {metric.name} is, an average over batches", other
    return "", ""


def check_one_size(space: Space, settings: Settings) -> None:
    """Refuses a search over networks that would be measured at different sizes.

    Raises:
      ValueError: naming the sizes and what to do.
    """
    networks = space.get("model.name")
    if not isinstance(networks, Choice):
        return
    strides = {str(name): create_model(str(name), 2).stride for name in networks.values}
    sizes = {name: fitted(settings, stride)[0].data.size for name, stride in strides.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{format_size(size)} for {name}" for name, size in sizes.items())
        raise HiersegError(
            f"The space has model.name, and data.image_size is rounded to {listed} pixels; trials "
            f"could not be compared. Set data.image_size to multiples of {max(strides.values())}."
        )
