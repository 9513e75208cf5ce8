"""What a training config must hold, and what of it a resumed run may change."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from hierseg_jax.losses import get_loss

# They change when a run ends or what it keeps, not what a step computes.
FREE_KEYS = (
    "data.worker_count",
    "epochs",
    "keep_best",
    "keep_last",
    "patience",
    "samples",
    "save_period",
    "tensorboard",
)


def check_config(config: ConfigDict) -> None:
    """Refuses values that no run can have.

    Raises:
      ValueError: naming the first such key, its value, and what it may be.
    """
    at_least = {
        "batch_size": 1,
        "data.image_size": 1,
        "data.worker_count": 0,
        "data.figures_train": 1,
        "data.figures_val": 1,
        "data.figures_test": 1,
        "epochs": 1,
        "keep_best": 1,
        "keep_last": 1,
        "patience": 0,
        "samples": 0,
        "save_period": 0,
        "seed": 0,
    }
    values = flatten(config.to_dict())
    for key, least in at_least.items():
        if values[key] < least:
            raise ValueError(f"The config's {key} is {values[key]}; it must be at least {least}.")
    # 2**32 - 1 is the largest seed that grain takes; the rest is beyond any machine.
    at_most = dict.fromkeys(at_least, 10**9) | {"data.image_size": 2**14, "seed": 2**32 - 1}
    for key, most in at_most.items():
        if values[key] > most:
            raise ValueError(f"The config's {key} is {values[key]}; it must be at most {most}.")
    for key in ("learning_rate", "decay"):
        if not 0 < values[key] < float("inf"):
            raise ValueError(f"The config's {key} is {values[key]}; it must be above 0.")
    get_loss(config.loss)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"name": x}} -> {"model.name": x}."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def check_same_run(stored: Mapping[str, Any], config: ConfigDict, workdir: str) -> None:
    """Refuses to continue a run with a config that would make it another run.

    Raises:
      ValueError: naming every such key with both values.
    """
    # Runs older than the key `init` started from fresh weights.
    before, now = {"init": ""} | flatten(stored), flatten(config.to_dict())
    changed = [
        f"{key} was {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if key not in FREE_KEYS and before.get(key) != now.get(key)
    ]
    if changed:
        raise ValueError(
            f"{workdir} holds a run with another config ({'; '.join(changed)}). Continue it with "
            "its own, or choose another --workdir."
        )
