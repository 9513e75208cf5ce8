"""YOLO's segments: a YAML of `names` and folders, and lines `class x1 y1 x2 y2 ...` in text files.

https://docs.ultralytics.com/datasets/segment. Coordinates are shares of the picture's width and
height. The labels of `images/a/b.jpg` lie in `labels/a/b.txt`; without that file a picture is
background. Of a line with a box alone, nobody knows which of its pixels are meant: the box is
ignored.
"""

import contextlib
import functools
import math
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.draw import Region, box, paint, polygon
from hierseg_jax.data.prepare.folders import find_below, walk_files
from hierseg_jax.data.prepare.id_lists import read_ids
from hierseg_jax.data.prepare.json_file import shown
from hierseg_jax.data.prepare.picture import Picture, RawData, Size, Wishes, flat_name
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.data.read.pattern import in_place_of_images
from hierseg_jax.data.read.safe_yaml import read_yaml
from hierseg_jax.data.read.spec import SPLITS
from hierseg_jax.data.read.text_lines import numbered_lines
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, said_with
from hierseg_jax.system.wording import counted, listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

Line = tuple[int, list[float]]
"""Index of a class, and its numbers: of a box four, of a polygon more."""

# Tools round, and polygons may leave the picture by as much.
_SLACK = 0.01


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether there is a YAML file that names classes, and a folder of labels."""
    return bool(_yaml_files(raw_dir)) and any(
        path.is_dir() for pattern in ("labels", "*/labels") for path in raw_dir.glob(pattern)
    )


def has_boxes_alone(raw_dir: pathlib.Path) -> bool:
    """Whether no line of labels has a polygon; masks may lie beside them."""
    for file in (*raw_dir.glob("labels/**/*.txt"), *raw_dir.glob("*/labels/**/*.txt")):
        with contextlib.suppress(HiersegError):  # of a text that is no label
            if any(_is_polygon(row) for _, row in numbered_lines(file, "expected numbers")):
                return False
    return True


def _is_polygon(row: str) -> bool:
    words = row.split()
    try:
        return len(words) > 5 and all(math.isfinite(float(word)) for word in words)
    except ValueError:
        return False


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of the splits that the YAML names.

    Raises:
      FileNotFoundError: no YAML file, or a folder that it names is not there.
      ValueError: a sentence that names the file and the line.
    """
    files = _yaml_files(raw_dir)
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise HiersegFileNotFoundError(
            f"{raw_dir} should hold one YAML file with `names`, `train` and `val`; found {found}. "
            "Take the others elsewhere."
        )
    (file,) = files
    content = read_yaml(file)
    names = _names(file, content.get("names"))
    images = {split: _images(file, content, split) for split in SPLITS if content.get(split)}
    if not any(images.values()):
        raise HiersegError(f"{file} gives no folder of pictures; add `train: images/train`, say.")
    labels = {path: _label_file(path) for paths in images.values() for path in paths}
    lines = {path: read_lines(path, len(names)) for path in labels.values() if path.is_file()}
    notes = []
    if images.get("test") and not any(labels[path] in lines for path in images["test"]):
        notes.append(f"{file}: the pictures of test have no labels and are left out.")
        del images["test"]
    _check_segments(file, lines)
    used = {names[index] for of in lines.values() for index, _ in of}
    classes = find_classes(names, used, str(file), wishes)
    values = [classes.values.get(name, 0) for name in names]
    pictures = []
    for split, paths in images.items():
        for path, name in paths.items():
            of = lines.get(labels[path], [])
            draw = functools.partial(draw_lines, of, values, wishes.order != "file")
            pictures.append(Picture(split, name, path, labels[path], draw, listed_in=file.name))
    equal = [name for name, count in Counter(names).items() if count > 1]
    if equal:
        notes.append(f"{file}: classes of one name are one class: {listed(equal, 10)}.")
    boxes = sum(len(numbers) == 4 for of in lines.values() for _, numbers in of)
    if boxes:
        notes.append(f"{file}: ignored, boxes alone: {counted(boxes, 'line')}.")
    return RawData(pictures, classes.hierarchy, classes.labels, notes=(*classes.notes, *notes))


def read_lines(file: pathlib.Path, num_classes: int) -> list[Line]:
    """The lines of one picture.

    Raises:
      ValueError: a sentence that starts with the file and names the line.
      OSError: a file that cannot be opened.
    """
    lines = []
    for number, row in numbered_lines(file, "expected lines of numbers"):
        with said_with(f"{file}: line {number}: ", "."):
            lines.append(_line(row.split(), num_classes))
    return lines


