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
# Letters: a side of the picture has room for so many ems; those that are easily read begin at 12
# pixels, and what is too small for many of these makes do with 10.
_LETTERS, _EASY, _SMALLEST, _FEWEST = 42, 12, 10, 21
# A title that makes it more rows than this, and more than it has without one, is left out.
_TITLED_ROWS = 2
NOTHING = "nothing found"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A colour and its name; hatched where that of a group is."""

    name: str
    color: Color
    hatched: bool = False


def letter_size(size: tuple[int, ...]) -> int:
    """Pixels of the em in a picture of (height, width), which grow with it."""
    side = math.sqrt(size[0] * size[1])
    return max(_SMALLEST, min(_EASY, round(side / _FEWEST)), round(side / _LETTERS))


def most_rows(size: tuple[int, ...]) -> int:
    """Rows of a legend that a picture of (height, width) has room for; one at least."""
    return max(1, int(HEIGHT_SHARE * size[0] / line_height(letter_size(size))) - 1)


def strip_height(rows: int, em: int) -> int:
    """Pixels of a legend of so many rows; even, as videos want it."""
    return 2 * round((rows * line_height(em) + 0.7 * em) / 2)


def line_height(em: int) -> int:
    """Pixels from one line of letters to the next."""
    return round(1.6 * em)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the entries of a legend stand.

    Attributes:
      em: pixels of the letters.
      width: of the strip, in pixels.
      lead: pixels of the title, 0 where it is left out.
      columns: beside one another, in a table.
      column: pixels of one of them.
      line: (row, pixels from the left) of every entry where they stand like words of a text, which
        takes fewer rows than a table does; else empty.
    """

    em: int
    width: int
    lead: int
    columns: int
    column: int
    line: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(
        cls, title: str, names: Sequence[str], width: int, em: int, fonts: Fonts, most: int = 0
    ) -> "Layout":
        """For a title and names, in a strip of a width in pixels.

        A table with the title beside it, unless a text takes fewer rows, of at most `most`, whose
        first word it may be. It is left out where that takes too many rows.
        """
        room = width - 2 * _margin(em)
        written = [letters_for(name, fonts, em).width(name) for name in names]
        column = min(room, math.ceil(max(written, default=0)) + round(2.3 * em))
        columns = max(1, column)
        title_width = math.ceil(letters_for(title, fonts, em).width(title)) + em if title else 0
        plain = cls(em, width, 0, max(1, room // columns), columns)
        count = len(names)
        bare = min([plain, *plain.as_text(written, most)], key=lambda one: one.rows(count))
        if not title:
            return bare
        lead = min(room, title_width)
        beside = max(1, (room - lead) // columns)
        led = dataclasses.replace(plain, lead=lead, columns=beside)
        choices = [led] if not names or lead + column <= room else []
        choices += [*led.as_text(written, most), *led.as_text(written, most, lead)]
        titled = min(choices, key=lambda one: one.rows(count), default=bare)
        few = max(bare.rows(count), min(most or _TITLED_ROWS, _TITLED_ROWS))
        return titled if titled.rows(count) <= few else bare

    def as_text(self, written: Sequence[float], most: int, first: int = 0) -> list["Layout"]:
        """The same with names, so many pixels wide, like words; none of more than `most` rows.

        With `first` the title is the first of the words, else beside all of them.
        """
        beside = 0 if first else self.lead
        room = self.width - 2 * _margin(self.em) - beside
        # Below a title beside them names may have room that they lack there.
        line = _lines(written, room, self.em, first, cut=not beside)
        if not line or line[-1][0] >= most:
            return []
        placed = tuple((row, left + beside) for row, left in line)
        return [dataclasses.replace(self, line=placed)]

    def rows(self, count: int) -> int:
        """That so many entries fill."""
        if self.line:
            return self.line[-1][0] + 1
        return max(1, -(-count // self.columns))

    def places(self, rows: int) -> int:
        """Entries that so many rows have room for."""
        return len(self.line) or rows * self.columns

    def place(self, number: int) -> tuple[int, int]:
        """Pixels from the left, and of the baseline from the top, of an entry."""
        if self.line:
            row, left = self.line[number]
        else:
            row, column = divmod(number, self.columns)
            left = self.lead + column * self.column
        return _margin(self.em) + left, _baseline(row, self.em)


def _lines(
    written: Sequence[float], room: int, em: int, first: int, cut: bool
) -> tuple[tuple[int, int], ...]:
    """Rows and lefts of names as wide as `written`, the first row of which begins at `first`.

    One that is wider than the room has a row of its own to be cut in; else there are none.
    """
    places, row, left = [], 0, first
    for width in written:
        entry = math.ceil(width) + round(1.35 * em)
        if entry > room and not cut:
            return ()
        entry = min(room, entry)
        if left + entry > room:
            row, left = row + 1, 0
        places.append((row, left))
        left += entry + round(0.75 * em)
    return tuple(places)


def _margin(em: int) -> int:
    return round(0.55 * em)


def draw_legend(
    layout: Layout, title: str, entries: Sequence[Entry | None], rows: int, fonts: Fonts
) -> np.ndarray:
    """The strip: uint8 RGB [height, width, 3].

    Args:
      layout: for the title and the names.
      title: what the names are of, such as a level.
      entries: in the order of reading; None leaves a place free. What finds no room in the rows is
        counted, in the last place. Where there are none, the strip says so.
      rows: of the strip.
      fonts: that have the letters.
    """
    em, margin = layout.em, _margin(layout.em)
    canvas = Canvas(strip_height(rows, em), layout.width, fonts)
    if layout.lead:
        canvas.write(title, em, margin, _baseline(0, em), layout.lead, SOFT)
    if not any(entries):
        left = margin + layout.lead
        canvas.write(NOTHING, em, left, _baseline(0, em), layout.width - left - margin, SOFT)
    places = layout.places(rows)
    left_out = max(0, len(entries) - places) and len(entries) - places + 1
    for place, entry in enumerate(entries[: len(entries) - left_out]):
        if entry is None:
            continue
        left, baseline = layout.place(place)
        end = layout.width - margin if layout.line else left + layout.column
        room = end - left - round(1.35 * em)
        canvas.entry(entry, em, left, baseline, room)
    if left_out:
        left, baseline = layout.place(places - 1)
        canvas.write(f"+ {left_out}", em, left, baseline, layout.column, SOFT)
    return canvas.rgb_hw3


def _baseline(row: int, em: int) -> int:
    return round(0.35 * em) + row * line_height(em) + round(1.16 * em)


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

    def entry(self, entry: Entry, em: int, left: int, baseline: int, room: int) -> None:
        """A swatch, and the name beside it in so many pixels."""
        self.swatch(entry, left, baseline, round(0.95 * em))
        self.write(entry.name, em, left + round(1.35 * em), baseline, room, INK)

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
