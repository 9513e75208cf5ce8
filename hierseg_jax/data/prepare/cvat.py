"""CVAT for images: one XML file with the shapes of all pictures.

Shapes become labelme's, so that lines and points have its rules; what has a higher `z_order` lies
on top. https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

import functools
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.coco_files import find_places
from hierseg_jax.data.prepare.draw import ellipse, run_lengths
from hierseg_jax.data.prepare.folders import split_of, unlisted, walk_files
from hierseg_jax.data.prepare.json_file import read_bytes, shown
from hierseg_jax.data.prepare.labelme import Annotation, draw_shapes
from hierseg_jax.data.prepare.mask_folders import left_out
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes, flat_name
from hierseg_jax.data.prepare.via_files import number
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import listed

_MARKS = (b"<annotations>", b"<version>")
_HEAD, _LOOKED_AT, _FIRST = 4096, 20, 100
_LINES = {"polygon": "polygon", "polyline": "linestrip", "points": "points"}
_DRAWN = (*_LINES, "box", "ellipse", "mask")


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether one of the first XML files is CVAT's."""
    patterns = ("*.[xX][mM][lL]", "*/*.[xX][mM][lL]")
    files = [file for pattern in patterns for file in sorted(raw_dir.glob(pattern))[:_LOOKED_AT]]
    return any(map(_is_cvat, files))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of all XML files of CVAT in a folder and below.

    Raises:
      FileNotFoundError: no such file, or no folder of its pictures.
      HiersegError: a sentence that names the file and the shape.
    """
    files = [file for file in walk_files(raw_dir, (".xml",)) if _is_cvat(file)]
    if not files:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no annotations of CVAT; expected its XML files there or below."
        )
    documents = {file: _root(file) for file in files}
    names: list[str] = []
    notes: list[str] = []
    for file, root in documents.items():
        if root.find("track") is not None:
            raise HiersegError(
                f"{file} is CVAT's for video; export `CVAT for images 1.1` there, with its images."
            )
        labels = root.iterfind("meta//labels/label/name")
        names += [label.text.strip() for label in labels if label.text and label.text.strip()]
        left = sorted({each.tag for each in root.iterfind("image/*")} - {*_DRAWN, "tag"})
        if left:
            notes.append(f"{file}: left out, for they have no area: {listed(left, 5)}.")
    shapes = {file: [_shapes(image, file) for image in of] for file, of in _images(documents)}
    used = {shape["label"] for of in shapes.values() for each in of for shape in each}
    where = str(files[0] if len(files) == 1 else raw_dir)
    if not used:
        raise HiersegError(f"{where} holds no shape that has an area; there is nothing to learn.")
    classes = find_classes([*names, *sorted(used)], used, where, wishes)
    pictures: list[Picture] = []
    bare: list[pathlib.Path] = []
    for file, images in _images(documents):
        split = split_of(file.relative_to(raw_dir))
        first = [_name(image, file) for image in images[:_FIRST]]
        places = find_places(file, first, raw_dir, split)
        for image, of in zip(images, shapes[file], strict=True):
            path, within = places.find(_name(image, file))
            if not of:  # most of these are still to be annotated
                bare.append(path)
                continue
            told = (_side(image, "height", file), _side(image, "width", file))
            annotation = Annotation(file, within, told, of)
            draw = functools.partial(
                draw_shapes, annotation, classes.values, wishes.order == "area"
            )
            own = split_of(pathlib.Path(image.get("subset", ""))) or split
            own = own or split_of(path.parent.relative_to(raw_dir))
            pictures.append(Picture(own, flat_name(within), path, file, draw, listed_in=file.name))
    notes += [*classes.notes, *left_out(bare, {})]
    notes += unlisted((*(picture.image for picture in pictures), *bare), where)
    return RawData(pictures, classes.hierarchy, classes.labels, notes=tuple(notes))


def _is_cvat(file: pathlib.Path) -> bool:
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    return all(mark in head for mark in _MARKS)


def _root(file: pathlib.Path) -> ElementTree.Element:
    data = read_bytes(file)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # CVAT writes none, and some of them are bombs
        raise HiersegError(f"{file} defines entities, which CVAT's files don't; export it again.")
    try:
        return ElementTree.fromstring(data)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise HiersegError(f"{file} is no XML: {error}; export it again.") from error


def _images(
    documents: Mapping[pathlib.Path, ElementTree.Element],
) -> list[tuple[pathlib.Path, list[ElementTree.Element]]]:
    """Files of at least one picture, with their pictures."""
    found = {file: root.findall("image") for file, root in documents.items()}
    return [(file, images) for file, images in found.items() if images]


def _name(image: ElementTree.Element, file: pathlib.Path) -> str:
    name = image.get("name", "").replace("\\", "/")
    parts = pathlib.PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise HiersegError(f"{file} has a picture of the name {shown(image.get('name'))}.")
    return name


def _side(image: ElementTree.Element, side: str, file: pathlib.Path) -> int:
    try:
        return int(number(image.attrib, side))
    except HiersegError as error:
        raise HiersegError(f"{file}: {shown(image.get('name'))}: {error}.") from error


def _shapes(image: ElementTree.Element, file: pathlib.Path) -> list[dict[str, Any]]:
    """As labelme has them, the lowest first."""
    found = []
    for index, shape in enumerate(each for each in image if each.tag in _DRAWN):
        where = f"{file}: {shown(image.get('name'))}: shape {index + 1} ({shape.tag})"
        label = shape.get("label", "").strip()
        if not label:
            raise HiersegError(f"{where} has no label.")
        try:
            height = number({"z_order": "0", **shape.attrib}, "z_order")
            found.append((height, {"label": label, **_outline(shape)}))
        except HiersegError as error:
            raise HiersegError(f"{where}: {error}.") from error
    return [shape for _, shape in sorted(found, key=lambda each: each[0])]


def _outline(shape: ElementTree.Element) -> dict[str, Any]:
    """labelme's kind and its points; the HiersegError is half a sentence."""

    def numbers(*keys: str) -> list[float]:
        return [number(shape.attrib, key) for key in keys]

    if shape.tag in _LINES:
        return {"shape_type": _LINES[shape.tag], "points": _points(shape.get("points", ""))}
    turned = math.radians(number({"rotation": "0", **shape.attrib}, "rotation"))
    if shape.tag == "box":
        x0, y0, x1, y1 = numbers("xtl", "ytl", "xbr", "ybr")
        x, y, cos, sin = (x0 + x1) / 2, (y0 + y1) / 2, math.cos(turned), math.sin(turned)
        corners = [(x0 - x, y0 - y), (x1 - x, y0 - y), (x1 - x, y1 - y), (x0 - x, y1 - y)]
        outline = [[x + dx * cos - dy * sin, y + dx * sin + dy * cos] for dx, dy in corners]
        return {"shape_type": "polygon", "points": outline}
    if shape.tag == "ellipse":
        x, y, a, b = numbers("cx", "cy", "rx", "ry")
        return {"shape_type": "polygon", "points": ellipse(x, y, a, b, turned)}
    left, top, width, height = map(int, numbers("left", "top", "width", "height"))
    counts = _counts(shape.get("rle", ""))
    return {
        "shape_type": "mask",
        "points": [[left, top], [left + width, top + height]],
        "mask": lambda: run_lengths(counts, (height, width), by_row=True).inside_hw,
    }


def _points(text: str) -> list[list[float]]:
    pairs = [dict(zip("xy", pair.split(","), strict=False)) for pair in text.split(";")]
    return [[number(pair, "x"), number(pair, "y")] for pair in pairs]


def _counts(text: str) -> Sequence[int]:
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() and len(word) < 10 for word in words):
        raise HiersegError(f"its run lengths are {shown(text)}")
    return [*map(int, words)]
