"""Levels of a tree over pictures, each with a legend of what is in it below."""

from collections.abc import Sequence

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
from hierseg_jax.reports.drawing.overlay import overlay, paint_of
from hierseg_jax.system.fonts import find_fonts, missing_note
from hierseg_jax.tree.hierarchy import Level

MOST_LEGENDS = 64
# A class of less than one pixel in so many can't be found in the picture.
_VISIBLE = 10_000
# Rows of a legend that keeps its height from frame to frame.
_STEADY_ROWS = 3


class Painter:
    """Draws levels of one tree; what it has written it keeps for the next picture.

    Attributes:
      note: a sentence where letters of the names can't be written here, else "".
    """

    def __init__(self, levels: Sequence[Level], *, steady: bool = False) -> None:
        """For pictures, or for frames.

        Args:
          levels: to be drawn.
          steady: whether legends of one size are equally high whatever is in a picture, as those
            of a video's frames have to be.
        """
        self._levels, self._steady = levels, steady
        self._names = {level.name: level.class_names[level.foreground] for level in levels}
        texts = [text for name, names in self._names.items() for text in (name, *names)]
        self._fonts = find_fonts(texts)
        self._paints = {level.name: paint_of(level) for level in levels}
        self.note = missing_note(opencv_missing(self._fonts.missing))
        # Of the last few: pictures of a folder may have any size and any classes.
        self._legends: dict[tuple[str, tuple[int, ...], bytes], np.ndarray] = {}

    def draw(self, image_bgr: np.ndarray, labels_hw: np.ndarray, level: Level) -> np.ndarray:
        """A level's classes over the picture, and a legend of those that are there below it.

        Args:
          image_bgr: uint8 [H, W, 3].
          labels_hw: uint8 [H, W], classes of `level`; a background stays as it is, and so do
            pixels that the network never saw (255).
          level: one of the painter's.

        Returns:
          uint8 BGR [H + the legend's height, W, 3].
        """
        return self.draw_levels(image_bgr, {level.name: labels_hw}, [level])

    def draw_levels(
        self, image_bgr: np.ndarray, maps: dict[str, np.ndarray], levels: Sequence[Level]
    ) -> np.ndarray:
        """The same of several levels beside one another, with maps by the levels' names."""
        legends = [self._legend(each, maps[each.name]) for each in levels]
        (height, width), strip_height = image_bgr.shape[:2], max(map(len, legends))
        drawn_hwc = np.empty((height + strip_height, len(levels) * width, 3), np.uint8)
        drawn_hwc[height:] = legends[0][0, 0]  # paper, where a legend is lower than another
        for i, (level, legend) in enumerate(zip(levels, legends, strict=True)):
            panel_hwc = drawn_hwc[:, i * width : (i + 1) * width]
            panel_hwc[height : height + len(legend)] = legend
            paint, out_hwc = self._paints[level.name], panel_hwc[:height]
            overlay(image_bgr, maps[level.name], paint, bgr=True, out_hwc=out_hwc)
        return drawn_hwc

    def legend_height(self, size: tuple[int, int]) -> int:
        """Pixels below a frame of (height, width), where legends are steady."""
        em = letter_size(size)
        return max(strip_height(self._rows(level, size), em) for level in self._levels)

    def _layout(self, level: Level, size: tuple[int, ...], names: Sequence[str]) -> Layout:
        return Layout.of(level.name, names, size[1], letter_size(size), self._fonts)

    def _rows(self, level: Level, size: tuple[int, ...]) -> int:
        names = self._names[level.name]
        return min(self._layout(level, size, names).rows(len(names)), _STEADY_ROWS, most_rows(size))

    def _legend(self, level: Level, labels_hw: np.ndarray) -> np.ndarray:
        counts = cv2.calcHist([labels_hw], [0], None, [256], [0, 256]).ravel()
        counts = counts[level.foreground.start : level.num_classes]
        there = counts >= max(1, labels_hw.size // _VISIBLE)
        key = level.name, labels_hw.shape, there.tobytes()
        if key not in self._legends:
            while len(self._legends) >= MOST_LEGENDS:
                del self._legends[next(iter(self._legends))]
            self._legends[key] = self._draw_legend(level, labels_hw.shape, there, counts)
        return self._legends[key]

    def _draw_legend(
        self, level: Level, size: tuple[int, ...], there: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        names, colors = self._names[level.name], level.colors[level.foreground].tolist()
        present = np.flatnonzero(there).tolist()
        shown = names if self._steady else [names[i] for i in present]
        layout = self._layout(level, size, shown)
        rows = self._rows(level, size) if self._steady else most_rows(size)
        places = rows * layout.columns
        entries: list[Entry | None]
        if self._steady and len(names) <= places:  # each keeps its place
            entries = [
                Entry(n, tuple(c)) if i else None
                for n, c, i in zip(names, colors, there, strict=True)
            ]
        else:
            if len(present) > places:  # those that are seen most, and a count of the others
                kept = sorted(present, key=lambda i: -counts[i])[: places - 1]
                present = [*sorted(kept), *(i for i in present if i not in kept)]
            entries = [Entry(names[i], tuple(colors[i])) for i in present]
        if not self._steady:
            rows = min(rows, layout.rows(len(entries)))
        strip = draw_legend(layout, level.name, entries, rows, self._fonts)
        return np.ascontiguousarray(strip[..., ::-1])


def draw_level(image_bgr: np.ndarray, labels_hw: np.ndarray, level: Level) -> np.ndarray:
    """One picture, as `Painter.draw` draws many."""
    return Painter([level]).draw(image_bgr, labels_hw, level)
