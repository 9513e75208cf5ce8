"""Sentences about flags and keys that are missing, unknown, or no numbers."""

import difflib
import os
import re

from absl import flags

from hierseg_jax.system.command_help import ShortForms
from hierseg_jax.system.wording import printable

# As ml_collections tells of an override, of an assignment in a file, and of a key below a value.
_UNKNOWN_KEY = re.compile(
    r"""\A'([\w.]+)'(?:\n|\Z)|\AKey "([\w.]+)" does not exist|Attempting to lookup: ([\w.]+)"""
)

# And as Python tells absl of text that is no number.
_NO_NUMBER = re.compile(
    r"flag --([\w.]+)=(.*): (?:invalid literal for (int)|could not convert string to float)"
)
_NO_SWITCH = re.compile(r"flag --([\w.]+)=(.*): \('Non-boolean argument to boolean flag'")
_OTHERWISE = {"lr": "learning_rate", "imgsz": "image_size", "bs": "batch_size"}
"""What other programs call it."""


def missing_key(error: Exception) -> str | None:
    """A sentence, where a config file or an override sets a key that the config lacks."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    if not isinstance(error, KeyError | AttributeError) or not error.args:
        return None
    told = str(error.args[0])
    found = _UNKNOWN_KEY.search(told)
    if found is None:
        return None
    nearest = re.search(r"Did you mean .*", told)
    name = next(filter(None, found.groups()))
    own = " (`with config.unlocked():` adds one of your own.)" if found[2] else ""
    return f"the config has no key '{name}'. {nearest[0] if nearest else ''}".rstrip() + own


def missing_flag(flag: flags.Flag) -> str:
    """That a flag has to be given, and what it is."""
    meaning = str(flag.help).partition(";\n")[0].rstrip(".")  # without absl's "repeat this option"
    if not meaning[1:2].isupper():  # YAML stays
        meaning = meaning[:1].lower() + meaning[1:]
    return f"error: --{flag.name} is missing: {meaning}. --help tells all flags."


def unknown_flag(
    name: str, command: str, own_flags: flags.FlagValues, short: ShortForms | None
) -> str:
    """That a command has no such flag, and the one that may have been meant."""
    keys = short.config_keys if short is not None else ()
    given, name = name, _OTHERWISE.get(name, name)
    meant = [k for k in keys if k in (name, f"{name}.name") or k.endswith(f".{name}")]
    known = {each: each for each in (*own_flags, *(short.meanings if short else ()))}
    told = [f"--{name}"] if name in known else [f"--config.{key}" for key in meant]
    told = told or [f"--{each}" for each in known if name in each and len(name) > 2]
    if not told:
        known = {key.rpartition(".")[2]: f"config.{key}" for key in keys} | known
        near = difflib.get_close_matches(name.casefold(), known, 1, cutoff=0.7)
        told = [f"--{known[each]}" for each in near]
    command = os.path.basename(command)
    hint = f"did you mean {' or '.join(told)}?" if told else f"{command} --help tells its flags."
    return f"error: {command} has no flag --{printable(given)}; {hint}"


def no_number(text: str, short: ShortForms | None) -> str:
    """Of what absl tells of a value: the flag as it was typed, and what it takes."""
    if found := _NO_SWITCH.search(text):
        return f"--{found[1]} is {found[2]!r}; it takes true, false, or nothing."
    found = _NO_NUMBER.search(text)
    if found is None:
        return ""
    name, value, kind = found.groups()
    form = name.rpartition(".")[2]
    name = form if short is not None and form in short.meanings else name
    return f"--{name} is {value!r}; expected a {'whole number' if kind == 'int' else 'number'}."
