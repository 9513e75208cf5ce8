"""Words for people: numbers with nouns, lists, tables, text that a terminal does not obey."""

from collections.abc import Sequence
from typing import Any


def counted(number: int, noun: str) -> str:
    """As `1 image` or `1,200 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[Any], most: int) -> str:
    """The first names, with an ellipsis where there are more than `most`."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Lines whose cells stand below one another, two spaces apart.

    Args:
      rows: of equally many cells.
      sides: of each column, `<` for text to the left and `>` for numbers to the right; the last
        one is that of all columns that follow.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = sides.ljust(len(widths), sides[-1])
    return [
        "  ".join(
            f"{cell:{side}{w}}" for cell, side, w in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def printable(text: str) -> str:
    """The text with what a terminal or a page can't show, or would obey, written as escapes.

    Names of files may hold line breaks, terminal codes, and bytes that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
