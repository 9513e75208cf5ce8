"""Words for people: numbers with nouns, lists, tables, text that a terminal does not obey."""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any


def counted(number: int, noun: str) -> str:
    """As `1 image` or `1,200 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def spanned(noun: str, low: int, high: int) -> str:
    """As `height 384`, or `heights 242 to 1,263`."""
    return f"{noun} {low:,}" if low == high else f"{noun}s {low:,} to {high:,}"


def lasting(seconds: float) -> str:
    """As `12 min`, or from 100 minutes on `2.5 h`."""
    minutes = max(round(seconds / 60), 1)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def level_called(name: str) -> str:
    """As `level part`; a name that says so itself, such as `level_2`, stands alone."""
    return name if name.lower().startswith("level") else f"level {name}"


def listed(names: Sequence[Any], most: int) -> str:
    """The first names, with an ellipsis where there are more than `most`."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def about_closed(folders: Sequence[str]) -> tuple[str, ...]:
    """A note on folders that may not be looked into, if there are some."""
    where = listed(folders, 3)
    return (f"You may not look into {where}; what lies there is left out.",) if folders else ()


def one_line(text: object, most: int | None = None) -> str:
    """The text, such as an error's of several lines, in one line of at most so many letters."""
    return " ".join(str(text).split())[:most]


def did_you_mean(name: Any, known: Iterable[str], otherwise: str, most: int = 1) -> str:
    """As `did you mean torso or trunk?`, and `otherwise` where no name is near.

    Args:
      name: what was written; capitals make no difference.
      known: what may be written.
      otherwise: the end of the sentence, such as `the keys are train, val.`.
      most: names to propose.
    """
    written: dict[str, list[str]] = {}
    for each in known:
        written.setdefault(each.casefold(), []).append(each)
    near = difflib.get_close_matches(str(name)[:80].casefold(), written, most)
    proposed = [each for found in near for each in written[found]]
    return f"did you mean {' or '.join(proposed)}?" if proposed else otherwise


def aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Lines whose cells stand below one another, two spaces apart.

    Args:
      rows: of equally many cells.
      sides: of each column, `<` for text to the left and `>` for numbers to the right; the last
        one is that of all columns that follow.
    """
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    sides = sides.ljust(len(widths), sides[-1])
    return [
        "  ".join(
            padded(cell, w, side) for cell, side, w in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def columns(text: str) -> int:
    """How many columns of a terminal a line takes: a Chinese letter two, a combining accent none.

    By Unicode's East Asian Width (Standard Annex 11).
    """
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.category(c) in ("Mn", "Me", "Cf") for c in text)


def padded(text: str, width: int, side: str = "<") -> str:
    """The text with spaces behind (`<`), or before it (`>`), so that it takes that many columns."""
    space = " " * (width - columns(text))
    return space + text if side == ">" else text + space


def printable(text: str) -> str:
    """The text with what a terminal or a page can't show, or would obey, written as escapes.

    Names of files may hold line breaks, terminal codes, and bytes that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
