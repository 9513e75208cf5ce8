"""What people draw in annotation tools, and the mask that it makes.

labelme's rules for what has no area hold for all tools: lines are 10 pixels wide, points discs of a
radius of 5. https://github.com/wkentaro/labelme
"""

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hierseg_jax.data.prepare.draw import (
    FARTHEST,
    Patch,
    Region,
    bitmap,
    box,
    paint,
    points,
    polygon,
    polygon_of_pixels,
    union,
)
from hierseg_jax.data.prepare.json_file import shown
from hierseg_jax.data.prepare.picture import Size
from hierseg_jax.data.read.image_files import decode_image, how_to_turn
from hierseg_jax.system.errors import HiersegError, said_with

LINE_WIDTH, POINT_RADIUS = 10, 5
PIXELS = "polygon of pixels"
"""A kind of no file's: its corners are pixels, and these and its edges are of it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Shape:
    """One shape.

    Attributes:
      where: it stands, the file first, for sentences.
      label: of its class.
      kind: a `shape_type` of labelme's, whoever drew it: polygon, rectangle, circle, line,
        linestrip, point, points or mask; or `PIXELS`.
      points: x and y of its corners, as they were found; of a mask the upper left one, and one
        that is not above or left of it.
      holes: of `PIXELS`, outlines of what is cut out.
      mask: gives that of a `mask`, bool [H, W]. It raises half a sentence.
    """

    where: str
    label: str
    kind: Any
    points: Any
    holes: Sequence[Any] = ()
    mask: Callable[[], np.ndarray] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
    """What a tool has drawn of one picture, of which everything but the points is checked.

    Attributes:
      file: that it stands in.
      image: name of the picture, relative to the file.
      size: of the picture as it was annotated; None where the file does not say.
      shapes: the lowest first.
    """

    file: pathlib.Path
    image: str
    size: tuple[Any, Any] | None
    shapes: Sequence[Shape]


def draw_shapes(
    annotation: Annotation, values: Mapping[str, int], by_area: bool, size: Size
) -> np.ndarray:
    """The mask of a picture: uint8 [H, W].

    Args:
      annotation: of the picture.
      values: label -> value in the mask.
      by_area: the smaller of two regions lies on top; otherwise the later one does.
      size: of the picture.

    Raises:
      ValueError: a sentence that starts with the file and names the shape.
    """
    if annotation.size not in (None, size):
        height, width = map(shown, annotation.size)
        raise HiersegError(
            f"{annotation.file} annotates a picture of {height} x {width} (height x width), but "
            f"{annotation.image} is {size[0]} x {size[1]} (EXIF orientation applied); the two "
            f"must be of one size.{how_to_turn(annotation.size, size)}"
        )
    regions = []
    for shape in annotation.shapes:
        with said_with(f"{shape.where}: ", "."):
            regions.append(Region(values[shape.label], _patch(shape, size)))
    return paint(regions, size, by_area)


def about_boxes(shapes: Sequence[Shape], where: str) -> list[str]:
    """A sentence where all that is drawn are rectangles, as whoever detects things draws them."""
    if not shapes or any(shape.kind != "rectangle" for shape in shapes):
        return []
    return [
        f"{where}: all shapes are rectangles. They are learned as they are drawn, with what lies "
        "around the things in them: draw polygons or masks where these are meant."
    ]


def _patch(shape: Shape, size: Size) -> Patch:
    kind = shape.kind
    if not isinstance(kind, str):
        raise HiersegError(f"the shape_type {shown(kind)} is no text")
    points_n2 = points(shape.points)
    count = len(points_n2)
    if kind in ("polygon", "oriented_rectangle") or (kind == "rectangle" and count == 4):
        return polygon(points_n2, size)
    if kind == PIXELS:
        return polygon_of_pixels(points_n2, [points(hole) for hole in shape.holes], size)
    wanted = {"rectangle": 2, "circle": 2, "line": 2, "mask": 2, "point": 1}.get(kind, count)
    if count != wanted or not count:
        raise HiersegError(f"a {kind} has {wanted or 1} points, and it has {count}")
    first, last = points_n2[0], points_n2[-1]
    if kind == "rectangle":
        return box(first[0], first[1], last[0], last[1], size)
    if kind == "circle":
        return _disc(first, math.dist(first, last), size)
    if kind in ("line", "linestrip"):
        return union([_stroke(*ends, size) for ends in itertools.pairwise(points_n2)])
    if kind in ("point", "points"):
        return union([_disc(centre, POINT_RADIUS, size) for centre in points_n2])
    if kind == "mask" and shape.mask is not None:
        left, top = np.minimum(first, last).round().astype(int)
        return bitmap(shape.mask(), int(top), int(left), size)
    raise HiersegError(f"the shape_type {shown(kind)} is unknown")


def _disc(centre: np.ndarray, radius: float, size: Size) -> Patch:
    """Pixels whose centres lie in a circle."""
    (x, y), (height, width) = centre, size
    top, bottom = (int(np.clip(round(y + r), 0, height)) for r in (-radius - 1, radius + 1))
    left, right = (int(np.clip(round(x + r), 0, width)) for r in (-radius - 1, radius + 1))
    rows, columns = np.ogrid[top:bottom, left:right]
    inside_hw = (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2
    return Patch(top, left, inside_hw)


def _stroke(start: np.ndarray, end: np.ndarray, size: Size) -> Patch:
    along = end - start
    length = float(np.hypot(*along))
    if not length:
        return _disc(start, LINE_WIDTH / 2, size)
    across = np.array([-along[1], along[0]]) / length * LINE_WIDTH / 2
    corners = [start + across, end + across, end - across, start - across]
    return polygon(np.array(corners), size)


def decode_within(packed: bytes, what: str) -> np.ndarray:
    """As `decode_image`, of what is within an annotation; the HiersegError is half a sentence."""
    try:
        return decode_image(packed, pathlib.Path(what))
    except HiersegError as error:
        raise HiersegError(str(error).rstrip(".")) from error


def number(shape: Mapping[str, Any], key: str) -> float:
    """A coordinate or length, also where it is written as text; the error is half a sentence."""
    return as_number(shape.get(key), key)


def numbers(shape: Mapping[str, Any], *keys: str) -> list[float]:
    """As `number`, of several keys."""
    return [number(shape, key) for key in keys]


def as_number(value: Any, key: str) -> float:
    """As `number`, of a value that stands under a key."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= FARTHEST:
        raise HiersegError(f"{key!r} is {shown(value)}; expected a number, of a picture's pixels")
    return found
