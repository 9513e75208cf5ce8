"""What a data.yaml says of the values of masks: names, and which are not counted."""

import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import all_labels, has_no_room, near_names
from hierseg_jax.tree.parsing import MAX_CLASSES

IGNORE = "ignore"
"""The name of what is not counted, in place of a node's."""

Value = int | str
"""Of a pixel: a whole number, or a colour as `#RRGGBB`, in upper case."""

Named = tuple[tuple[Value, str], ...]
"""Values of masks with their names, by value; all numbers, or all colours."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
# What masks of any type that is in use can hold, and YAML still reads as a number.
_LEAST, _MOST = -(1 << 31), (1 << 32) - 1


def parse_labels(content: Any, hierarchy: Hierarchy) -> Named:
    """`{0: background, 7: torso, 8: ignore}` as it stands in a data.yaml, checked.

    Raises:
      ValueError: for what is no such mapping; a value that is no whole number from 0 to 255 and
        no colour; numbers beside colours; a name that no node of the tree has; a tree with a
        class called `ignore`.
    """
    if not isinstance(content, Mapping) or not content:
        raise HiersegError(
            "labels: expected a name for every value of the masks, such as `{0: background, 255: "
            f"person}}`; found {reprlib.repr(content)}."
        )
    check_ignore(hierarchy)
    of_tree = all_labels(hierarchy)
    for value, name in content.items():
        if not is_colour(value) and not _is_whole(value, 0, 255):
            raise HiersegError(
                f"labels: {reprlib.repr(value)} is no value of a mask; these are whole numbers "
                "from 0 to 255, without quotes, or colours such as '#80FF00', with them."
            )
        if not isinstance(name, str):
            raise HiersegError(
                f"labels: the value {value} has {reprlib.repr(name)} for a name; a name is text "
                "(put quotes around numbers, yes and no)."
            )
        if has_no_room(name, hierarchy):
            raise HiersegError(
                f"labels: the value {value} is called {name!r}. The tree has more classes and "
                f"groups than the {MAX_CLASSES} labels of 8 bits, and none is left for it; merge "
                "classes or ignore it."
            )
        if name != IGNORE and name not in of_tree.names:
            raise HiersegError(
                f"labels: the value {value} is called {reprlib.repr(name)}, and no class and no "
                f"group has this name; {near_names(name, of_tree.names)}"
            )
    _check_one_kind("labels", content)
    named = {_value(value): name for value, name in content.items()}
    if len(named) < len(content):
        raise HiersegError("labels: a colour stands twice there, in small and in capital letters.")
    return tuple(sorted(named.items()))


def parse_ignored(content: Any, labels: Named) -> tuple[Value, ...]:
    """`[7, 65535]` or `['#E0E0C0']`, or one of these alone, as `ignore` stands in a data.yaml.

    Args:
      content: of the key; None without it.
      labels: names of values, which must be of the same kind.

    Raises:
      ValueError: for anything else; a value that has a name.
    """
    if content is None:
        return ()
    values = list(content) if isinstance(content, list | tuple) else [content]
    for value in values:
        if not is_colour(value) and not _is_whole(value, _LEAST, _MOST):
            raise HiersegError(
                f"ignore: {reprlib.repr(value)} is no value of a mask; expected a list of whole "
                "numbers such as `[7, 65535]`, or of colours such as `['#80FF00']`."
            )
    _check_one_kind("ignore", [*values, *(value for value, _ in labels)])
    if not labels and any(map(is_colour, values)):
        raise HiersegError("ignore: masks of colours need a name for every colour, in `labels`.")
    ignored = tuple(sorted({_value(value) for value in values}))
    named = [value for value, name in labels if value in ignored and name != IGNORE]
    if named:
        raise HiersegError(
            f"ignore: {named[0]} is called {dict(labels)[named[0]]!r} in `labels`; leave it out of "
            "one of the two."
        )
    return ignored


def parse_unknown(content: Any) -> bool:
    """Whether `unknown: ignore` stands in a data.yaml: values without a name are not counted.

    Raises:
      ValueError: for anything else.
    """
    if content not in (None, IGNORE):
        raise HiersegError(
            f"unknown: {reprlib.repr(content)} is nothing that can be done with values without a "
            f"name; write `unknown: {IGNORE}`, or leave it out to be told of them."
        )
    return content == IGNORE


def is_colour(value: Any) -> bool:
    """Whether it is text such as `#80ff00`."""
    return isinstance(value, str) and _COLOUR.fullmatch(value) is not None


def _value(value: Value) -> Value:
    return value.upper() if isinstance(value, str) else value


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _check_one_kind(key: str, values: Iterable[Value]) -> None:
    kinds = {isinstance(value, str) for value in values}
    if len(kinds) > 1:
        raise HiersegError(
            f"{key}: values are numbers or colours; here are both. A mask is read as numbers, or "
            "as colours where `labels` names colours."
        )


def check_ignore(hierarchy: Hierarchy) -> None:
    """Refuses a tree in which the name of what is not counted is that of a node as well."""
    if IGNORE in all_labels(hierarchy).names:
        raise HiersegError(
            f"labels: {IGNORE!r} marks pixels that are not counted, and the tree has a class or "
            "group of this name; rename that."
        )
