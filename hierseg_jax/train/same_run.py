"""Whether settings go on with a run, or would make another one of it."""

import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from hierseg_jax.data.read.members import parse_members, spec_text
from hierseg_jax.losses.sum_of_names import TRIPLET
from hierseg_jax.settings import Settings
from hierseg_jax.settings.settings import FREE_KEYS
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.schedule import BY_EPOCHS

OF_CLASSES = ("data.spec", "data.hierarchy")
"""Keys that say which classes there are."""

FOLDERS = ("data.negatives", "data.unlabelled")
"""Keys that name folders, which may lie at another path where the data are known."""


def check_same_run(
    stored: Settings, settings: Settings, workdir: str, *, data_known: bool = False
) -> None:
    """Refuses to continue a run with settings that would make it another run.

    Another tree file and other places of the teachers may be given: what is there is compared
    elsewhere.

    Args:
      data_known: whether the data themselves are compared elsewhere, so that they may lie at
        another path; of several data sets each must keep its weight.

    Raises:
      ValueError: naming every such key with both values, and the flags that continue the run.
    """
    before, now = (of.flat() | {"augment": of.augmentation} for of in (stored, settings))
    planned = _planned_over_all_epochs(stored)
    free = set(FREE_KEYS) - ({"epochs"} if planned else set())
    same_weights = data_known and _weights(stored) == _weights(settings)
    if same_weights or settings.data.allow_changed:
        free.add("data.spec")
    if stored.data.hierarchy and settings.data.hierarchy:
        free.add("data.hierarchy")
    free |= {key for key in FOLDERS if data_known and before.get(key) and now.get(key)}
    if len(stored.teachers) == len(settings.teachers) > 0:
        free.add("teacher")
    changed = differing_keys(before, now, free)
    if not changed:
        return
    listed = "; ".join(f"{key} was {before.get(key)!r}, now {now.get(key)!r}" for key in changed)
    why = ""
    if "epochs" in changed:
        why = (
            f" {planned} is laid out over all epochs and ends at the last, so that their number "
            "can't change within a run."
        )
    # Its weights are of its network and of its classes.
    if not any(key.startswith("model.") or key in OF_CLASSES for key in changed):
        why += (
            " To train on from the weights that it has come to, give "
            f"--config.init={shlex.quote(workdir)} and another --workdir."
        )
    raise HiersegError(
        f"{workdir} holds a run with another config ({listed}). Continue it with its own"
        f"{flags_of(before, changed)}, or choose another --workdir.{why}"
    )


def differing_keys(
    before: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str]
) -> list[str]:
    """In order, those of different values, the free ones aside."""
    keys = (before.keys() | now.keys()) - set(free)
    values = {key: (before.get(key), now.get(key)) for key in keys}
    # NaN equals nothing.
    return sorted(key for key, (a, b) in values.items() if a != b and repr(a) != repr(b))


def flags_of(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    """` (--config.KEY=VALUE ...)` for those keys whose values a flag can give; or nothing."""
    given = {key: values.get(key) for key in keys}
    if isinstance(several := given.get("data.spec"), tuple):
        given["data.spec"] = spec_text(several)
    texts = {key: _flag_text(value) for key, value in given.items()}
    flags = shlex.join(f"--config.{key}={text}" for key, text in texts.items() if text is not None)
    return f" ({flags})" if flags else ""


def _flag_text(value: Any) -> str | None:
    """A value as a flag takes it, where one can."""
    if isinstance(value, tuple):
        # Texts may have commas in them.
        texts = any(isinstance(of, str) for of in value)
        return repr(value) if texts else ",".join(map(str, value))
    return str(value) if isinstance(value, bool | int | float | str) else None


def _weights(settings: Settings) -> tuple[float, ...]:
    """How often examples of each data set are drawn."""
    return tuple(member.weight for member in parse_members(settings.data.spec))


def _planned_over_all_epochs(settings: Settings) -> str:
    """What of a run depends on the number of its epochs; empty where nothing does."""
    if settings.schedule.name in BY_EPOCHS:
        return f"The {settings.schedule.name} schedule (schedule.name)"
    if len(settings.progressive) > 1:
        return "Progressive resizing (progressive)"
    return f"The weight of {TRIPLET}" if TRIPLET in settings.loss_weights else ""
