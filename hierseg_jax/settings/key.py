"""One key of the config: its default, what it means, and what else holds for it."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Self

MOST = 10**9
"""Of whole numbers, where nothing else is said: beyond any machine."""
ALWAYS = object()
"""Stands for what runs computed before a key was there, where there was no such time."""


@dataclasses.dataclass(frozen=True)
class Key:
    """What is known of a key.

    Attributes:
      default: in configs/default.py.
      meaning: for users, with its unit.
      least, most: of a whole number, both included; any where `least` is None.
      within: of any number, an interval such as `[0, 1)`: a bracket's end belongs to it, a
        parenthesis's does not.
      choices: of text; empty for any.
      free: whether a resumed run may change it, since it changes when a run ends or what it
        keeps, not what a step computes but for rounding.
      earlier: what runs computed before the key was there; ALWAYS for a key that always was.
      kinds: Python's types of its values; empty where its reader tells what may be given.
      several: whether a value of one of these types may be replaced by one of another.
    """

    default: Any
    meaning: str
    least: int | None = None
    most: int = MOST
    within: str = ""
    choices: tuple[str, ...] = ()
    free: bool = False
    earlier: Any = ALWAYS
    kinds: tuple[type, ...] = ()
    several: bool = False


def key(default: Any, meaning: str, **rest: Any) -> Any:
    """Declares a field of a section as a key; `rest` as of `Key`, whose kinds its type tells."""
    return dataclasses.field(default=default, metadata={"key": Key(default, meaning, **rest)})


@dataclasses.dataclass(frozen=True)
class Section:
    """Keys that belong together: the fields of a subclass, which are keys or sections.

    Attributes:
      others: keys that are none of these, of a user's own or of a later version: kept, not read.
    """

    others: Mapping[str, Any] = dataclasses.field(default_factory=dict, kw_only=True)

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Self:
        """The values of nested mappings, unchecked; what is missing has its default."""
        own, hints = {}, typing.get_type_hints(cls)
        for field in fields_of(cls):
            if field.name in given:
                read = _immutable if "key" in field.metadata else hints[field.name].from_mapping
                own[field.name] = read(given[field.name])
        return cls(**own, others={name: of for name, of in given.items() if name not in own})

    def to_dict(self) -> dict[str, Any]:
        """As given, in the order of the alphabet, sections as dicts; what JSON stores."""
        own = {field.name: getattr(self, field.name) for field in fields_of(type(self))}
        return {name: _plain(value) for name, value in sorted((own | dict(self.others)).items())}


def fields_of(cls: type[Section]) -> tuple[dataclasses.Field, ...]:
    """The keys and sections of a section, in their order."""
    return tuple(field for field in dataclasses.fields(cls) if field.name != "others")


def keys_of(cls: type[Section], prefix: str = "") -> dict[str, Key]:
    """All keys of a section and its sections, by their dotted names."""
    keys: dict[str, Key] = {}
    hints = typing.get_type_hints(cls)
    for field in fields_of(cls):
        name, hint = f"{prefix}{field.name}", hints[field.name]
        if "key" not in field.metadata:
            keys |= keys_of(hint, f"{name}.")
            continue
        kinds, several = _kinds(hint)
        keys[name] = dataclasses.replace(field.metadata["key"], kinds=kinds, several=several)
    return keys


def _kinds(hint: Any) -> tuple[tuple[type, ...], bool]:
    """Of a field's type: the types of its values, and whether several may stand for it."""
    union = isinstance(hint, types.UnionType)
    kinds = [typing.get_origin(of) or of for of in (typing.get_args(hint) if union else (hint,))]
    several = len(set(kinds) - {types.NoneType}) > 1
    if Mapping in kinds:
        return (), several
    # JSON and users write 1 for 1.0.
    return tuple(kinds) if float not in kinds else (int, float), several


def _immutable(value: Any) -> Any:
    """Lists as tuples; a mapping in one order, since a sum of losses depends on it.

    `--config.KEY=` gives a list of one empty text, and means an empty one.
    """
    if isinstance(value, Mapping):
        return dict(sorted(value.items(), key=lambda item: str(item[0])))
    if isinstance(value, list | tuple):
        return () if tuple(value) == ("",) else tuple(value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.to_dict()
    return dict(value) if isinstance(value, Mapping) else value
