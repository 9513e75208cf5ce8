"""labelme: a JSON file of `shapes` for every picture.

A shape lies over those before it, as in labelme's own export. `labels.txt` or `class_names.txt`
tells the order of classes. https://github.com/wkentaro/labelme
"""

import base64
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.folders import as_spelled, is_there, split_of, unlisted, walk_files
from hierseg_jax.data.prepare.id_lists import read_ids
from hierseg_jax.data.prepare.json_file import (
    from_base64,
    read_bytes,
    read_json,
    records,
    shown,
    text,
)
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes, flat_name
from hierseg_jax.data.prepare.shapes import (
    Annotation,
    Shape,
    about_boxes,
    decode_within,
    draw_shapes,
)
from hierseg_jax.data.read import png
from hierseg_jax.data.read.folder import IMAGE_SUFFIXES
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, said_with

_LOOKED_AT = 3
_PNG = base64.b64encode(png.SIGNATURE[:6]).decode()
"""Six bytes are eight digits, whatever follows."""


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
    annotated = [read_annotation(file) for file in files]
    shapes = [shape for annotation, _ in annotated for shape in annotation.shapes]
    used = {shape.label for shape in shapes}
    names = [*_listed_names(raw_dir), *sorted(used)]
    classes = find_classes(names, used, str(raw_dir), wishes)
    pictures = []
    for annotation, stored in annotated:
        draw = functools.partial(draw_shapes, annotation, classes.values, wishes.order == "area")
        file = annotation.file
        below = file.relative_to(raw_dir)
        image, unpack = _picture(annotation, stored)
        split = split_of(below.parent)
        name = flat_name(below.as_posix())
        pictures.append(Picture(split, name, image, file, draw, listed_in=file.name, unpack=unpack))
    others = [file for file in told if not told[file]]
    notes = [*classes.notes, *(f"{file}: it is not labelme's, and passed over." for file in others)]
    notes += about_boxes(shapes, str(raw_dir))
    notes += unlisted((picture.image for picture in pictures), str(raw_dir))
    return RawData(pictures, classes.hierarchy, classes.labels, notes=tuple(notes))


def is_labelme(file: pathlib.Path) -> bool:
    """Whether a JSON file has a key of labelme's; others may lie beside it."""
    data = read_bytes(file)
    return b'"shapes"' in data or b'"imagePath"' in data


def read_annotation(file: pathlib.Path) -> tuple[Annotation, str]:
    """One JSON file, and the suffix of the picture that is in it; empty where none is.

    Raises:
      ValueError: a sentence that starts with the file and names the shape.
      OSError: a file that cannot be opened.
    """
    content = read_json(file)
    shapes = []
    for where, record in records(content, "shapes", file):
        label, kind = text(record, "label", where), record.get("shape_type") or "polygon"
        mask = functools.partial(_stored_mask, record.get("mask"))
        where = f"{where} ({shown(label)})"
        shapes.append(Shape(where, label, kind, record.get("points"), mask=mask))
    size = content.get("imageHeight"), content.get("imageWidth")
    image = text(content, "imagePath", str(file))
    stored = content.get("imageData")
    suffix = ".png" if isinstance(stored, str) and stored.startswith(_PNG) else ".jpg"
    told = None if None in size else size
    return Annotation(file, image, told, shapes), suffix if stored else ""


def _picture(
    annotation: Annotation, stored: str
) -> tuple[pathlib.Path, Callable[[], bytes] | None]:
    """The picture's file; or the name for one, and what takes it out of the annotation."""
    image = as_spelled(annotation.file.parent / annotation.image.replace("\\", "/"))
    if is_there(image) and image.is_file() and image.suffix.lower() != ".json":
        return image, None
    if not stored:
        return _beside(annotation.file, image), None
    unpack = functools.partial(unpack_image, annotation.file)
    return annotation.file.with_suffix(stored), unpack


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
    with said_with(f"{file}: ", "; save it again."):
        return from_base64(read_json(file)["imageData"], "its 'imageData'")


def _stored_mask(data: Any) -> np.ndarray:
    """The picture within a shape: bool [H, W]."""
    if data is None:
        raise HiersegError("it has no mask")
    return decode_within(from_base64(data, "its mask"), "its mask")[..., 0] > 0


def _listed_names(raw_dir: pathlib.Path) -> list[str]:
    for name in ("labels.txt", "class_names.txt"):
        if (raw_dir / name).is_file():
            return [line for _, line in read_ids(raw_dir / name)]
    return []
