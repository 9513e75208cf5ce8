"""What a training config must hold, and which keys of it a resumed run may change."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from hierseg_jax.data.augment.choice import augmentation_name
from hierseg_jax.data.class_weights import parse_class_weights
from hierseg_jax.data.read.skip import ON_ERROR
from hierseg_jax.data.resize import MAX_SIDE, RESIZES, format_size, nearest_multiple
from hierseg_jax.losses.total import TAKEN_BY, check_loss, check_taken
from hierseg_jax.models import Variant, find_network
from hierseg_jax.settings.metric_choice import parse_best, parse_metrics
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.optimizer import OPTIMIZERS
from hierseg_jax.train.schedule import SCHEDULES
from hierseg_jax.tree.decoding import choose_decoding

# They change when a run ends or what it keeps, not what a step computes but for rounding.
FREE_KEYS = (
    "data.allow_missing_classes",
    "data.allow_changed",
    "data.on_error",
    "data.worker_count",
    "epochs",
    "keep_best",
    "keep_last",
    "metrics",
    "patience",
    "remat",
    "samples",
    "save_period",
    "tensorboard",
)
# What runs computed before these keys were there.
LATER_KEYS = {
    "init": "",
    "data.allow_changed": False,
    "data.hierarchy": "",
    "data.on_error": "fail",
    "data.allow_missing_classes": True,
    "data.resize": "stretch",
    "model.hierarchical": False,
    "model.conv_impl": "auto",
    "model.pretrained": "",
    "model.padding": "symmetric",
    "model.norm_epsilon": 1e-5,
    "model.normalization": "none",
    "decode": "auto",
    "remat": False,
    "loss_options.gamma": 2.0,
    "loss_options.level_weights": (),
    "loss_options.triplets": 1000,
    "loss_options.embedding_size": 64,
    "loss_options.label_smoothing": 0.0,
    "loss_options.hard_share": 1.0,
    "loss_options.class_weights": "none",
    "model.stochastic_depth": 0.0,
    "optimizer.name": "adam",
    "optimizer.weight_decay": 0.01,
    "optimizer.clip_norm": 0.0,
    "optimizer.backbone_rate": 1.0,
    "optimizer.layer_decay": 1.0,
    "schedule.name": "exponential",
    "schedule.warmup_epochs": 0.0,
    "schedule.final": 0.0,
    "schedule.power": 0.9,
    "freeze_epochs": 0,
    "ema_decay": 0.0,
    "metrics": ("miou", "reference_miou", "pixel_accuracy", "precision", "recall", "f1"),
    "best": "loss",
}
# Intervals: a bracket's end belongs to them, a parenthesis's does not.
RANGES = {
    "loss_options.label_smoothing": "[0, 1)",
    "loss_options.hard_share": "(0, 1]",
    "model.stochastic_depth": "[0, 1)",
    "optimizer.weight_decay": "[0, inf)",
    "optimizer.clip_norm": "[0, inf)",
    "optimizer.backbone_rate": "(0, inf)",
    "optimizer.layer_decay": "(0, 1]",
    "schedule.warmup_epochs": "[0, 1000000]",
    "schedule.final": "[0, 1]",
    "schedule.power": "(0, inf)",
    "ema_decay": "[0, 1)",
}
CHOICES = {
    "data.on_error": ON_ERROR,
    "data.resize": RESIZES,
    "optimizer.name": OPTIMIZERS,
    "schedule.name": SCHEDULES,
}


# What leaves a key of `model` to the pretrained weights.
AUTO = {"padding": "auto", "norm_epsilon": 0.0, "normalization": "auto"}


def check_config(config: ConfigDict) -> None:
    """Refuses values that no run can have.

    Raises:
      ValueError: naming the first such key, its value, and what it may be.
    """
    at_least = {
        "batch_size": 1,
        "data.worker_count": 0,
        "data.figures_train": 1,
        "data.figures_val": 1,
        "data.figures_test": 1,
        "epochs": 1,
        "freeze_epochs": 0,
        "keep_best": 1,
        "keep_last": 1,
        "loss_options.embedding_size": 1,
        "loss_options.triplets": 1,
        "patience": 0,
        "samples": 0,
        "save_period": 0,
        "seed": 0,
    }
    values = flatten(config.to_dict())
    for key, least in at_least.items():
        if values[key] < least:
            raise HiersegError(f"The config's {key} is {values[key]}; it must be at least {least}.")
    # 2**32 - 1 is the largest seed that grain takes; the rest is beyond any machine.
    at_most = dict.fromkeys(at_least, 10**9) | {"seed": 2**32 - 1}
    for key, most in at_most.items():
        if values[key] > most:
            raise HiersegError(f"The config's {key} is {values[key]}; it must be at most {most}.")
    network_size(config)
    for key in ("learning_rate", "decay"):
        if not 0 < values[key] < float("inf"):
            raise HiersegError(f"The config's {key} is {values[key]}; it must be above 0.")
    if not 0 <= values["loss_options.gamma"] < float("inf"):
        raise HiersegError(
            f"The config's loss_options.gamma is {values['loss_options.gamma']}; it must be 0 or "
            "more."
        )
    for key, bounds in RANGES.items():
        _check_range(key, values[key], bounds)
    for key, choices in CHOICES.items():
        if values[key] not in choices:
            listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise HiersegError(f"The config's {key} is {values[key]!r}; it must be {listed}.")
    parse_best(config.best, parse_metrics(config.metrics, "The config's metrics"))
    settled(config, Variant())  # refuses values that are none
    augmentation_name(config.augment)
    parse_class_weights(config.loss_options.class_weights)
    weights = check_loss(config.to_dict()["loss"], config.model.hierarchical)
    plain = {key: LATER_KEYS[f"loss_options.{key}"] for key in TAKEN_BY}
    check_taken(weights, [k for k in TAKEN_BY if values[f"loss_options.{k}"] != plain[k]])
    choose_decoding(config.decode, config.model.hierarchical)


def _check_range(key: str, value: float, bounds: str) -> None:
    least, most = (float(bound) for bound in bounds[1:-1].split(","))
    above = value >= least if bounds[0] == "[" else value > least
    below = value <= most if bounds[-1] == "]" else value < most
    if not (above and below):
        low = f"{least:g} or more" if bounds[0] == "[" else f"above {least:g}"
        high = "" if most == float("inf") else f"at most {most:g}"
        high = f"below {most:g}" if high and bounds[-1] == ")" else high
        raise HiersegError(
            f"The config's {key} is {value}; it must be {low}{f' and {high}' if high else ''}."
        )


def network_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """The (height, width) in pixels of what a config's network sees.

    Raises:
      ValueError: where `data.image_size` is neither a side nor a height and a width.
    """
    given = config["data"]["image_size"]
    sides = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides):
        raise HiersegError(
            f"The config's data.image_size is {given!r}; it must be one side in pixels, or height,"
            f"width, each from 1 to {MAX_SIDE}."
        )
    return sides


def fitted(config: ConfigDict, stride: int) -> tuple[ConfigDict, str]:
    """A copy whose `data.image_size` the network takes: sides rounded to its stride.

    Returns:
      The copy; a sentence that says so, empty where nothing was rounded.
    """
    result = ConfigDict(config.to_dict())
    asked = network_size(config)
    height, width = taken = tuple(nearest_multiple(side, stride) for side in asked)
    with result.ignore_type():  # one side or two, whichever it was
        result.data.image_size = height if height == width else taken
    note = (
        f"data.image_size {format_size(asked)} is rounded to {format_size(taken)}, since "
        f"{config.model.name} takes multiples of {stride}."
    )
    return result.lock(), "" if taken == asked else note


def settled(config: ConfigDict, variant: Variant) -> ConfigDict:
    """A copy in which the weights have decided what was left to them.

    Args:
      config: of a run; `AUTO` stands where it leaves something to its pretrained weights.
      variant: that these want.

    Raises:
      ValueError: for a value that no backbone takes.
    """
    result = ConfigDict(config.to_dict())
    for name, auto in AUTO.items():
        if result.model[name] == auto:
            result.model[name] = getattr(variant, name)
    Variant(**{name: result.model[name] for name in AUTO})
    return result.lock()


def config_variant(config: Mapping[str, Any]) -> Variant:
    """How the backbone of a config computes, once nothing of it is left to the weights."""
    model = config["model"]
    if not find_network(model["name"]).takes_variant:
        return Variant()
    return Variant(model["padding"], model["norm_epsilon"], model["normalization"])


def completed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a checkpoint or run, with the keys that came later."""
    config = {k: dict(v) if isinstance(v, Mapping) else v for k, v in stored.items()}
    for key, value in LATER_KEYS.items():
        section, _, name = key.rpartition(".")
        (config.setdefault(section, {}) if section else config).setdefault(name, value)
    return config


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"name": x}} -> {"model.name": x}; lists become tuples, as JSON has only lists."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = tuple(value) if isinstance(value, list) else value
    return flat
