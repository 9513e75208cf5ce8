"""Label maps over pictures, with a legend."""

from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.reports.overlay import overlay
from hierseg_jax.runtime.legend import Legend, make_legend
from hierseg_jax.runtime.lettering import opencv_missing
from hierseg_jax.system.fonts import find_fonts, missing_note
from hierseg_jax.tree.colors import class_colors
from hierseg_jax.tree.hierarchy import Level

PHOTO_SHARE = 0.7
MOST_LEGENDS = 64


class Painter:
    """Draws levels of one tree; what it has written for a size it keeps for the next picture.

    Attributes:
      note: a sentence where letters of the names can't be written here, else "".
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        names = [
            name for level in levels for name in (level.name, *level.class_names[level.foreground])
        ]
        self._fonts = find_fonts(names)
        self.note = missing_note(opencv_missing(self._fonts.missing))
        # By level and size, of the last few: pictures of a folder may have any.
        self._legends: dict[tuple[str, tuple[int, int]], Legend] = {}

    def draw(self, image_bgr: np.ndarray, labels_hw: np.ndarray, level: Level) -> np.ndarray:
        """A level's classes in their colours, 0.3 of them over 0.7 of the picture, and a legend.

        Args:
          image_bgr: uint8 [H, W, 3].
          labels_hw: uint8 [H, W], classes of `level`; a background stays as it is, and so do
            pixels that the network never saw (255).
          level: one of the painter's.

        Returns:
          uint8 BGR [H, W, 3].
        """
        colors = class_colors(256, level.background)[:, ::-1]
        painted_hw = cv2.inRange(labels_hw, level.foreground.start, level.num_classes - 1)
        drawn = overlay(image_bgr, labels_hw, colors, PHOTO_SHARE, painted_hw)
        self._legend(level, labels_hw.shape).draw(drawn)
        return drawn

    def _legend(self, level: Level, size: tuple[int, int]) -> Legend:
        key = level.name, size
        if key not in self._legends:
            while len(self._legends) >= MOST_LEGENDS:
                del self._legends[next(iter(self._legends))]
            self._legends[key] = make_legend(level, size, self._fonts)
        return self._legends[key]


def draw_level(image_bgr: np.ndarray, labels_hw: np.ndarray, level: Level) -> np.ndarray:
    """One picture, as `Painter.draw` draws many."""
    return Painter([level]).draw(image_bgr, labels_hw, level)
