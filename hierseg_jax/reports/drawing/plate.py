"""Words on dark plates over a picture, which shines through: captions, and legends of videos."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.reports.drawing.legend import INK, PAPER, SOFT, Canvas, Entry, line_height
from hierseg_jax.reports.drawing.lettering import letters_for
from hierseg_jax.system.fonts import Fonts

# Of 255: how much of the paper is seen beside what is behind it.
_PAPER_COVER = 204
# Pictures of the last captions are kept: most frames have the words of the one before.
_KEPT = 64

CORNERS = ((1, 0), (1, 1), (0, 1))
"""(bottom, right) of the corners a legend may be in, the best first; captions have the fourth."""


@dataclasses.dataclass(frozen=True, eq=False)
class Plate:
    """What is laid over a picture.

    Attributes:
      ink_hwc: uint8 RGB [h, w, 3], words and colours on paper.
      cover_hw: uint8 [h, w], 0 where the picture stays as it is, to 255 where it is not seen.
    """

    ink_hwc: np.ndarray
    cover_hw: np.ndarray

    @functools.cached_property
    def shares_hwc(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 RGB [h, w, 3]: what a picture is multiplied by, and what is added then."""
        share_hwc = np.repeat(self.cover_hw[..., None] / np.float32(255), 3, axis=2)
        return 1 - share_hwc, share_hwc * self.ink_hwc

    @classmethod
    def of(cls, canvas: Canvas, there_hw: np.ndarray | None = None) -> "Plate":
        """Words as they are, paper that lets the picture through, where `there_hw` is not 0."""
        ink_hwc = canvas.rgb_hw3
        cover_hw = np.where((ink_hwc == PAPER).all(2), _PAPER_COVER, 255).astype(np.uint8)
        return cls(ink_hwc, cover_hw if there_hw is None else cover_hw * (there_hw > 0))


@functools.lru_cache(_KEPT)
def caption_plate(lines: tuple[tuple[str, str], ...], em: int, fonts: Fonts) -> Plate:
    """Lines of a key and its meaning, in two columns, or of one text and ""."""
    first = max((_width(key, em, fonts) + em for key, meaning in lines if meaning), default=0)
    alone = max((_width(key, em, fonts) for key, meaning in lines if not meaning), default=0)
    both = first + max(_width(meaning, em, fonts) for _, meaning in lines)
    width = max(alone, both) + round(1.2 * em)
    canvas = Canvas(len(lines) * line_height(em) + round(0.4 * em), width, fonts)
    for row, (key, meaning) in enumerate(lines):
        baseline = row * line_height(em) + round(1.3 * em)
        canvas.write(key, em, round(0.6 * em), baseline, width, SOFT if meaning else INK)
        canvas.write(meaning, em, round(0.6 * em) + first, baseline, width, INK)
    return Plate.of(canvas)


def legend_plate(
    entries: Sequence[Entry | None],
    width: int,
    em: int,
    fonts: Fonts,
    *,
    more: int = 0,
    title: str = "",
) -> Plate:
    """A column of classes, each on a plate of its own; None leaves the picture as it is.

    Args:
      entries: from top to bottom.
      width: pixels that it may have at most.
      em: of the letters.
      fonts: that have them.
      more: classes that find no room, counted below.
      title: above them, if there is one.
    """
    rows: list[Entry | str | None] = [*entries]
    if title:
        rows.insert(0, title)
    if more:
        rows.append(f"+ {more}")
    names = [row.name if isinstance(row, Entry) else row for row in rows if row]
    widest = max((_width(name, em, fonts) for name in names), default=0)
    side, line = min(width, widest + round(2.3 * em)), line_height(em)
    canvas = Canvas(len(rows) * line, max(1, side), fonts)
    there_hw = np.zeros(canvas.rgb_hw3.shape[:2], np.uint8)
    start, swatch = round(0.45 * em), round(1.35 * em)
    for row, entry in enumerate(rows):
        if entry is None:
            continue
        baseline, room = row * line + round(1.18 * em), side - start - swatch - round(0.4 * em)
        if isinstance(entry, str):
            canvas.write(entry, em, start, baseline, room, SOFT)
            end = start + _width(entry, em, fonts)
        else:
            canvas.entry(entry, em, start, baseline, room)
            end = start + swatch + min(room, _width(entry.name, em, fonts))
        there_hw[row * line : (row + 1) * line, : end + start] = 1
    return Plate.of(canvas, there_hw)


def rows_of(height: int, em: int) -> int:
    """Classes that a legend has room for in a picture so high, beside a caption above it."""
    return max(1, int(0.8 * height / line_height(em)))


def calmest_corner(busy_hw: np.ndarray, size: tuple[int, ...]) -> tuple[int, int]:
    """Where a plate of (height, width) covers the fewest pixels that are not 0.

    Args:
      busy_hw: uint8 [H, W], of the picture.
      size: of the plate.

    Returns:
      One of CORNERS, the first of equals.
    """

    def covered(corner: tuple[int, int]) -> int:
        return cv2.countNonZero(busy_hw[_box(busy_hw.shape, size, corner)])

    return min(CORNERS, key=covered)


def lay_over(
    picture_hwc: np.ndarray, plate: Plate, corner: tuple[int, int], *, bgr: bool = False
) -> None:
    """Into uint8 [H, W, 3], in place; what is larger than the picture is cut."""
    part_hwc = picture_hwc[_box(picture_hwc.shape, plate.cover_hw.shape, corner)]
    within = np.s_[: part_hwc.shape[0], : part_hwc.shape[1]]
    rest_hwc, added_hwc = (share_hwc[within] for share_hwc in plate.shares_hwc)
    mixed_hwc = part_hwc * rest_hwc
    mixed_hwc += added_hwc[..., :: -1 if bgr else 1]
    part_hwc[:] = np.rint(mixed_hwc, out=mixed_hwc)


def _box(
    picture: tuple[int, ...], size: tuple[int, ...], corner: tuple[int, int]
) -> tuple[slice, slice]:
    """The plate's place, some way from the edges where there is room."""
    slices = []
    for whole, part, far in zip(picture, size, corner, strict=False):
        margin = min(max(0, whole - part) // 2, round(min(picture[:2]) / 60))
        start = max(0, whole - margin - part) if far else margin
        slices.append(slice(start, start + part))
    return slices[0], slices[1]


def _width(text: str, em: int, fonts: Fonts) -> int:
    return math.ceil(letters_for(text, fonts, em).width(text)) if text else 0
