"""Supervisely: a JSON file of `objects` for every picture, in `ann` beside `img`.

A later object lies on top of those before it. Corners of polygons and rectangles are pixels, which
are of the object, as all are that an edge runs through.
https://developer.supervisely.com/getting-started/supervisely-annotation-format
"""

import functools
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.draw import points
from hierseg_jax.data.prepare.folders import as_spelled, is_there, split_of, unlisted, walk_files
from hierseg_jax.data.prepare.json_file import (
    from_base64,
    read_bytes,
    read_json,
    records,
    shown,
    text,
)
from hierseg_jax.data.prepare.mask_folders import left_out
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes, flat_name
from hierseg_jax.data.prepare.shapes import PIXELS, Annotation, Shape, decode_within, draw_shapes
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, said_with
from hierseg_jax.system.wording import listed

ANNOTATIONS, IMAGES, META = "ann", "img", "meta.json"
_LOOKED_AT, _MOST_BYTES = 3, 1 << 28
_KINDS = {
    "polygon": PIXELS,
    "rectangle": PIXELS,
    "line": "linestrip",
    "polyline": "linestrip",
    "point": "point",
}


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether the first JSON files of a folder `ann` have `objects`."""
    patterns = (f"{ANNOTATIONS}/*.json", f"*/{ANNOTATIONS}/*.json")
    files = [file for pattern in patterns for file in sorted(raw_dir.glob(pattern))[:_LOOKED_AT]]
    return any(b'"objects"' in data and b'"size"' in data for data in map(read_bytes, files))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of all JSON files in folders `ann`.

    Raises:
      FileNotFoundError: no such file.
      HiersegError: a sentence that names the file and the object.
    """
    files = [file for file in walk_files(raw_dir, (".json",)) if file.parent.name == ANNOTATIONS]
    if not files:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no annotations of Supervisely; expected JSON files in folders "
            f"{ANNOTATIONS}, beside pictures in {IMAGES}."
        )
    kinds: set[str] = set()
    annotations = [read_annotation(file, kinds) for file in files]
    if not any(annotation.shapes for annotation in annotations):
        raise HiersegError(
            f"{raw_dir} holds no object that has an area; there is nothing to learn."
        )
    bare = [_image(annotation) for annotation in annotations if not annotation.shapes]
    annotations = [annotation for annotation in annotations if annotation.shapes]
    used = {shape.label for annotation in annotations for shape in annotation.shapes}
    names = [*_listed_names(raw_dir), *sorted(used)]
    classes = find_classes(names, used, str(raw_dir), wishes)
    pictures = []
    for annotation in annotations:
        draw = functools.partial(draw_shapes, annotation, classes.values, wishes.order == "area")
        file, image = annotation.file, _image(annotation)
        below = file.parent.parent.relative_to(raw_dir)
        name = flat_name((below / annotation.image).as_posix())
        pictures.append(Picture(split_of(below), name, image, file, draw, listed_in=file.name))
    notes = [*classes.notes, *left_out(bare, {})]
    if kinds:
        notes.append(f"{raw_dir}: left out, for they are not read: {listed(sorted(kinds), 5)}.")
    notes += unlisted((*(picture.image for picture in pictures), *bare), str(raw_dir))
    return RawData(pictures, classes.hierarchy, classes.labels, notes=tuple(notes))


def read_annotation(file: pathlib.Path, left_out_kinds: set[str]) -> Annotation:
    """One JSON file.

    Args:
      file: to read.
      left_out_kinds: gets the kinds of objects that are not read.

    Raises:
      HiersegError: a sentence that starts with the file and names the object.
      OSError: a file that cannot be opened.
    """
    content = read_json(file)
    shapes = []
    for where, record in records(content, "objects", file):
        label = text(record, "classTitle", where).strip()
        where = f"{where} ({shown(label)})"
        with said_with(f"{where}: ", "."):
            shape = _shape(record, where, label)
        if shape is None:
            left_out_kinds.add(shown(_kind(record)))
        else:
            shapes.append(shape)
    size = content.get("size")
    told = (size.get("height"), size.get("width")) if isinstance(size, Mapping) else None
    return Annotation(file, file.stem, told, shapes)


def _image(annotation: Annotation) -> pathlib.Path:
    """In `img`; files of older versions leave its suffix out."""
    image = as_spelled(annotation.file.parent.parent / IMAGES / annotation.image)
    others = (image.with_name(image.name + suffix) for suffix in IMAGE_SUFFIXES)
    return next((path for path in (image, *others) if is_there(path)), image)


def _kind(record: Mapping[str, Any]) -> Any:
    return record.get("geometryType") or ("bitmap" if record.get("bitmap") else "polygon")


def _shape(record: Mapping[str, Any], where: str, label: str) -> Shape | None:
    """None of what is not read; the HiersegError is half a sentence."""
    kind = _kind(record)
    if kind == "bitmap":
        stored = record.get("bitmap")
        if not isinstance(stored, Mapping):
            raise HiersegError(f"its bitmap is {shown(stored)}")
        corner = points([stored.get("origin")])[0].tolist()
        mask = functools.partial(_bitmap, stored.get("data"))
        return Shape(where, label, "mask", [corner] * 2, mask=mask)
    if not isinstance(kind, str) or kind not in _KINDS:
        return None
    told = record.get("points")
    rings = told if isinstance(told, Mapping) else {}
    holes = rings.get("interior") or []
    if not isinstance(rings.get("exterior"), list) or not isinstance(holes, list):
        raise HiersegError(f"its points are {shown(told)}")
    outline = rings["exterior"]
    if kind == "rectangle":
        corners_n2 = points(outline)
        if len(corners_n2) != 2:
            raise HiersegError(f"a rectangle has 2 points, and it has {len(corners_n2)}")
        (x0, y0), (x1, y1) = corners_n2.tolist()
        outline = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    return Shape(where, label, _KINDS[kind], outline, holes)


def _bitmap(data: Any) -> np.ndarray:
    """Of an object, within its own rectangle: bool [H, W]."""
    packed = from_base64(data, "its bitmap")
    try:
        png = zlib.decompressobj().decompress(packed, _MOST_BYTES)
    except zlib.error as error:
        raise HiersegError(f"its bitmap is not compressed as it should be ({error})") from error
    image_hwc = decode_within(png, "its bitmap")
    stored = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is not None and stored.ndim == 3 and stored.shape[2] == 4:
        return stored[..., 3] > 0
    return image_hwc[..., 0] > 0


def _listed_names(raw_dir: pathlib.Path) -> list[str]:
    """Of the classes in meta.json, in its order."""
    file = raw_dir / META
    if not file.is_file():
        return []
    found = records(read_json(file), "classes", file)
    return [text(record, "title", where).strip() for where, record in found]
