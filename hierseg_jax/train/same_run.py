"""Whether a config goes on with a run, or would make another one of it."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from hierseg_jax.data.augment.choice import augmentation_name
from hierseg_jax.losses.total import TRIPLET, parse_loss
from hierseg_jax.settings.config import FREE_KEYS, completed, flatten
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.schedule import BY_EPOCHS


def check_same_run(
    stored: Mapping[str, Any], config: ConfigDict, workdir: str, *, data_known: bool = False
) -> None:
    """Refuses to continue a run with a config that would make it another run.

    Another tree file may be given: what is in it is compared elsewhere.

    Args:
      stored: the run's config.
      config: to go on with.
      workdir: for the message.
      data_known: whether the data themselves are compared elsewhere, so that they may lie at
        another path.

    Raises:
      ValueError: naming every such key with both values, and the flags that continue the run.
    """
    before, now = flatten(completed(stored)), flatten(config.to_dict())
    for values in (before, now):
        values["augment"] = augmentation_name(values["augment"])
    planned = _planned_over_all_epochs(stored["loss"], before["schedule.name"])
    free = set(FREE_KEYS) - ({"epochs"} if planned else set())
    if data_known or config.data.allow_changed:
        free.add("data.spec")
    if before["data.hierarchy"] and now["data.hierarchy"]:
        free.add("data.hierarchy")
    changed = [
        key
        for key in sorted(before.keys() | now.keys())
        if key not in free and before.get(key) != now.get(key)
    ]
    if not changed:
        return
    listed = "; ".join(f"{key} was {before.get(key)!r}, now {now.get(key)!r}" for key in changed)
    why = ""
    if "epochs" in changed:
        other = " --config.model.pretrained=" if before["model.pretrained"] else ""
        why = (
            f" {planned} is laid out over all epochs and ends at the last, so that their number "
            "can't change within a run. To train on from the weights that it has come to, give "
            f"--config.init={shlex.quote(workdir)}{other} and another --workdir."
        )
    raise HiersegError(
        f"{workdir} holds a run with another config ({listed}). Continue it with its own"
        f"{flags_of(before, changed)}, or choose another --workdir.{why}"
    )


def flags_of(config: Mapping[str, Any], keys: Iterable[str]) -> str:
    """` (--config.KEY=VALUE ...)` for those keys whose values a flag can give; or nothing.

    Args:
      config: from `flatten`.
      keys: of it, or of another one.
    """
    fitting = [key for key in keys if isinstance(config.get(key), bool | int | float | str)]
    flags = shlex.join(f"--config.{key}={config[key]}" for key in fitting)
    return f" ({flags})" if flags else ""


def _planned_over_all_epochs(loss: Any, schedule: str) -> str:
    """What of a run depends on the number of its epochs; empty where nothing does."""
    if schedule in BY_EPOCHS:
        return f"The {schedule} schedule (schedule.name)"
    return f"The weight of {TRIPLET}" if TRIPLET in parse_loss(loss) else ""
