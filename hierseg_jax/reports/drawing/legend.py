"""What the colours in a picture mean, on a strip as wide as the picture that goes below it."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from hierseg_jax.reports.drawing.lettering import Letters, letters_for
from hierseg_jax.system.fonts import Fonts
from hierseg_jax.tree.colors import Color

PAPER: Color = (22, 24, 28)
INK: Color = (240, 241, 243)
SOFT: Color = (158, 163, 172)
# Of the picture's height, at most.
HEIGHT_SHARE = 0.6
# Pixels of letters: what still can be read, and their size in a picture of a given area.
_SMALLEST, _LETTERS = 12, 42


@dataclasses.dataclass(frozen=True)
class Entry:
    """A colour and its name; hatched where that of a group is."""

    name: str
    color: Color
    hatched: bool = False


def letter_size(size: tuple[int, ...]) -> int:
    """Pixels of the em in a picture of (height, width), which grow with it."""
    return max(_SMALLEST, round(math.sqrt(size[0] * size[1]) / _LETTERS))


def most_rows(size: tuple[int, ...]) -> int:
    """Rows of a legend that a picture of (height, width) has room for; one at least."""
    return max(1, int(HEIGHT_SHARE * size[0] / _line(letter_size(size))) - 1)


def strip_height(rows: int, em: int) -> int:
    """Pixels of a legend of so many rows; even, as videos want it."""
    return 2 * round((rows * _line(em) + 0.7 * em) / 2)


def _line(em: int) -> int:
    return round(1.6 * em)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the entries of a legend stand: `columns` beside one another, `column` pixels wide."""

    em: int
    width: int
    lead: int
    columns: int
    column: int

    @classmethod
    def of(cls, title: str, names: Sequence[str], width: int, em: int, fonts: Fonts) -> "Layout":
        """For a title and names, in a strip of a width in pixels."""
        margin = round(0.6 * em)
        room = width - 2 * margin
        written = [letters_for(name, fonts, em).width(name) for name in names]
        column = min(room, math.ceil(max(written, default=0)) + round(2.3 * em))
        lead = math.ceil(letters_for(title, fonts, em).width(title)) + em if title else 0
        # A title that leaves no room for a column beside it is left out.
        lead = lead if lead + column <= room else 0
        return cls(em, width, lead, max(1, (room - lead) // max(1, column)), max(1, column))

    def rows(self, count: int) -> int:
        """That so many entries fill."""
        return max(1, -(-count // self.columns))


def draw_legend(
    layout: Layout, title: str, entries: Sequence[Entry | None], rows: int, fonts: Fonts
) -> np.ndarray:
    """The strip: uint8 RGB [height, width, 3].

    Args:
      layout: for the title and the names.
      title: what the names are of, such as a level.
      entries: in the order of reading; None leaves a place free. What finds no room in the rows is
        counted, in the last place.
      rows: of the strip.
      fonts: that have the letters.
    """
    em, margin = layout.em, round(0.6 * layout.em)
    canvas = Canvas(strip_height(rows, em), layout.width, fonts)
    if layout.lead:
        canvas.write(title, em, margin, _baseline(0, em), layout.lead, SOFT)
    places = rows * layout.columns
    left_out = max(0, len(entries) - places) and len(entries) - places + 1
    for place, entry in enumerate(entries[: len(entries) - left_out]):
        if entry is None:
            continue
        left, baseline = _place(layout, place)
        canvas.swatch(entry, left, baseline, round(0.95 * em))
        room = layout.column - round(1.4 * em)
        canvas.write(entry.name, em, left + round(1.35 * em), baseline, room, INK)
    if left_out:
        left, baseline = _place(layout, places - 1)
        canvas.write(f"+ {left_out}", em, left, baseline, layout.column, SOFT)
    return canvas.rgb_hw3


def _place(layout: Layout, place: int) -> tuple[int, int]:
    row, column = divmod(place, layout.columns)
    left = round(0.6 * layout.em) + layout.lead + column * layout.column
    return left, _baseline(row, layout.em)


def _baseline(row: int, em: int) -> int:
    return round(0.35 * em) + row * _line(em) + round(1.16 * em)


class Canvas:
    """Paper to write on: `rgb_hw3`, uint8 RGB [H, W, 3]."""

    def __init__(self, height: int, width: int, fonts: Fonts) -> None:
        self.rgb_hw3 = np.full((height, width, 3), PAPER, np.uint8)
        self._fonts = fonts

    def write(self, text: str, em: int, left: int, baseline: int, room: int, ink: Color) -> None:
        """A line, cut where it is wider than its room."""
        letters = letters_for(text, self._fonts, em)
        top, bottom = baseline - round(1.2 * em), baseline + round(0.5 * em)
        box = np.s_[max(0, top) : bottom, max(0, left) : left + room + em // 4]
        part_hw3 = self.rgb_hw3[box]
        if not part_hw3.size:
            return
        cover_hw = np.zeros(part_hw3.shape[:2], np.uint8)
        letters.write(cover_hw, fitted(text, letters, room), 0, baseline - max(0, top))
        share_hw1 = cover_hw[..., None] / np.float32(255)
        mixed = part_hw3 + share_hw1 * (np.array(ink, np.float32) - part_hw3)
        self.rgb_hw3[box] = np.round(mixed).astype(np.uint8)

    def swatch(self, entry: Entry, left: int, baseline: int, side: int) -> None:
        """A square of a colour on the line of letters."""
        bottom = baseline + round(0.12 * side)
        part_hw3 = self.rgb_hw3[max(0, bottom - side) : bottom, left : left + side]
        part_hw3[:] = entry.color
        if entry.hatched and part_hw3.size:
            row_h1, column_1w = np.ogrid[: part_hw3.shape[0], : part_hw3.shape[1]]
            period = max(2, side // 3)
            part_hw3[2 * ((row_h1 + column_1w) % period) >= period] = 255


def fitted(text: str, letters: Letters, width: int) -> str:
    """As much of a text as is at most `width` pixels wide, with an ellipsis where it is cut."""
    if letters.width(text) <= width:
        return text
    low, high = 0, len(text)  # so many letters fit, so many don't
    while high - low > 1:
        middle = (low + high) // 2
        fits = letters.width(f"{text[:middle]}…") <= width
        low, high = (middle, high) if fits else (low, middle)
    return f"{text[:low]}…"
