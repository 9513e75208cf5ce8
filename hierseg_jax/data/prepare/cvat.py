"""CVAT for images: one XML file with the shapes of all pictures.

What has a higher `z_order` lies on top. https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Sequence
from xml.etree import ElementTree

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.draw import ellipse, run_lengths
from hierseg_jax.data.prepare.folders import is_below, split_of, unlisted, walk_files
from hierseg_jax.data.prepare.json_file import read_bytes, shown
from hierseg_jax.data.prepare.mask_folders import left_out
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes, flat_name
from hierseg_jax.data.prepare.picture_places import Place, find_places
from hierseg_jax.data.prepare.shapes import Annotation, Shape, draw_shapes, number, numbers
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, said_with
from hierseg_jax.system.wording import listed

_MARKS = (b"<annotations>", b"<version>")
_HEAD, _LOOKED_AT = 4096, 20
_LINES = {"polygon": "polygon", "polyline": "linestrip", "points": "points"}
_DRAWN = (*_LINES, "box", "ellipse", "mask")


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether one of the first XML files is CVAT's."""
    patterns = ("*.[xX][mM][lL]", "*/*.[xX][mM][lL]")
    files = [file for pattern in patterns for file in sorted(raw_dir.glob(pattern))[:_LOOKED_AT]]
    return any(_is_cvat(file) and _has_outlines(file) for file in files)


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
    roots = {file: _root(file) for file in files}
    documents: dict[pathlib.Path, list[ElementTree.Element]] = {}
    names: list[str] = []
    notes: list[str] = []
    for file, root in roots.items():
        if root.find("track") is not None:
            raise HiersegError(
                f"{file} is CVAT's for video; export `CVAT for images 1.1` there, with its images."
            )
        labels = root.iterfind("meta//labels/label/name")
        names += [label.text.strip() for label in labels if label.text and label.text.strip()]
        left = sorted({each.tag for each in root.iterfind("image/*")} - {*_DRAWN, "tag"})
        if left:
            notes.append(f"{file}: left out, for they are not read: {listed(left, 5)}.")
        if images := root.findall("image"):
            documents[file] = images
    shapes = {file: [_shapes(image, file) for image in of] for file, of in documents.items()}
    used = {shape.label for of in shapes.values() for each in of for shape in each}
    where = str(files[0] if len(files) == 1 else raw_dir)
    if not used:
        raise HiersegError(f"{where} holds no shape that has an area; there is nothing to learn.")
    classes = find_classes([*names, *sorted(used)], used, where, wishes)
    by_area = wishes.order == "area"
    pictures: list[Picture] = []
    bare: list[pathlib.Path] = []
    for file, images in documents.items():
        places = _places(images, file, raw_dir)
        for image, of, (path, within) in zip(images, shapes[file], places, strict=True):
            if not of:  # most of these are still to be annotated
                bare.append(path)
                continue
            told = (_side(image, "height", file), _side(image, "width", file))
            annotation = Annotation(file, within, told, of)
            draw = functools.partial(draw_shapes, annotation, classes.values, by_area)
            split = _split(image, file, raw_dir) or split_of(path.parent.relative_to(raw_dir))
            name = flat_name(within)
            pictures.append(Picture(split, name, path, file, draw, listed_in=file.name))
    of_names = {(picture.split or "train", picture.name) for picture in pictures}
    if len(of_names) < len(pictures):  # of several tasks: their folders keep them apart
        pictures = [
            dataclasses.replace(each, name=flat_name(each.image.relative_to(raw_dir).as_posix()))
            for each in pictures
        ]
    drawn = {picture.image for picture in pictures}
    notes += [*classes.notes, *left_out([path for path in bare if path not in drawn], {})]
    notes += unlisted((*drawn, *bare), where)
    return RawData(pictures, classes.hierarchy, classes.labels, notes=tuple(notes))


def _split(image: ElementTree.Element, file: pathlib.Path, raw_dir: pathlib.Path) -> str:
    """What the picture's subset is called after, or else its file."""
    subset = pathlib.PurePath(image.get("subset", ""))
    return split_of(subset) or split_of(file.relative_to(raw_dir))


