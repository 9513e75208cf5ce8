"""From a config, or from what a checkpoint or run holds of one, to settings."""

import operator
import reprlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

from hierseg_jax.settings.checks import check_values
from hierseg_jax.settings.key import ALWAYS, Key, fields_of
from hierseg_jax.settings.settings import KEYS, Settings
from hierseg_jax.system.errors import HiersegError

_NAMES = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list",
    types.NoneType: "None",
}


def read_settings(config: Any) -> Settings:
    """The settings that a config gives, all of them checked.

    Args:
      config: with the keys of configs/default.py: a `ConfigDict`, nested mappings, or `Settings`.

    Raises:
      ValueError: naming the first key that is missing or has a value that no run can have, and
        what it may be.
    """
    if not isinstance(config, Mapping) and not hasattr(config, "to_dict"):
        raise HiersegError(
            f"A config is a ConfigDict, nested mappings, or Settings; got {reprlib.repr(config)}. "
            "load_config gives that of a name or a file."
        )
    given = config if isinstance(config, Mapping) else config.to_dict()
    for name in KEYS:
        if not _has(given, name):
            raise HiersegError(f"The config has no key {name}; begin with configs/default.py.")
    settings = Settings.from_mapping(given)
    for name, value, key in _wrong_types(settings):
        # What several types may stand for, or names alone, has a sentence of its own.
        if not key.several and not key.choices:
            wanted = "a number" if float in key.kinds else _NAMES[key.kinds[0]]
            raise HiersegError(f"The config's {name} is {value!r}; it must be {wanted}.")
    check_values(settings)
    # What a run stores, `read_stored` has to take.
    for name, value, key in _wrong_types(settings):
        wanted = " or ".join(_NAMES[kind] for kind in key.kinds)
        raise HiersegError(f"The config's {name} is {value!r}; it must be {wanted}.")
    return settings


def read_stored(stored: Any) -> Settings:
    """The settings of a checkpoint or run, with the keys that came later, all of them checked.

    Args:
      stored: its JSON, whoever wrote it.

    Raises:
      ValueError: the first thing that is not as it must be; no sentence by itself.
    """
    sections = (field.name for field in fields_of(Settings) if "key" not in field.metadata)
    for name in ("config", *sections):
        value = stored if name == "config" else stored.get(name, {})
        if not isinstance(value, Mapping):
            raise HiersegError(f"{name} is {reprlib.repr(value)}, not a mapping")
    config = _completed(stored)
    for name in KEYS:
        if not _has(config, name):
            raise HiersegError(f"config.{name} is missing")
    settings = Settings.from_mapping(config)
    for name, value, key in _wrong_types(settings):
        kinds = " or ".join(kind.__name__ for kind in key.kinds)
        raise HiersegError(f"config.{name} is {reprlib.repr(value)}; expected {kinds}")
    check_values(settings)
    return settings


def _completed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a checkpoint or run, with the keys that came later."""
    config = {k: dict(v) if isinstance(v, Mapping) else v for k, v in stored.items()}
    for name, key in KEYS.items():
        if key.earlier is not ALWAYS:
            section, _, last = name.rpartition(".")
            (config.setdefault(section, {}) if section else config).setdefault(last, key.earlier)
    return config


def _has(config: Mapping[str, Any], name: str) -> bool:
    section, _, last = name.rpartition(".")
    within = config.get(section) if section else config
    return isinstance(within, Mapping) and last in within


def _wrong_types(settings: Settings) -> Iterator[tuple[str, Any, Key]]:
    for name, key in KEYS.items():
        value = operator.attrgetter(name)(settings)
        # True is no number, though Python takes it for one.
        fits = isinstance(value, key.kinds) and (bool in key.kinds or not isinstance(value, bool))
        if key.kinds and not fits:
            yield name, value, key
