"""Levels of a tree over pictures, each with a legend of what is in it: below, or in a corner."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from hierseg_jax.reports.drawing.legend import (
    Entry,
    Layout,
    draw_legend,
    letter_size,
    most_rows,
    strip_height,
)
from hierseg_jax.reports.drawing.lettering import opencv_missing
from hierseg_jax.reports.drawing.overlay import PHOTO_SHARE, overlay, paint_of
from hierseg_jax.reports.drawing.plate import (
    CORNERS,
    Plate,
    calmest_corner,
    lay_over,
    legend_plate,
    rows_of,
)
from hierseg_jax.reports.drawing.presence import Presence, visible
from hierseg_jax.system.fonts import find_fonts, missing_note
from hierseg_jax.tree.level import Level

LEGENDS = ("below", "corner", "none")
MOST_LEGENDS = 64
# Rows of a legend that keeps its height from frame to frame.
_STEADY_ROWS = 3
# Up to so many classes are counted one by one, which is faster than a histogram then.
_COUNTED_APART = 20
# A legend in a corner with fewer rows than this has no title, but classes.
_TITLED_PLACES = 4
# Of a picture's width, what a legend in its corner may have.
_CORNER_SHARE = 0.5


class Painter:
    """Draws levels of one tree; what it has written it keeps for the next picture.

    Attributes:
      note: a sentence where letters of the names can't be written here, else "".
    """

    def __init__(
        self, levels: Sequence[Level], *, steady: bool = False, legend: str = "below"
    ) -> None:
        """For pictures, or for frames.

        Args:
          levels: to be drawn.
          steady: whether legends of one size are equally high whatever is in a picture, as those
            of a video's frames have to be, and classes keep their places. What comes and goes
            with a few pixels is not named then.
          legend: `below` the picture, which it makes higher; in a `corner` over it, where it,
            or the first of frames, has the fewest pixels of classes; or `none`.
        """
        self._levels, self._steady, self._legend_place = levels, steady, legend
        self._corners: dict[str, tuple[int, int]] = {}
        self._presence: dict[str, Presence] = {}
        self._names = {level.name: level.class_names[level.foreground] for level in levels}
        texts = [text for name, names in self._names.items() for text in (name, *names)]
        self._fonts = find_fonts(texts)
        self._paints = {level.name: paint_of(level) for level in levels}
        self.note = missing_note(opencv_missing(self._fonts.missing))
        # Of the last few: pictures of a folder may have any size and any classes.
        self._legends: dict[tuple[Any, ...], np.ndarray | Plate] = {}
        self._places: dict[tuple[Any, ...], int] = {}

    def draw(self, image_bgr: np.ndarray, labels_hw: np.ndarray, level: Level) -> np.ndarray:
        """A level's classes over the picture, and a legend of those that are there.

        Args:
          image_bgr: uint8 [H, W, 3].
          labels_hw: uint8 [H, W], classes of `level`; a background stays as it is, and so do
            pixels that the network never saw (255).
          level: one of the painter's.

        Returns:
          uint8 BGR [H + the height of a legend below, W, 3].
        """
        return self.draw_levels(image_bgr, {level.name: labels_hw}, [level])

    def draw_levels(
        self,
        image_bgr: np.ndarray,
        maps: Mapping[str, np.ndarray],
        levels: Sequence[Level],
        photo_share: float = PHOTO_SHARE,
    ) -> np.ndarray:
        """The same of several levels beside one another, with maps by the levels' names.

        `photo_share` is `overlay`'s.
        """
        (height, width), below = image_bgr.shape[:2], 0
        # A level that is not drawn does not know what goes meanwhile.
        kept = {level.name for level in levels}
        self._presence = {name: of for name, of in self._presence.items() if name in kept}
        legends = [self._legend(each, maps[each.name], len(levels) > 1) for each in levels]
        strips = [each for each in legends if isinstance(each, np.ndarray)]
        if strips:
            below = max(map(len, strips))
        drawn_hwc = np.empty((height + below, len(levels) * width, 3), np.uint8)
        if strips:
            drawn_hwc[height:] = strips[0][0, 0]  # paper, where a legend is lower than another
        for i, (level, legend) in enumerate(zip(levels, legends, strict=True)):
            panel_hwc = drawn_hwc[:, i * width : (i + 1) * width]
            labels_hw, out_hwc = maps[level.name], panel_hwc[:height]
            paint = self._paints[level.name]
            overlay(image_bgr, labels_hw, paint, bgr=True, photo_share=photo_share, out_hwc=out_hwc)
            if isinstance(legend, np.ndarray):
                panel_hwc[height : height + len(legend)] = legend
            elif legend is not None:
                corner = self._corner(level, labels_hw, legend)
                lay_over(out_hwc, legend, corner, bgr=True)
        return drawn_hwc

    def legend_height(self, size: tuple[int, int]) -> int:
        """Pixels below a frame of (height, width), where legends are steady."""
        if self._legend_place != "below":
            return 0
        em = letter_size(size)
        return max(strip_height(self._rows(level, size), em) for level in self._levels)

    def _layout(self, level: Level, size: tuple[int, ...], names: Sequence[str]) -> Layout:
        most = min(most_rows(size), _STEADY_ROWS) if self._steady else most_rows(size)
        return Layout.of(level.name, names, size[1], letter_size(size), self._fonts, most)

    def _rows(self, level: Level, size: tuple[int, ...]) -> int:
        names = self._names[level.name]
        return min(self._layout(level, size, names).rows(len(names)), _STEADY_ROWS, most_rows(size))

    def _corner(self, level: Level, labels_hw: np.ndarray, plate: Plate) -> tuple[int, int]:
        """Of this picture; of frames that of the first with a legend, so that nothing hops."""
        known = self._corners.get(level.name) if self._steady else None
        if known is not None or not plate.cover_hw.any():
            return known or CORNERS[0]
        busy_hw = cv2.LUT(labels_hw, self._paints[level.name].painted_k)
        self._corners[level.name] = calmest_corner(busy_hw, plate.cover_hw.shape)
        return self._corners[level.name]

    def _legend(
        self, level: Level, labels_hw: np.ndarray, among_others: bool
    ) -> np.ndarray | Plate | None:
        if self._legend_place == "none":
            return None
        counts = pixels_of(labels_hw, range(level.foreground.start, level.num_classes))
        there = visible(counts, labels_hw.size)
        if self._steady:
            presence = self._presence.get(level.name) or Presence.before(len(counts))
            self._presence[level.name] = presence = presence.after(counts, labels_hw.size)
            there = presence.named_k
        key = level.name, among_others, labels_hw.shape, there.tobytes()
        # Where there are too few places, which classes have one is a matter of this picture. Of
        # frames it is of the first one with these classes, or names would come and go.
        places = self._places.get(key, len(there))
        drawn = self._legends.get((*key, *self._order(level, there, counts, places)))
        if drawn is None or key not in self._places:
            for kept in (self._legends, self._places):
                while len(kept) >= MOST_LEGENDS:
                    del kept[next(iter(kept))]
            if self._legend_place == "below":
                places, drawn = self._draw_strip(level, labels_hw.shape, there, counts)
            else:
                title = level.name if among_others and there.any() else ""
                places, drawn = self._draw_plate(title, level, labels_hw.shape, there, counts)
            self._places[key] = places
            self._legends[*key, *self._order(level, there, counts, places)] = drawn
        return drawn

    def _order(self, level: Level, there: np.ndarray, counts: np.ndarray, places: int) -> list[int]:
        return [] if self._steady else _named(level, there, counts, places)

    def _draw_strip(
        self, level: Level, size: tuple[int, ...], there: np.ndarray, counts: np.ndarray
    ) -> tuple[int, np.ndarray]:
        names = self._names[level.name]
        shown = names if self._steady else [names[i] for i in _present(level, there)]
        layout = self._layout(level, size, shown)
        rows = self._rows(level, size) if self._steady else most_rows(size)
        places = layout.places(rows)
        entries = self._entries(level, there, counts, places)
        if not self._steady:
            rows = min(rows, layout.rows(len(entries)))
        strip = draw_legend(layout, level.name, entries, rows, self._fonts)
        return places, np.ascontiguousarray(strip[..., ::-1])

    def _draw_plate(
        self,
        title: str,
        level: Level,
        size: tuple[int, ...],
        there: np.ndarray,
        counts: np.ndarray,
    ) -> tuple[int, Plate]:
        em = letter_size(size)
        places = rows_of(size[0], em)
        if places < _TITLED_PLACES:
            title = ""
        places -= bool(title)
        entries = self._entries(level, there, counts, places)
        more = max(0, len(entries) - places) and len(entries) - places + 1
        shown = entries[: len(entries) - more]
        room = round(_CORNER_SHARE * size[1])
        return places, legend_plate(shown, room, em, self._fonts, more=more, title=title)

    def _entries(
        self, level: Level, there: np.ndarray, counts: np.ndarray, places: int
    ) -> list[Entry | None]:
        """All that are there; where there are too few places, those seen most come first."""
        names, colors = self._names[level.name], level.colors[level.foreground].tolist()
        if self._steady and len(names) <= places:  # each keeps its place
            every = _present(level, np.ones(len(names), bool))
            return [Entry(names[i], tuple(colors[i])) if there[i] else None for i in every]
        return [Entry(names[i], tuple(colors[i])) for i in _named(level, there, counts, places)]


def _present(level: Level, there: np.ndarray) -> list[int]:
    """Those that are there, counted without a background, in the order of the tree."""
    outside = level.foreground.start
    return [i - outside for i in level.in_tree_order[outside:] if there[i - outside]]


def _named(level: Level, there: np.ndarray, counts: np.ndarray, places: int) -> list[int]:
    """All classes that are there; where there are too few places, those seen most come first."""
    present = _present(level, there)
    if len(present) <= places:
        return present
    most = {*sorted(present, key=lambda i: -counts[i])[: places - 1]}
    return [*(i for i in present if i in most), *(i for i in present if i not in most)]


def pixels_of(labels_hw: np.ndarray, classes: range) -> np.ndarray:
    """Numbers of a map's pixels, of every class."""
    if len(classes) > _COUNTED_APART:
        counts = cv2.calcHist([labels_hw], [0], None, [256], [0, 256]).ravel()
        return counts[classes.start : classes.stop]
    return np.array([np.count_nonzero(labels_hw == each) for each in classes])
