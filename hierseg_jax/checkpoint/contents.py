"""What a checkpoint's JSON must hold for its readers, whoever wrote it."""

import reprlib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from hierseg_jax.settings.config import check_config, completed, flatten
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

NUMBER = (int, float)
TYPES: dict[str, tuple[type, ...]] = {
    "step": (int,),
    "epoch": (int, type(None)),
    "val_loss": (*NUMBER, type(None)),
    "score": (*NUMBER, type(None)),
}
PROGRESS_TYPES: dict[str, tuple[type, ...]] = {
    "step": (int,),
    "rows": (list,),
    "best_loss": (*NUMBER, type(None)),
    "stale_epochs": (int,),
    "epoch_losses": (list,),
}
ROW_TYPES: dict[str, tuple[type, ...]] = {
    "epoch": (int,),
    "val_loss": NUMBER,
    "levels": (dict,),
}
DATA_TYPES: dict[str, tuple[type, ...]] = {"examples": (int,), "bytes": (int,), "sha256": (str,)}
CONFIG_TYPES: dict[str, tuple[type, ...]] = {
    "data.spec": (str,),
    "data.hierarchy": (str,),
    "data.image_size": (int, tuple),
    "data.resize": (str,),
    "data.worker_count": (int,),
    "data.on_error": (str,),
    "data.allow_missing_classes": (bool,),
    "data.allow_changed": (bool,),
    "data.figures_train": (int,),
    "data.figures_val": (int,),
    "data.figures_test": (int,),
    "model.name": (str,),
    "model.backbone": (str, type(None)),
    "model.dtype": (str,),
    "model.dropout": (bool,),
    "model.hierarchical": (bool,),
    "model.conv_impl": (str,),
    "init": (str,),
    "loss_options.gamma": NUMBER,
    "loss_options.level_weights": (tuple,),
    "loss_options.triplets": (int,),
    "loss_options.embedding_size": (int,),
    "decode": (str,),
    "remat": (bool,),
    "model.pretrained": (str,),
    "model.padding": (str,),
    "model.norm_epsilon": NUMBER,
    "model.normalization": (str,),
    "model.stochastic_depth": NUMBER,
    "loss_options.label_smoothing": NUMBER,
    "loss_options.hard_share": NUMBER,
    "loss_options.class_weights": (str,),
    "augment": (bool, str, int),
    "optimizer.name": (str,),
    "optimizer.weight_decay": NUMBER,
    "optimizer.clip_norm": NUMBER,
    "optimizer.backbone_rate": NUMBER,
    "optimizer.layer_decay": NUMBER,
    "schedule.name": (str,),
    "schedule.warmup_epochs": NUMBER,
    "schedule.final": NUMBER,
    "schedule.power": NUMBER,
    "freeze_epochs": (int,),
    "ema_decay": NUMBER,
    "metrics": (tuple,),
    "best": (str,),
    "batch_size": (int,),
    "epochs": (int,),
    "learning_rate": NUMBER,
    "decay": NUMBER,
    "patience": (int,),
    "seed": (int,),
    "save_period": (int,),
    "keep_best": (int,),
    "keep_last": (int,),
    "samples": (int,),
    "tensorboard": (bool,),
}


def completed_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON with the config's later keys, once all of it that is ever read is checked.

    Raises:
      ValueError: the first thing that is not as it must be; no sentence by itself.
    """
    try:
        _check_types({"score": None, **meta}, TYPES, "")
        Hierarchy.from_json(meta.get("hierarchy"))
        config = _completed_config(meta.get("config"))
        progress = meta.get("progress")
        if progress is not None:
            _check_progress(progress)
        _check_data(meta.get("data", {}))
    except RecursionError:
        raise HiersegError("it is nested too deep") from None
    # Earlier versions knew one score.
    return {"score": meta["val_loss"], **meta, "config": config}


def _completed_config(stored: Any) -> dict[str, Any]:
    sections = ("data", "model", "loss_options", "optimizer", "schedule")
    for section in ("config", *sections):
        value = stored if section == "config" else stored.get(section, {})
        if not isinstance(value, Mapping):
            raise HiersegError(f"{section} is {reprlib.repr(value)}, not a mapping")
    config = completed(stored)
    _check_types(flatten(config), CONFIG_TYPES, "config.")
    if "loss" not in config:
        raise HiersegError("config.loss is missing")
    check_config(ConfigDict(config))
    return config


def _check_progress(progress: Any) -> None:
    if not isinstance(progress, Mapping):
        raise HiersegError(f"progress is {reprlib.repr(progress)}, not a mapping")
    _check_types(progress, PROGRESS_TYPES, "progress.")
    for row in progress["rows"]:
        if not isinstance(row, Mapping):
            raise HiersegError(f"progress.rows holds {reprlib.repr(row)}, not mappings alone")
        _check_types(row, ROW_TYPES, "progress.rows: ")


def _check_data(data: Any) -> None:
    """Fingerprints by split, from `Inventory`."""
    if not isinstance(data, Mapping):
        raise HiersegError(f"data is {reprlib.repr(data)}, not a mapping")
    for split, fingerprint in data.items():
        if not isinstance(fingerprint, Mapping):
            raise HiersegError(f"data.{split} is {reprlib.repr(fingerprint)}, not a mapping")
        _check_types(fingerprint, DATA_TYPES, "data: ")


def _check_types(
    values: Mapping[str, Any], types: Mapping[str, tuple[type, ...]], prefix: str
) -> None:
    """JSON's own types, so that True is no number."""
    for key, expected in types.items():
        if key not in values:
            raise HiersegError(f"{prefix}{key} is missing")
        if type(values[key]) not in expected:
            names = " or ".join(kind.__name__ for kind in expected)
            raise HiersegError(f"{prefix}{key} is {reprlib.repr(values[key])}; expected {names}")
