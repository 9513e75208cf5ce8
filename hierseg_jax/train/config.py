"""What a training config must hold, and what of it a resumed run may change."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from hierseg_jax.data.skip import ON_ERROR
from hierseg_jax.decode import choose_decoding
from hierseg_jax.losses.total import TRIPLET, check_loss, parse_loss
from hierseg_jax.models.efficientnet import Variant

# They change when a run ends or what it keeps, not what a step computes.
FREE_KEYS = (
    "data.on_error",
    "data.worker_count",
    "epochs",
    "keep_best",
    "keep_last",
    "patience",
    "samples",
    "save_period",
    "tensorboard",
)
# What runs computed before these keys were there.
LATER_KEYS = {
    "init": "",
    "data.hierarchy": "",
    "data.on_error": "fail",
    "model.hierarchical": False,
    "model.conv_impl": "auto",
    "model.pretrained": "",
    "model.padding": "symmetric",
    "model.norm_epsilon": 1e-5,
    "model.normalization": "none",
    "decode": "auto",
    "loss_options.gamma": 2.0,
    "loss_options.level_weights": (),
    "loss_options.triplets": 1000,
    "loss_options.embedding_size": 64,
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
        "data.image_size": 1,
        "data.worker_count": 0,
        "data.figures_train": 1,
        "data.figures_val": 1,
        "data.figures_test": 1,
        "epochs": 1,
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
            raise ValueError(f"The config's {key} is {values[key]}; it must be at least {least}.")
    # 2**32 - 1 is the largest seed that grain takes; the rest is beyond any machine.
    at_most = dict.fromkeys(at_least, 10**9) | {"data.image_size": 2**14, "seed": 2**32 - 1}
    for key, most in at_most.items():
        if values[key] > most:
            raise ValueError(f"The config's {key} is {values[key]}; it must be at most {most}.")
    for key in ("learning_rate", "decay"):
        if not 0 < values[key] < float("inf"):
            raise ValueError(f"The config's {key} is {values[key]}; it must be above 0.")
    if not 0 <= values["loss_options.gamma"] < float("inf"):
        raise ValueError(
            f"The config's loss_options.gamma is {values['loss_options.gamma']}; it must be 0 or "
            "more."
        )
    if values["data.on_error"] not in ON_ERROR:
        raise ValueError(
            f"The config's data.on_error is {values['data.on_error']!r}; it must be "
            f"{' or '.join(ON_ERROR)}."
        )
    settled(config, Variant())  # refuses values that are none
    check_loss(config.to_dict()["loss"], config.model.hierarchical)
    choose_decoding(config.decode, config.model.hierarchical)


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
    if model["name"] != "effunet":
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


def check_same_run(stored: Mapping[str, Any], config: ConfigDict, workdir: str) -> None:
    """Refuses to continue a run with a config that would make it another run.

    Raises:
      ValueError: naming every such key with both values.
    """
    before, now = flatten(completed(stored)), flatten(config.to_dict())
    free = set(FREE_KEYS)
    if TRIPLET in parse_loss(stored["loss"]):
        free.remove("epochs")  # the weight of tree_triplet depends on them
    changed = [
        f"{key} was {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if key not in free and before.get(key) != now.get(key)
    ]
    if changed:
        raise ValueError(
            f"{workdir} holds a run with another config ({'; '.join(changed)}). Continue it with "
            "its own, or choose another --workdir."
        )