def _places(
    images: Sequence[ElementTree.Element], file: pathlib.Path, raw_dir: pathlib.Path
) -> list[Place]:
    """Of pictures, whose names are those of no other one of the same subset."""
    subsets: dict[str, list[ElementTree.Element]] = {}
    for image in images:
        subsets.setdefault(image.get("subset", ""), []).append(image)
    found: dict[str, dict[str, Place]] = {}
    for subset, of in subsets.items():
        names = [_name(image, file) for image in of]
        folder = subset if is_below(subset) else ""
        try:
            found[subset] = find_places(file, names, raw_dir, _split(of[0], file, raw_dir), folder)
        except HiersegFileNotFoundError:
            if any(image.find(tag) is not None for image in of for tag in _DRAWN):
                raise
            found[subset] = {name: Place(file.parent / name, name) for name in names}
    return [found[image.get("subset", "")][_name(image, file)] for image in images]


def _is_cvat(file: pathlib.Path) -> bool:
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    return all(mark in head for mark in _MARKS)


def _has_outlines(file: pathlib.Path) -> bool:
    """Whether anything but boxes is drawn: whoever has these alone may have masks elsewhere."""
    data = read_bytes(file)
    return any(f"<{tag} ".encode() in data for tag in (*_DRAWN, "track") if tag != "box")


def _root(file: pathlib.Path) -> ElementTree.Element:
    data = read_bytes(file)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # CVAT writes none, and some of them are bombs
        raise HiersegError(f"{file} defines entities, which CVAT's files don't; export it again.")
    try:
        return ElementTree.fromstring(data)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise HiersegError(f"{file} is no XML: {error}; export it again.") from error


def _name(image: ElementTree.Element, file: pathlib.Path) -> str:
    name = image.get("name", "").replace("\\", "/")
    if not is_below(name):  # a place on another machine
        name = pathlib.PurePosixPath(name).name
    if not is_below(name):
        raise HiersegError(f"{file} has a picture of the name {shown(name)}; give it a file's.")
    return name


def _side(image: ElementTree.Element, side: str, file: pathlib.Path) -> int:
    with said_with(f"{file}: {shown(image.get('name'))}: ", "."):
        return int(number(image.attrib, side))


def _shapes(image: ElementTree.Element, file: pathlib.Path) -> list[Shape]:
    """The lowest first."""
    found = []
    for index, element in enumerate(each for each in image if each.tag in _DRAWN):
        where = f"{file}: {shown(image.get('name'))}: shape {index + 1} ({element.tag})"
        label = element.get("label", "").strip()
        if not label:
            raise HiersegError(f"{where} has no label.")
        with said_with(f"{where}: ", "."):
            height = number({"z_order": "0", **element.attrib}, "z_order")
            found.append((height, _shape(element, where, label)))
    return [shape for _, shape in sorted(found, key=lambda each: each[0])]


def _shape(element: ElementTree.Element, where: str, label: str) -> Shape:
    """The HiersegError is half a sentence."""
    if element.tag in _LINES:
        return Shape(where, label, _LINES[element.tag], _points(element.get("points", "")))
    turned = math.radians(number({"rotation": "0", **element.attrib}, "rotation"))
    if element.tag == "box":
        x0, y0, x1, y1 = numbers(element.attrib, "xtl", "ytl", "xbr", "ybr")
        x, y, cos, sin = (x0 + x1) / 2, (y0 + y1) / 2, math.cos(turned), math.sin(turned)
        corners = [(x0 - x, y0 - y), (x1 - x, y0 - y), (x1 - x, y1 - y), (x0 - x, y1 - y)]
        outline = [[x + dx * cos - dy * sin, y + dx * sin + dy * cos] for dx, dy in corners]
        return Shape(where, label, "polygon", outline)
    if element.tag == "ellipse":
        x, y, a, b = numbers(element.attrib, "cx", "cy", "rx", "ry")
        return Shape(where, label, "polygon", ellipse(x, y, a, b, turned))
    left, top, width, height = map(int, numbers(element.attrib, "left", "top", "width", "height"))
    counts = _counts(element.get("rle", ""))
    return Shape(
        where,
        label,
        "mask",
        [[left, top], [left + width, top + height]],
        mask=lambda: run_lengths(counts, (height, width), by_row=True).inside_hw,
    )


def _points(text: str) -> list[list[float]]:
    pairs = [dict(zip("xy", pair.split(","), strict=False)) for pair in text.split(";")]
    return [[number(pair, "x"), number(pair, "y")] for pair in pairs]


def _counts(text: str) -> Sequence[int]:
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() and len(word) < 10 for word in words):
        raise HiersegError(f"its run lengths are {shown(text)}")
    return [*map(int, words)]
