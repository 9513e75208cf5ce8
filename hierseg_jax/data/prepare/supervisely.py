"""Supervisely: a JSON file of `objects` for every picture, in `ann` beside `img`.

Shapes become labelme's, so that lines and points have its rules; a later one lies on top.
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
from hierseg_jax.data.prepare.folders import as_spelled, split_of, unlisted, walk_files
from hierseg_jax.data.prepare.json_file import read_bytes, read_json, records, shown, text
from hierseg_jax.data.prepare.labelme import Annotation, draw_shapes, unpacked
from hierseg_jax.data.prepare.mask_folders import left_out
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes, flat_name
from hierseg_jax.data.read.image_files import decode_image
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError

ANNOTATIONS, IMAGES, META = "ann", "img", "meta.json"
_LOOKED_AT, _MOST_BYTES = 3, 1 << 28
_KINDS = {
    "polygon": "polygon",
    "rectangle": "rectangle",
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
    annotations = [read_annotation(file) for file in files]
    bare = [_image(annotation) for annotation in annotations if not annotation.shapes]
    annotations = [annotation for annotation in annotations if annotation.shapes]
    used = {shape["label"] for annotation in annotations for shape in annotation.shapes}
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
    notes += unlisted((*(picture.image for picture in pictures), *bare), str(raw_dir))
    return RawData(pictures, classes.hierarchy, classes.labels, notes=tuple(notes))


def read_annotation(file: pathlib.Path) -> Annotation:
    """One JSON file, with its objects as labelme's shapes.

    Raises:
      HiersegError: a sentence that starts with the file and names the object.
      OSError: a file that cannot be opened.
    """
    content = read_json(file)
    shapes = []
    for number, record in enumerate(records(content, "objects", file)):
        where = f"{file}: objects[{number}]"
        label = text(record, "classTitle", where).strip()
        try:
            shapes.append({"label": label, **_outline(record)})
        except HiersegError as error:
            raise HiersegError(f"{where} ({shown(label)}): {error}.") from error
    size = content.get("size")
    told = (size.get("height"), size.get("width")) if isinstance(size, Mapping) else None
    return Annotation(file, file.stem, told, shapes)


def _image(annotation: Annotation) -> pathlib.Path:
    return as_spelled(annotation.file.parent.parent / IMAGES / annotation.image)


def _outline(record: Mapping[str, Any]) -> dict[str, Any]:
    """labelme's kind and its points; the HiersegError is half a sentence."""
    kind = record.get("geometryType") or ("bitmap" if record.get("bitmap") else "polygon")
    if kind == "bitmap":
        stored = record.get("bitmap")
        if not isinstance(stored, Mapping):
            raise HiersegError(f"its bitmap is {shown(stored)}")
        data = stored.get("data")
        corner = points([stored.get("origin")])[0].tolist()
        return {"shape_type": "mask", "points": [corner] * 2, "mask": lambda: _bitmap(data)}
    if not isinstance(kind, str) or kind not in _KINDS:
        raise HiersegError(f"the geometryType {shown(kind)} has no area")
    told = record.get("points")
    rings = told if isinstance(told, Mapping) else {}
    holes = rings.get("interior") or []
    if not isinstance(rings.get("exterior"), list) or not isinstance(holes, list):
        raise HiersegError(f"its points are {shown(told)}")
    outline = rings["exterior"]
    if kind == "rectangle":  # whose right and lower pixels are its own
        first, last = np.sort(_two(outline), axis=0)
        outline = [first.tolist(), (last + 1).tolist()]
    return {"shape_type": _KINDS[kind], "points": outline, "holes": holes}


def _two(outline: Any) -> np.ndarray:
    """Corners, [2, 2]."""
    corners_n2 = points(outline)
    if len(corners_n2) != 2:
        raise HiersegError(f"a rectangle has 2 points, and it has {len(corners_n2)}")
    return corners_n2


def _bitmap(data: Any) -> np.ndarray:
    """Of an object, within its own rectangle: bool [H, W]."""
    try:
        unzip = zlib.decompressobj()
        png = unzip.decompress(unpacked(data), _MOST_BYTES)
    except zlib.error as error:
        raise HiersegError(f"its bitmap is not compressed as it should be ({error})") from error
    except HiersegError as error:
        raise HiersegError(f"its bitmap {error}") from error
    try:
        image_hwc = decode_image(png, pathlib.Path("its bitmap"))
    except HiersegError as error:
        raise HiersegError(str(error).rstrip(".")) from error
    stored = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is not None and stored.ndim == 3 and stored.shape[2] == 4:
        return stored[..., 3] > 0
    return image_hwc[..., 0] > 0


def _listed_names(raw_dir: pathlib.Path) -> list[str]:
    """Of the classes in meta.json, in its order."""
    file = raw_dir / META
    if not file.is_file():
        return []
    return [
        text(record, "title", f"{file}: classes[{number}]").strip()
        for number, record in enumerate(records(read_json(file), "classes", file))
    ]
