"""VIA, the VGG Image Annotator 1 and 2: `regions` of many pictures in one JSON or CSV file.

A project, the annotations alone, or a table of regions. A class is the value of an attribute of
regions, which people call as they like; the one that most regions have is taken. Shapes become
labelme's, so that lines and points have its rules. https://www.robots.ox.ac.uk/~vgg/software/via/
"""

import collections
import csv
import functools
import io
import json
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.folders import as_spelled, is_there, split_of, unlisted, walk_files
from hierseg_jax.data.prepare.json_file import read_bytes, read_json, shown
from hierseg_jax.data.prepare.labelme import Annotation, draw_shapes
from hierseg_jax.data.prepare.mask_folders import left_out
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes, flat_name
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import counted, listed

ONE = "object"
"""The class of regions of which none has an attribute."""
_IGNORED = "__ignore__"
_MARK = b"shape_attributes"
_LOOKED_AT = 3
_CORNERS = 64  # of an ellipse


class _Region(NamedTuple):
    """Where it stands, for sentences; its shape and its attributes."""

    where: str
    shape: Mapping[str, Any]
    attributes: Mapping[str, str]


_Regions = dict[pathlib.Path, list[_Region]]


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether one of the first JSON and CSV files is VIA's."""
    patterns = ("*.json", "*.csv", "*/*.json", "*/*.csv")
    files = [file for pattern in patterns for file in sorted(raw_dir.glob(pattern))[:_LOOKED_AT]]
    return any(_MARK in read_bytes(file) for file in files)


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of all files of VIA's in a folder and below.

    Raises:
      FileNotFoundError: no such file.
      HiersegError: a sentence that names the file and the region.
    """
    files = [file for file in walk_files(raw_dir, (".json", ".csv")) if _MARK in read_bytes(file)]
    if not files:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no annotations of VIA; expected JSON or CSV files with "
            "`shape_attributes` there or below."
        )
    regions: _Regions = {}
    named_by: dict[pathlib.Path, pathlib.Path] = {}
    for file in files:
        for image, found in _read_file(file).items():
            first = named_by.setdefault(image, file)
            if first != file and [r[1:] for r in regions[image]] != [r[1:] for r in found]:
                raise HiersegError(
                    f"{first} and {file} annotate {image} in two ways; take the one that is not "
                    "meant out of --raw_dir."
                )
            regions.setdefault(image, found)
    # Most of these are still to be annotated.
    bare = [image for image, of in regions.items() if not of]
    regions = {image: of for image, of in regions.items() if of}
    every = [region for of in regions.values() for region in of]
    attribute, notes = _attribute(every)
    names = [region.attributes.get(attribute, "") for region in every]
    classes_there = sorted({name for name in names if name})
    unnamed = _IGNORED if len(classes_there) > 1 else (*classes_there, ONE)[0]
    if classes_there and "" in names:
        are = "are ignored" if unnamed == _IGNORED else f"are {unnamed}, as all others"
        notes += (f"{counted(names.count(''), 'region')} without {attribute!r} {are}.",)
    used = {name or unnamed for name in names}
    where = str(files[0] if len(files) == 1 else raw_dir)
    classes = find_classes(sorted(used), used, where, wishes)
    pictures = []
    for image, of in regions.items():
        shapes = [_labelled(region, region.attributes.get(attribute) or unnamed) for region in of]
        annotation = Annotation(named_by[image], image.name, None, shapes)
        draw = functools.partial(draw_shapes, annotation, classes.values, wishes.order == "area")
        folder, below = image.parent, image
        if image.is_relative_to(raw_dir):
            below = image.relative_to(raw_dir)
            folder = below.parent
        file = named_by[image]
        split = split_of(folder) or split_of(file.relative_to(raw_dir))
        pictures.append(
            Picture(split, flat_name(below.as_posix()), image, file, draw, listed_in=file.name)
        )
    notes = (*classes.notes, *notes, *left_out(bare, {}), *unlisted(named_by, str(raw_dir)))
    return RawData(pictures, classes.hierarchy, classes.labels, notes=notes)


def _attribute(regions: Sequence[_Region]) -> tuple[str, tuple[str, ...]]:
    """The one that tells the class, and a note where there are others."""
    count = collections.Counter(name for r in regions for name in r.attributes)
    ranked = sorted(count, key=lambda name: (-count[name], name))
    if not ranked:
        return "", (f"No region has an attribute; all are called {ONE}.",)
    note = f"Classes are the values of the regions' attribute {ranked[0]!r}"
    others = f", not of {listed([repr(name) for name in ranked[1:]], 5)}" if ranked[1:] else ""
    return ranked[0], (f"{note}{others}.",)


def _read_file(file: pathlib.Path) -> _Regions:
    """Picture -> its regions."""
    entries = _table(file) if file.suffix.lower() == ".csv" else _entries(read_json(file), file)
    found: _Regions = {}
    for key, entry in entries:
        where = f"{file}: {shown(key)}"
        name = entry.get("filename") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not name or any(letter < " " for letter in name):
            raise HiersegError(f"{where}: 'filename' is {shown(name)}; expected text.")
        regions = entry.get("regions") or []
        if isinstance(regions, Mapping):  # of VIA 1
            regions = list(regions.values())
        if not isinstance(regions, list):
            raise HiersegError(f"{where}: 'regions' is {shown(regions)}; expected a list.")
        image = _image(file, name)
        for number, region in enumerate(regions):
            found.setdefault(image, []).append(_region(region, f"{where}: regions[{number}]"))
        found.setdefault(image, [])
    return found


def _image(file: pathlib.Path, name: str) -> pathlib.Path:
    """Beside the annotations, or in a folder there; in whatever place of another machine it was."""
    path = as_spelled(file.parent / name.replace("\\", "/"))
    if is_there(path):
        return path
    beside = as_spelled(file.with_name(path.name or "_"))
    if is_there(beside):
        return beside
    below = (as_spelled(f / beside.name) for f in sorted(file.parent.iterdir()) if f.is_dir())
    return next(filter(is_there, below), beside)


def _entries(content: Any, file: pathlib.Path) -> Iterable[tuple[Any, Any]]:
    if isinstance(content, Mapping) and "_via_img_metadata" in content:
        content = content["_via_img_metadata"]
    if not isinstance(content, Mapping):
        raise HiersegError(f"{file} holds {shown(content)}; expected VIA's pictures by name.")
    return content.items()


def _table(file: pathlib.Path) -> Iterable[tuple[Any, Any]]:
    """The lines of a CSV as a JSON has them."""
    try:
        lines = list(csv.DictReader(io.StringIO(read_bytes(file).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise HiersegError(f"{file} is no CSV: {error}.") from error
    entries: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines, 2):
        name = line.get("filename") or line.get("#filename") or ""
        entry = entries.setdefault(name, {"filename": name, "regions": []})
        kinds = ("shape_attributes", "region_attributes")
        cells = [line.get("region_shape_attributes") or "{}", line.get("region_attributes") or "{}"]
        try:
            region = dict(zip(kinds, map(json.loads, cells), strict=True))
        except ValueError as error:
            raise HiersegError(f"{file}: line {number}: its attributes are no JSON.") from error
        if region["shape_attributes"]:
            entry["regions"].append(region)
    return entries.items()


def _region(region: Any, where: str) -> _Region:
    shape = region.get("shape_attributes") if isinstance(region, Mapping) else None
    given = region.get("region_attributes") if isinstance(region, Mapping) else None
    if not isinstance(shape, Mapping) or not isinstance(given or {}, Mapping):
        raise HiersegError(f"{where} is {shown(region)}; expected a shape and its attributes.")
    attributes = {str(key): _value(value) for key, value in (given or {}).items()}
    return _Region(where, shape, {key: value for key, value in attributes.items() if value})


def _value(value: Any) -> str:
    """Of a text, or of check boxes of which one is ticked; else empty."""
    if isinstance(value, Mapping):
        ticked = [str(key) for key, is_ticked in value.items() if is_ticked]
        return ticked[0].strip() if len(ticked) == 1 else ""
    return value.strip() if isinstance(value, str) else ""


def _labelled(region: _Region, label: str) -> dict[str, Any]:
    """As labelme has it."""
    kind = region.shape.get("name")
    try:
        shape_type, points = _outline(kind, region.shape)
    except ValueError as error:
        raise HiersegError(f"{region.where} ({shown(kind)}): {error}.") from error
    return {"label": label, "shape_type": shape_type, "points": points}


def _outline(kind: Any, shape: Mapping[str, Any]) -> tuple[str, list[list[float]]]:
    """labelme's kind and its points; a ValueError is half a sentence."""

    def numbers(*keys: str) -> list[float]:
        return [_number(shape.get(key), key) for key in keys]

    if kind in ("polygon", "polyline"):
        x_n, y_n = (_column(shape, key) for key in ("all_points_x", "all_points_y"))
        if len(x_n) != len(y_n):
            raise HiersegError(f"it has {len(x_n)} x and {len(y_n)} y")
        kind = "polygon" if kind == "polygon" else "linestrip"
        return kind, [[x, y] for x, y in zip(x_n, y_n, strict=True)]
    if kind == "rect":
        x, y, width, height = numbers("x", "y", "width", "height")
        return "rectangle", [[x, y], [x + width, y + height]]
    if kind == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        return "circle", [[x, y], [x + radius, y]]
    if kind == "ellipse":
        x, y, a, b = numbers("cx", "cy", "rx", "ry")
        turned = _number(shape.get("theta", 0.0), "theta")
        return "polygon", [_on_ellipse(x, y, a, b, turned, i) for i in range(_CORNERS)]
    if kind == "point":
        return "point", [numbers("cx", "cy")]
    raise HiersegError("the shape is unknown")


def _column(shape: Mapping[str, Any], key: str) -> list[float]:
    values = shape.get(key)
    if not isinstance(values, list):
        raise HiersegError(f"{key!r} is {shown(values)}; expected numbers")
    return [_number(value, key) for value in values]


def _number(value: Any, key: str) -> float:
    if type(value) not in (int, float):
        raise HiersegError(f"{key!r} is {shown(value)}; expected a number")
    return value


def _on_ellipse(x: float, y: float, a: float, b: float, turned: float, i: int) -> list[float]:
    angle = 2 * math.pi * i / _CORNERS
    along, across = a * math.cos(angle), b * math.sin(angle)
    cos, sin = math.cos(turned), math.sin(turned)
    return [x + along * cos - across * sin, y + along * sin + across * cos]
