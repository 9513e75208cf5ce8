"""What is searched: a YAML file that gives keys of the config ranges or choices.

learning_rate: {log_uniform: [1e-4, 1e-2]}
decay: {uniform: [0.7, 1.0]}
epochs: {int: [4, 12]}
batch_size: {choice: [8, 16]}
"""

import dataclasses
import itertools
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hierseg_jax.data.read.safe_yaml import read_yaml
from hierseg_jax.settings import Settings, read_settings
from hierseg_jax.settings.settings import KEYS
from hierseg_jax.system.errors import HiersegError, said_with
from hierseg_jax.system.wording import did_you_mean

KINDS = ("uniform", "log_uniform", "int", "choice")
Value = bool | int | float | str
# Of choices, that are checked before the search; a mistake in a later one would end it.
_COMBINATIONS = 4096


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones of the kind `int`."""

    kind: str
    low: float
    high: float

    def suggest(self, trial: Any, key: str) -> Value:
        """A value for an `optuna.Trial`."""
        if self.kind == "int":
            return trial.suggest_int(key, int(self.low), int(self.high))
        return trial.suggest_float(key, self.low, self.high, log=self.kind == "log_uniform")

    def to_json(self) -> dict[str, list[Value]]:
        """As in the file."""
        return {self.kind: [self.low, self.high]}


@dataclasses.dataclass(frozen=True)
class Choice:
    """Two values or more, in no order."""

    values: tuple[Value, ...]

    def suggest(self, trial: Any, key: str) -> Value:
        """A value for an `optuna.Trial`."""
        return trial.suggest_categorical(key, self.values)

    def to_json(self) -> dict[str, list[Value]]:
        """As in the file."""
        return {"choice": list(self.values)}


Space = Mapping[str, Range | Choice]


def read_space(file: Path, settings: Settings) -> Space:
    """The ranges and choices of a file, by dotted key, in its order.

    Args:
      file: YAML, as above.
      settings: what the keys belong to; tells their types.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one sentence that starts with the file's path.
    """
    content = read_yaml(file)
    if not isinstance(content, dict) or not content:
        raise HiersegError(
            f"{file}: expected lines such as `learning_rate: {{log_uniform: [1e-4, 1e-2]}}`; "
            f"found {reprlib.repr(content)}."
        )
    known = settings.flat()
    space = {}
    for key, entry in content.items():
        if key not in known:
            raise HiersegError(
                f"{file}: the config has no key {reprlib.repr(key)}{_near(key, known)}"
            )
        with said_with(f"{file}: {key}: "):
            space[key] = _parse(entry, known[key], KEYS[key].kinds if key in KEYS else ())
    with said_with(f"{file}: "):
        _check_values(space, settings)
    return space


def format_value(value: Any) -> str:
    """A number in five digits, anything else as it is."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def format_values(values: Mapping[str, Value]) -> str:
    """`learning_rate=0.0012, batch_size=8`."""
    return ", ".join(f"{key}={format_value(value)}" for key, value in values.items())


def _near(key: Any, known: Mapping[str, Any]) -> str:
    below = [name for name in known if name.startswith(f"{key}.")]
    if below:
        return f"; it is a section: write {' or '.join(below[:2])}."
    return f"; {did_you_mean(key, known, '`hierseg train --help=keys` lists them all.')}"


def _parse(entry: Any, current: Any, kinds: tuple[type, ...]) -> Range | Choice:
    """One key's range or choice.

    Args:
      entry: from the file.
      current: the config's value of the key.
      kinds: types of the values that the key may have.
    """
    if not isinstance(entry, dict) or len(entry) != 1 or next(iter(entry)) not in KINDS:
        raise HiersegError(
            f"expected one of {', '.join(KINDS)}, as in {{choice: [1, 2]}}; found "
            f"{reprlib.repr(entry)}."
        )
    kind, values = next(iter(entry.items()))
    if not isinstance(values, list | tuple):
        raise HiersegError(f"{kind} needs a list; found {reprlib.repr(values)}.")
    if not isinstance(current, Value):
        raise HiersegError(
            f"its value is {reprlib.repr(current)}; only numbers, text and true or false can be "
            "searched."
        )
    if kind == "choice":
        # Of a key that text and numbers may stand for, such as `augment`, all are taken.
        others = kinds if str in kinds else ()
        return _choice([v if type(v) in others else _typed(v, current) for v in values])
    if isinstance(current, bool | str) or isinstance(current, float) == (kind == "int"):
        fitting = {bool: "choice", str: "choice", int: "int or choice"}
        raise HiersegError(
            f"its value is {current!r}, which {kind} does not fit; use "
            f"{fitting.get(type(current), 'uniform, log_uniform or choice')}."
        )
    if len(values) != 2:
        raise HiersegError(
            f"{kind} needs the lowest and the highest value; found {len(values)} values."
        )
    low, high = (_typed(value, current) for value in values)
    if not low < high:
        raise HiersegError(f"the range from {low} to {high} is empty; the first must be the lower.")
    if kind == "log_uniform" and low <= 0:
        raise HiersegError(f"log_uniform starts at {low}; it must start above 0.")
    if not math.isfinite(high - low):
        raise HiersegError(f"the range from {low} to {high} is too wide.")
    return Range(kind, low, high)


def _choice(values: list[Value]) -> Choice:
    if len(values) < 2 or len(set(values)) < len(values):
        raise HiersegError(f"choice needs two different values at least; found {values}.")
    return Choice(tuple(values))


def _typed(value: Any, current: Value) -> Any:
    """A value of the file as the type of the key's."""
    if isinstance(current, float):
        try:
            # YAML takes 1e-4, without a point, for text.
            number = None if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or not math.isfinite(number):
            raise HiersegError(f"expected numbers; found {reprlib.repr(value)}.")
        return number
    if type(value) is not type(current):
        names = {bool: "true or false", int: "whole numbers", str: "text"}
        raise HiersegError(f"expected {names[type(current)]}; found {reprlib.repr(value)}.")
    return value


def _check_values(space: Space, settings: Settings) -> None:
    """Refuses what training would refuse in the middle of the search."""
    choices = {key: of.values for key, of in space.items() if isinstance(of, Choice)}
    combinations = itertools.product(*choices.values())
    examples = [
        dict(zip(choices, values, strict=True))
        for values in itertools.islice(combinations, _COMBINATIONS)
    ]
    for key, of in space.items():
        if isinstance(of, Range):
            examples += [{key: of.low}, {key: of.high}]
    for values in examples:
        try:
            read_settings(settings.replace(values))
        except HiersegError as error:
            raise HiersegError(
                f"It allows {format_values(values)}, which can't be trained: {error}"
            ) from error