def draw_lines(
    lines: Sequence[Line], values: Sequence[int], by_area: bool, size: Size
) -> np.ndarray:
    """The mask of a picture: uint8 [H, W].

    Args:
      lines: from `read_lines`.
      values: of the classes in the mask.
      by_area: the smaller of two regions lies on top; otherwise the later one does.
      size: of the picture.
    """
    height, width = size
    regions = []
    for index, numbers in lines:
        if len(numbers) == 4:
            x, y, across, down = np.array(numbers) * (width, height, width, height)
            corners = x - across / 2, y - down / 2, x + across / 2, y + down / 2
            regions.append(Region(IGNORE_LABEL, box(*corners, size), below=True))
        else:
            points_n2 = np.array(numbers).reshape(-1, 2) * (width, height)
            regions.append(Region(values[index], polygon(points_n2, size)))
    return paint(regions, size, by_area)


def _line(words: list[str], num_classes: int) -> Line:
    try:
        index, *numbers = map(float, words)
    except ValueError as error:
        raise HiersegError("it is not all numbers") from error
    if not 0 <= index < num_classes or index != int(index):
        raise HiersegError(f"there is no class {shown(words[0])}; `names` has {num_classes}")
    if len(numbers) < 4 or len(numbers) % 2:
        raise HiersegError(
            f"it has {len(numbers)} numbers after the class; expected x and y of each point"
        )
    wrong = [number for number in numbers if not -_SLACK <= number <= 1 + _SLACK]
    if wrong:
        raise HiersegError(
            f"it holds {wrong[0]:g}; coordinates are shares of the picture, from 0 to 1"
        )
    return int(index), numbers


def _names(file: pathlib.Path, names: Any) -> list[str]:
    if isinstance(names, Mapping) and set(names) == set(range(len(names))):
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names or not all(map(str, names)):
        raise HiersegError(
            f"{file}: names: expected a list of class names, or names by the indices 0, 1, 2 and "
            f"so on; found {shown(names)}."
        )
    for name in names:
        # Numbers are names as they are written; `no` would be called False.
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise HiersegError(
                f"{file}: names: {shown(name)} is no text; put quotes around yes, no, on, off and "
                "fractions."
            )
    return [str(name) for name in names]


def _images(file: pathlib.Path, content: Mapping[str, Any], split: str) -> dict[pathlib.Path, str]:
    """Pictures of a split, which is a folder, a list of files, or several of these; their names."""
    given, root = content[split], content.get("path")
    # What paths in the YAML are relative to.
    roots = [*([file.parent / root] if isinstance(root, str) else []), file.parent]
    images: dict[pathlib.Path, str] = {}
    for one in given if isinstance(given, list) else [given]:
        place = _place(f"{file}: {split}", one, roots)
        if place.is_dir():
            found = walk_files(place, IMAGE_SUFFIXES)
            images |= {path: flat_name(path.relative_to(place).as_posix()) for path in found}
        else:
            paths = [find_below(line, [place.parent, *roots]) for _, line in read_ids(place)]
            lost = next((path for path in paths if not path.is_file()), None)
            if lost is not None:
                raise HiersegFileNotFoundError(f"{place} names {lost}, which is not there.")
            images |= {path: path.stem for path in paths}
    return images


def _place(where: str, given: Any, roots: Sequence[pathlib.Path]) -> pathlib.Path:
    if not isinstance(given, str):
        raise HiersegError(f"{where}: expected a folder of pictures; found {shown(given)}.")
    place = find_below(given, roots)
    if place.exists():
        return place
    bases = dict.fromkeys(str(root / given) for root in roots)
    raise HiersegFileNotFoundError(
        f"{where}: there is no {' and no '.join(bases)}; mend the path there."
    )


def _label_file(image: pathlib.Path) -> pathlib.Path:
    """`labels` in place of the last `images` in the path, as YOLO has it."""
    return pathlib.Path(in_place_of_images(image.with_suffix(".txt").as_posix(), "labels"))


def _check_segments(file: pathlib.Path, lines: Mapping[pathlib.Path, list[Line]]) -> None:
    everything = [numbers for of in lines.values() for _, numbers in of]
    if not everything:
        raise HiersegError(
            f"{file}: no picture has labels; those of images/a.jpg are looked for in labels/a.txt."
        )
    if all(len(numbers) == 4 for numbers in everything):
        raise HiersegError(f"{file}: all labels are boxes, and no segments; export polygons.")


def _yaml_files(raw_dir: pathlib.Path) -> list[pathlib.Path]:
    """Those with `names` and a split, and without the keys of our own data.yaml."""
    found = []
    for file in sorted([*raw_dir.glob("*.yaml"), *raw_dir.glob("*.yml")]):
        content = read_yaml(file)
        splits = isinstance(content, dict) and any(split in content for split in SPLITS)
        if splits and "names" in content and "hierarchy" not in content:
            found.append(file)
    return found
