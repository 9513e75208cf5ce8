"""labelme: a JSON file of `shapes` for every picture.

A shape lies over those before it, as in labelme's own export. Its rules for what has no area hold
as well: lines are 10 pixels wide, points discs of a radius of 5. `labels.txt` or `class_names.txt`
tells the order of classes. https://github.com/wkentaro/labelme
"""

import base64
import binascii
import dataclasses
import functools
import itertools
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.draw import (
    Patch,
    Region,
    bitmap,
    box,
    cut_out,
    paint,
    points,
    polygon,
    union,
)
from hierseg_jax.data.prepare.folders import as_spelled, is_there, split_of, unlisted, walk_files
from hierseg_jax.data.prepare.id_lists import read_ids
from hierseg_jax.data.prepare.json_file import read_bytes, read_json, records, shown, text
from hierseg_jax.data.prepare.picture import (
    Picture,
    RawData,
    Size,
    Wishes,
    flat_name,
)
from hierseg_jax.data.read import png
from hierseg_jax.data.read.folder import IMAGE_SUFFIXES
from hierseg_jax.data.read.image_files import decode_image, how_to_turn
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError

LINE_WIDTH, POINT_RADIUS = 10, 5
_LOOKED_AT = 3
_PNG = base64.b64encode(png.SIGNATURE[:6]).decode()
"""Six bytes are eight digits, whatever follows."""


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
    """One JSON file, of which everything but the points is checked.

    Attributes:
      file: of it.
      image: name of the picture, relative to the file.
      size: of the picture as it was annotated; None where the file does not say.
      shapes: in the order of the file.
      stored: suffix of the picture that is in the file itself; empty where none is.
    """

    file: pathlib.Path
    image: str
    size: tuple[Any, Any] | None
    shapes: list[dict[str, Any]]
    stored: str = ""


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether one of the first JSON files is labelme's."""
    files = [*sorted(raw_dir.glob("*.json")), *sorted(raw_dir.glob("*/*.json"))][:_LOOKED_AT]
    return any(b'"shapes"' in data and b'"imagePath"' in data for data in map(read_bytes, files))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of all JSON files of a folder and those below.

    Raises:
      FileNotFoundError: no JSON file.
      ValueError: a sentence that names the file and the shape.
    """
    told = {file: is_labelme(file) for file in walk_files(raw_dir, (".json",))}
    files = [file for file in told if told[file] or not any(told.values())]
    if not files:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no annotations of labelme; expected JSON files there or below."
        )
    annotations = [read_annotation(file) for file in files]
    used = {shape["label"] for annotation in annotations for shape in annotation.shapes}
    names = [*_listed_names(raw_dir), *sorted(used)]
    classes = find_classes(names, used, str(raw_dir), wishes)
    pictures = []
    for annotation in annotations:
        draw = functools.partial(draw_shapes, annotation, classes.values, wishes.order == "area")
        file = annotation.file
        below = file.relative_to(raw_dir)
        image, unpack = _picture(annotation)
        split = split_of(below.parent)
        name = flat_name(below.as_posix())
        pictures.append(Picture(split, name, image, file, draw, listed_in=file.name, unpack=unpack))
    others = [file for file in told if not told[file]]
    notes = [*classes.notes, *(f"{file}: it is not labelme's, and passed over." for file in others)]
    notes += unlisted((picture.image for picture in pictures), str(raw_dir))
    return RawData(pictures, classes.hierarchy, classes.labels, notes=tuple(notes))


def is_labelme(file: pathlib.Path) -> bool:
    """Whether a JSON file has a key of labelme's; others may lie beside it."""
    data = read_bytes(file)
    return b'"shapes"' in data or b'"imagePath"' in data


