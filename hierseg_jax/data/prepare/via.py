"""VIA, the VGG Image Annotator: projects, regions alone, or a table of them.

A class is the value of an attribute of regions, which people call as they like. https://www.robots.ox.ac.uk/~vgg/software/via/
"""

import collections
import functools
import os
import pathlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.draw import ellipse
from hierseg_jax.data.prepare.folders import (
    folders_in,
    is_there,
    split_of,
    unlisted,
    walk_files,
)
from hierseg_jax.data.prepare.json_file import read_bytes, shown
from hierseg_jax.data.prepare.mask_folders import left_out
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes, flat_name
from hierseg_jax.data.prepare.shapes import (
    Annotation,
    Shape,
    about_boxes,
    draw_shapes,
    number,
    numbers,
)
from hierseg_jax.data.prepare.via_files import IGNORED, MARK, Entry, Region, column, read_entries
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, said_with
from hierseg_jax.system.wording import counted, listed
from hierseg_jax.tree.meeting import all_labels

ONE = "object"
"""The class of regions of which none has an attribute."""
_NAMES_OF_CLASSES = {"class", "classes", "label", "labels", "name", "category", "type", "object"}
_LOOKED_AT = 3


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether one of the first JSON and CSV files is VIA's."""
    patterns = ("*.json", "*.csv", "*/*.json", "*/*.csv")
    files = [file for pattern in patterns for file in sorted(raw_dir.glob(pattern))[:_LOOKED_AT]]
    return any(MARK in read_bytes(file) for file in files)


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of all files of VIA's in a folder and below.

    Raises:
      FileNotFoundError: no such file.
      HiersegError: a sentence that names the file and the region.
    """
    files = [file for file in walk_files(raw_dir, (".json", ".csv")) if MARK in read_bytes(file)]
    if not files:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no annotations of VIA; expected JSON or CSV files with "
            "`shape_attributes` there or below."
        )
    regions, named_by = _by_picture(files)
    # Most of these are still to be annotated.
    bare = [image for image, of in regions.items() if not of]
    regions = {image: of for image, of in regions.items() if of}
    every = [region for of in regions.values() for region in of]
    attribute, notes = _attribute(every, wishes)
    names = [region.attributes.get(attribute, "") for region in every]
    classes_there = sorted({*names} - {"", IGNORED})
    unnamed = IGNORED if len(classes_there) > 1 else (*classes_there, ONE)[0]
    if classes_there and "" in names:
        are = "are ignored" if unnamed == IGNORED else f"are {unnamed}, as all others"
        notes += (f"{counted(names.count(''), 'region')} without {attribute!r} {are}.",)
    if IGNORED in names:
        several = counted(names.count(IGNORED), "region")
        notes += (f"{several} with several values of {attribute!r} are ignored.",)
    used = {name or unnamed for name in names}
    where = str(files[0] if len(files) == 1 else raw_dir)
    classes = find_classes(sorted(used), used, where, wishes)
    pictures, drawn = [], []
    for image, of in regions.items():
        shapes = [_labelled(region, region.attributes.get(attribute) or unnamed) for region in of]
        drawn += shapes
        file = named_by[image]
        annotation = Annotation(file, image.name, None, shapes)
        draw = functools.partial(draw_shapes, annotation, classes.values, wishes.order == "area")
        inside = image.is_relative_to(raw_dir)
        below = image.relative_to(raw_dir) if inside else pathlib.Path(image.name)
        split = split_of(below.parent) or split_of(file.relative_to(raw_dir))
        name = flat_name(below.as_posix())
        pictures.append(Picture(split, name, image, file, draw, listed_in=file.name))
    notes = (*classes.notes, *notes, *about_boxes(drawn, where), *left_out(bare, {}))
    notes = (*notes, *unlisted(named_by, str(raw_dir)))
    return RawData(pictures, classes.hierarchy, classes.labels, notes=notes)


def _by_picture(
    files: Sequence[pathlib.Path],
) -> tuple[dict[pathlib.Path, tuple[Region, ...]], dict[pathlib.Path, pathlib.Path]]:
    """The regions of every picture, and the file that has them."""
    regions: dict[pathlib.Path, tuple[Region, ...]] = {}
    named_by: dict[pathlib.Path, pathlib.Path] = {}
    for file in files:
        there = _images_by_name(file.parent)
        here: dict[pathlib.Path, str] = {}
        for entry in read_entries(file):
            image = _image(entry, file, there)
            if (other := here.setdefault(image, entry.where)) != entry.where:
                raise HiersegError(
                    f"{other} and {entry.where} are both of {image}; give the pictures names of "
                    "their own, or each folder a file of annotations."
                )
            first = named_by.setdefault(image, file)
            alike = [[r[1:] for r in of] for of in (regions.get(image, ()), entry.regions)]
            if first != file and alike[0] != alike[1]:
                raise HiersegError(
                    f"{first} and {file} annotate {image} in two ways; take the one that is not "
                    "meant out of --raw_dir."
                )
            regions.setdefault(image, entry.regions)
    return regions, named_by


def _images_by_name(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Those in a folder and right below it."""
    found: dict[str, list[pathlib.Path]] = {}
    below = (file for path in folders_in(folder) for file in sorted(path.iterdir()))
    for file in (*sorted(folder.iterdir()), *below):
        if file.suffix.lower() in IMAGE_SUFFIXES:
            found.setdefault(unicodedata.normalize("NFC", file.name), []).append(file)
    return found


