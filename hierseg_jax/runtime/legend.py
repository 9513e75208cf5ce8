"""What a level's colours mean, written once and laid over any number of pictures of one size."""

import dataclasses

import cv2
import numpy as np

from hierseg_jax.runtime.lettering import Letters, letters_for
from hierseg_jax.system.fonts import Fonts
from hierseg_jax.tree.colors import class_colors
from hierseg_jax.tree.hierarchy import Level

# Of the picture's height, at most.
HEIGHT_SHARE = 0.6
# What is left of the picture below, so that letters can be read on anything.
LEFT = 1 / 3


@dataclasses.dataclass(frozen=True, eq=False)
class Legend:
    """The top left corner of pictures of one size.

    Attributes:
      letters_hw3: uint8 BGR, what is written and painted there.
      around_hw3: uint8, 255 where nothing is, 0 where the picture is covered.
    """

    letters_hw3: np.ndarray
    around_hw3: np.ndarray

    def draw(self, image_bgr: np.ndarray) -> None:
        """Lays it over a picture, uint8 [H, W, 3], in place."""
        height, width = self.letters_hw3.shape[:2]
        corner = image_bgr[:height, :width]
        darker = cv2.multiply(corner, self.around_hw3, scale=LEFT / 255)
        corner[:] = cv2.add(darker, self.letters_hw3)


def make_legend(level: Level, size: tuple[int, int], fonts: Fonts) -> Legend:
    """A level's classes but a background, in letters of the picture's size.

    Names that are wider than the picture end in an ellipsis; what finds no room below one another
    is counted.

    Args:
      level: for names and colours.
      size: (height, width) of the pictures.
      fonts: that have the names' letters.
    """
    height, width = size
    scale = min(max(min(height, width) / 700, 0.4), 2.0)
    line = round(30 * scale)
    names = level.class_names[level.foreground]
    colors = class_colors(level.num_classes, level.background)[level.foreground, ::-1]
    classes = len(names)
    room = max(0, round(HEIGHT_SHARE * height) // line - 1)
    if len(names) > room:
        names = names[: max(0, room - 1)]
    left_out = classes - len(names)
    texts = [level.name, *names, *([f"+ {left_out}"] if left_out else [])]
    starts = [line // 4, *[line] * (len(texts) - 1)]
    letters = [letters_for(text, fonts, round(22 * scale)) for text in texts]
    texts = [
        fitted(text, each, width - start)
        for text, each, start in zip(texts, letters, starts, strict=True)
    ]
    rows = list(zip(texts, letters, starts, strict=True))
    widest = round(max(start + each.width(text) for text, each, start in rows))
    box = min(height, line * len(rows) + line // 3), min(width, widest + line // 2)
    cover_hw = np.zeros(box, np.uint8)
    colors_hw3 = np.full((*box, 3), 255, np.uint8)
    for row, (text, each, start) in enumerate(rows):
        baseline = line * (row + 1) - line // 5
        each.write(cover_hw, text, start, baseline)
        if 0 < row <= len(names):
            top_left = (line // 4, baseline - line // 2)
            bottom_right = (line // 4 + line // 2, baseline)
            cv2.rectangle(cover_hw, top_left, bottom_right, 255, cv2.FILLED)
            color = colors[row - 1].tolist()
            cv2.rectangle(colors_hw3, top_left, bottom_right, color, cv2.FILLED)
    cover_hw3 = cv2.cvtColor(cover_hw, cv2.COLOR_GRAY2BGR)
    return Legend(cv2.multiply(colors_hw3, cover_hw3, scale=1 / 255), 255 - cover_hw3)


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
