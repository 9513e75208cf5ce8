"""Texts in pictures: written by Pillow, or by OpenCV.

OpenCV writes where it alone has a font with the letters, and all where Pillow is not installed.
"""

import functools
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.system.fonts import Fonts, has_pillow, letters_missing, open_font

_FACE = cv2.FONT_HERSHEY_SIMPLEX
# Of OpenCV's font, whose letters are then as tall as DejaVu's of one pixel.
_SCALE = 0.75 / 22


class PillowLetters:
    """A font of Pillow's at one size."""

    def __init__(self, file: Path | None, size: int) -> None:
        """Of a file, or of Pillow's own font; `size` is that of the em in pixels."""
        self._font = open_font(file, size)

    def width(self, text: str) -> float:
        """In pixels."""
        return self._font.getlength(text)

    def write(self, cover_hw: np.ndarray, text: str, start: int, baseline: int) -> None:
        """Writes into uint8 [H, W] by 255, in place."""
        from PIL import Image, ImageDraw

        canvas = Image.fromarray(cover_hw)
        ImageDraw.Draw(canvas).text((start, baseline), text, 255, self._font, anchor="ls")
        cover_hw[:] = canvas


class OpenCvLetters:
    """OpenCV's font at one size: it has Chinese letters, but not those of all the others."""

    def __init__(self, size: int) -> None:
        self._scale = size * _SCALE
        self._thickness = max(1, round(size / 15))

    def width(self, text: str) -> float:
        """In pixels."""
        return cv2.getTextSize(text, _FACE, self._scale, self._thickness)[0][0]

    def write(self, cover_hw: np.ndarray, text: str, start: int, baseline: int) -> None:
        """Writes into uint8 [H, W] by 255, in place."""
        at = (start, baseline)
        cv2.putText(cover_hw, text, at, _FACE, self._scale, 255, self._thickness, cv2.LINE_AA)


Letters = PillowLetters | OpenCvLetters


@functools.lru_cache(1024)
def letters_for(text: str, fonts: Fonts, size: int) -> Letters:
    """What lacks the fewest letters of a text, Pillow's before OpenCV's."""
    if not has_pillow():
        return OpenCvLetters(size)
    file = fonts.file_for(text)
    missing = letters_missing(file, text)
    if len(opencv_missing(missing)) < len(missing):
        return OpenCvLetters(size)
    return PillowLetters(file, size)


def opencv_missing(letters: str) -> str:
    """Those that OpenCV would write as question marks."""
    unknown = _written("?")
    return "".join(letter for letter in letters if np.array_equal(_written(letter), unknown))


def _written(letter: str) -> np.ndarray:
    cover_hw = np.zeros((32, 32), np.uint8)
    OpenCvLetters(22).write(cover_hw, letter, 2, 26)
    return cover_hw