def read_annotation(file: pathlib.Path) -> Annotation:
    """One JSON file, without the picture that may be in it.

    Raises:
      ValueError: a sentence that starts with the file and names the shape.
      OSError: a file that cannot be opened.
    """
    content = read_json(file)
    shapes = records(content, "shapes", file)
    for number, shape in enumerate(shapes):
        text(shape, "label", f"{file}: shapes[{number}]")
    size = content.get("imageHeight"), content.get("imageWidth")
    image = text(content, "imagePath", str(file))
    stored = content.get("imageData")
    suffix = ".png" if isinstance(stored, str) and stored.startswith(_PNG) else ".jpg"
    told = None if None in size else size
    return Annotation(file, image, told, shapes, suffix if stored else "")


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
    for number, shape in enumerate(annotation.shapes):
        try:
            regions.append(Region(values[shape["label"]], _patch(shape, size)))
        except HiersegError as error:
            raise HiersegError(
                f"{annotation.file}: shapes[{number}] ({shown(shape['label'])}): {error}."
            ) from error
    return paint(regions, size, by_area)


def _picture(annotation: Annotation) -> tuple[pathlib.Path, Callable[[], bytes] | None]:
    """The picture's file; or the name for one, and what takes it out of the annotation."""
    image = as_spelled(annotation.file.parent / annotation.image.replace("\\", "/"))
    if is_there(image) and image.is_file() and image.suffix.lower() != ".json":
        return image, None
    if not annotation.stored:
        return _beside(annotation.file, image), None
    unpack = functools.partial(unpack_image, annotation.file)
    return annotation.file.with_suffix(annotation.stored), unpack


def _beside(file: pathlib.Path, image: pathlib.Path) -> pathlib.Path:
    """The picture beside an annotation whose own path leads nowhere, for both were moved.

    It has the picture's old name, or the annotation's, with any suffix; `image` where none has.
    """
    suffixes = [suffix for each in IMAGE_SUFFIXES for suffix in (each, each.upper())]
    names = (image.name, *(stem + end for stem in (image.stem, file.stem) for end in suffixes))
    return next((near for name in names if is_there(near := file.with_name(name))), image)


def unpack_image(file: pathlib.Path) -> bytes:
    """The picture that labelme has stored in an annotation.

    Raises:
      ValueError: a sentence that starts with the file.
    """
    try:
        return unpacked(read_json(file)["imageData"])
    except HiersegError as error:
        raise HiersegError(f"{file}: its 'imageData' {error}; save it again.") from error


def _patch(shape: Mapping[str, Any], size: Size) -> Patch:
    kind = shape.get("shape_type") or "polygon"
    if not isinstance(kind, str):
        raise HiersegError(f"the shape_type {shown(kind)} is no text")
    points_n2 = points(shape.get("points"))
    count = len(points_n2)
    if kind in ("polygon", "oriented_rectangle") or (kind == "rectangle" and count == 4):
        holes = [polygon(points(hole), size) for hole in shape.get("holes", ())]
        return cut_out(polygon(points_n2, size), holes)
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
    if kind == "mask":
        left, top = np.minimum(first, last).round().astype(int)
        return bitmap(_stored_mask(shape.get("mask")), int(top), int(left), size)
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


def _stored_mask(data: Any) -> np.ndarray:
    """The picture within a shape: bool [H, W]."""
    if callable(data):  # of another tool, never of a file
        return data()
    if data is None:
        raise HiersegError("it has no mask")
    try:
        packed = unpacked(data)
    except HiersegError as error:
        raise HiersegError(f"its mask {error}") from error
    try:
        return decode_image(packed, pathlib.Path("its mask"))[..., 0] > 0
    except HiersegError as error:
        raise HiersegError(str(error).rstrip(".")) from error


def unpacked(data: Any) -> bytes:
    """Bytes from base64; the HiersegError is half a sentence that lacks its subject."""
    if not isinstance(data, str) or not data.isascii():
        raise HiersegError(f"is {shown(data)}, which is no base64")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise HiersegError(f"is no base64 ({error})") from error


def _listed_names(raw_dir: pathlib.Path) -> list[str]:
    for name in ("labels.txt", "class_names.txt"):
        if (raw_dir / name).is_file():
            return [line for _, line in read_ids(raw_dir / name)]
    return []