def _image(
    entry: Entry, file: pathlib.Path, there: Mapping[str, Sequence[pathlib.Path]]
) -> pathlib.Path:
    """Beside the annotations, or in a folder there, wherever it lay on another machine."""
    name = entry.name.replace("\\", "/")
    last = pathlib.PurePosixPath(name).name
    if not last or last == "..":
        raise HiersegError(f"{entry.where}: 'filename' is {shown(entry.name)}; expected a file's.")
    if last != name:
        path = pathlib.Path(os.path.normpath(file.parent / name))
        if is_there(path):
            return path
    found = there.get(unicodedata.normalize("NFC", last), ())
    if len(found) > 1 and entry.size is not None:
        found = [image for image in found if image.stat().st_size == entry.size] or found
    if len(found) > 1:
        raise HiersegError(
            f"{entry.where} may be {found[0]} or {found[1]}; give the pictures names of their own, "
            "or each folder a file of annotations."
        )
    return found[0] if found else file.with_name(last)


def _attribute(regions: Sequence[Region], wishes: Wishes) -> tuple[str, tuple[str, ...]]:
    """The one that tells the class, and a note where there are others.

    That of the most regions; but one that is called like it, or that has names of the user's
    tree, comes first, and one that is another for every region last.
    """
    values: dict[str, collections.Counter[str]] = {}
    for region in regions:
        for name, value in region.attributes.items():
            values.setdefault(name, collections.Counter())[value] += 1
    if not values:
        return "", (f"No region has an attribute; all are called {ONE}.",)
    known = set(all_labels(wishes.hierarchy).names) if wishes.hierarchy is not None else set()
    most = max(of.total() for of in values.values())

    def rank(name: str) -> tuple[int, bool, bool, int, str]:
        of = values[name]
        is_number = len(of) > max(2, of.total() / 2)
        is_called_so = name.casefold() in _NAMES_OF_CLASSES and 2 * of.total() >= most
        of_tree = sum(of[value] for value in known)
        return -of_tree, is_number, not is_called_so, -of.total(), name

    first, *others = sorted(values, key=rank)
    note = f"Classes are the values of the regions' attribute {first!r}."
    if others:
        note = (
            f"{note[:-1]}, not of {listed([repr(name) for name in others], 5)}. A --hierarchy with "
            "the values of another takes that."
        )
    return first, (note,)


def _labelled(region: Region, label: str) -> Shape:
    kind = region.shape.get("name")
    where = f"{region.where} ({shown(kind)})"
    with said_with(f"{where}: ", "."):
        return Shape(where, label, *_outline(kind, region.shape))


def _outline(kind: Any, shape: Mapping[str, Any]) -> tuple[str, list[list[float]]]:
    """labelme's kind and its points; the HiersegError is half a sentence."""
    if kind in ("polygon", "polyline"):
        x_n, y_n = (column(shape, key) for key in ("all_points_x", "all_points_y"))
        if len(x_n) != len(y_n):
            raise HiersegError(f"it has {len(x_n)} x and {len(y_n)} y")
        kind = "polygon" if kind == "polygon" else "linestrip"
        return kind, [[x, y] for x, y in zip(x_n, y_n, strict=True)]
    if kind == "rect":
        x, y, width, height = numbers(shape, "x", "y", "width", "height")
        return "rectangle", [[x, y], [x + width, y + height]]
    if kind == "circle":
        x, y, radius = numbers(shape, "cx", "cy", "r")
        return "circle", [[x, y], [x + radius, y]]
    if kind == "ellipse":
        x, y, a, b = numbers(shape, "cx", "cy", "rx", "ry")
        turned = number({"theta": 0.0, **shape}, "theta")
        return "polygon", ellipse(x, y, a, b, turned)
    if kind == "point":
        return "point", [numbers(shape, "cx", "cy")]
    raise HiersegError("the shape is unknown")
