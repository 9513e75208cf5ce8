"""Words for people: numbers with nouns, lists, text that a terminal shows and does not obey."""

from collections.abc import Sequence
from typing import Any


def counted(number: int, noun: str) -> str:
    """As `1 image` or `1,200 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[Any], most: int) -> str:
    """The first names, with an ellipsis where there are more than `most`."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def printable(text: str) -> str:
    """The text with what a terminal or a page can't show, or would obey, written as escapes.

    Names of files may hold line breaks, terminal codes, and bytes that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
