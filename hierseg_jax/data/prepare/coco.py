"""COCO: JSON files of `images`, `annotations` and `categories`, and folders of pictures.

https://cocodataset.org/#format-data. Crowds (`iscrowd`) are ignored, under all that is annotated
one by one. Of annotations with a box alone, nobody knows which of its pixels are meant: the box is
ignored in the same way.
"""

import functools
import pathlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from hierseg_jax.data.prepare.classes import find_classes, value_of_none
from hierseg_jax.data.prepare.coco_document import (
    Document,
    is_ignored,
    read_document,
    without_crowds,
)
from hierseg_jax.data.prepare.draw import (
    Patch,
    Region,
    box,
    paint,
    points,
    polygon,
    run_lengths,
    union,
    unpack_counts,
)
from hierseg_jax.data.prepare.folders import split_of, unlisted
from hierseg_jax.data.prepare.json_file import read_bytes, shown
from hierseg_jax.data.prepare.picture import Picture, RawData, Size, Wishes, flat_name
from hierseg_jax.data.prepare.picture_places import find_places
from hierseg_jax.data.read.image_files import how_to_turn
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import counted, listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

_LOOKED_AT = 3
_SEGMENTS = re.compile(rb'"segmentation"\s*:\s*[\[{]\s*[^\]}\s]')
# Files of COCO's own download that hold no segments of classes.
_OTHERS = ("captions_", "person_keypoints_", "image_info_", "panoptic_")


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether one of the first JSON files is COCO's."""
    marks = (b'"images"', b'"annotations"', b'"categories"')
    files = _json_files(raw_dir)[:_LOOKED_AT]
    return any(all(mark in data for mark in marks) for data in map(read_bytes, files))


def has_boxes_alone(raw_dir: pathlib.Path) -> bool:
    """Whether no JSON file has a segmentation; masks may lie beside them."""
    return not any(_SEGMENTS.search(read_bytes(file)) for file in _json_files(raw_dir))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of all JSON files of a folder; their splits are told by its name, or theirs.

    Raises:
      FileNotFoundError: no JSON file.
      ValueError: a sentence that names the file and the record.
    """
    files = _json_files(raw_dir)
    if not files:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no annotations of COCO; expected JSON files there or in its folders."
        )
    told = {file: _is_coco(file) for file in files}
    documents = [read_document(file) for file in files if told[file] or not any(told.values())]
    segments = _segments(documents)
    if segments and all(one.get("iscrowd") for one in segments):
        # Of a tool that calls every mask a crowd; a data set has none of crowds alone.
        documents = [without_crowds(document) for document in documents]
    names = [name for document in documents for name in document.categories.values()]
    used = {name for document in documents for name in document.used}
    classes_used = {name for name in used if value_of_none(name) is None}
    where = str(files[0] if len(files) == 1 else raw_dir)
    parents = {} if wishes.hierarchy else parents_of(documents, used, where)
    about_groups = _annotated_groups(parents, classes_used, where)
    if _is_project(parents, classes_used):
        parents = {}
    classes = find_classes(names, used, where, wishes, parents)
    pictures = []
    told_by_folders: set[str] = set()
    by_area = wishes.order != "file"
    for document in documents:
        file = document.file
        split = split_of(file.relative_to(raw_dir))
        listed_names = [image["file_name"] for image in document.images.values()]
        places = find_places(file, listed_names, raw_dir, split)
        for key, image in document.images.items():
            draw = functools.partial(draw_image, document, key, classes.values, by_area)
            path, within = places[image["file_name"]]
            # A tool that exports all splits in one file leaves them to the pictures' folders.
            own = split or split_of(path.parent.relative_to(raw_dir))
            told_by_folders |= {own} - {split}
            name = flat_name(within)
            pictures.append(Picture(own, name, path, file, draw, listed_in=file.name))
    notes = [f"{file}: it is not COCO's, and passed over." for file in files if not told[file]]
    notes += [*classes.notes, *about_groups, *_notes(documents)]
    if told_by_folders:
        are = listed(sorted(told_by_folders), 3)
        notes.append(f"Splits are told by what the pictures' folders are called: {are}.")
    notes += unlisted((picture.image for picture in pictures), where)
    return RawData(pictures, classes.hierarchy, classes.labels, notes=tuple(notes))


def _json_files(raw_dir: pathlib.Path) -> list[pathlib.Path]:
    """In the folder, in `annotations`, or in those of splits; of COCO's own, the segments'."""
    files = [*raw_dir.glob("*.json"), *raw_dir.glob("*/*.json")]
    files = sorted(f for f in files if not f.name.startswith((".", *_OTHERS)))
    instances = [file for file in files if file.name.startswith("instances_")]
    return instances or files


def _is_coco(file: pathlib.Path) -> bool:
    """Whether a JSON file has a key of COCO's; others may lie beside it."""
    data = read_bytes(file) if file.is_file() else b""
    return b'"images"' in data or b'"annotations"' in data


def draw_image(
    document: Document, key: Any, values: Mapping[str, int], by_area: bool, size: Size
) -> np.ndarray:
    """The mask of a picture: uint8 [H, W].

    Args:
      document: the JSON file.
      key: id of the image there.
      values: name of a category -> value in the mask.
      by_area: the smaller of two regions lies on top; otherwise the later one does.
      size: of the picture.

    Raises:
      ValueError: a sentence that starts with the file and names the record.
    """
    image = document.images[key]
    told = image.get("height"), image.get("width")
    if None not in told and told != size:
        raise HiersegError(
            f"{document.file}: the image {shown(image['file_name'])} is annotated as "
            f"{shown(told[0])} x {shown(told[1])} (height x width), but the picture is {size[0]} x "
            f"{size[1]} (EXIF orientation applied); annotations and picture must be of one size."
            f"{how_to_turn(told, size)}"
        )
    regions = []
    for number, record in enumerate(document.annotations.get(key, ())):
        try:
            # What has crowds and boxes alone is no class.
            value = values.get(document.categories[record["category_id"]], IGNORE_LABEL)
            regions.append(_region(record, value, size))
        except HiersegError as error:
            identity = shown(record.get("id", f"number {number}"))
            raise HiersegError(
                f"{document.file}: annotation {identity} of {shown(image['file_name'])}: {error}."
            ) from error
    return paint(regions, size, by_area)


def _region(record: Mapping[str, Any], value: int, size: Size) -> Region:
    segments = record.get("segmentation")
    if is_ignored(record):
        value = IGNORE_LABEL
    if not segments:
        corners = record.get("bbox")
        if not isinstance(corners, list) or len(corners) != 4:
            raise HiersegError("it has neither a segmentation nor a box of four numbers")
        (left, top), (width, height) = points(corners)
        return Region(IGNORE_LABEL, box(left, top, left + width, top + height, size), below=True)
    return Region(value, _patch(segments, size), below=is_ignored(record))


def _patch(segments: Any, size: Size) -> Patch:
    if isinstance(segments, list):
        lines = segments if isinstance(segments[0], list) else [segments]
        return union([polygon(points(line), size) for line in lines])
    if not isinstance(segments, dict):
        raise HiersegError(f"its segmentation is {shown(segments)}; expected polygons or runs")
    counts = segments.get("counts")
    if segments.get("size") != list(size):
        raise HiersegError(
            f"its run lengths are of the size {shown(segments.get('size'))}; the picture is "
            f"{size[0]} x {size[1]} (height x width)"
        )
    if isinstance(counts, str):
        counts = unpack_counts(counts)
    if not isinstance(counts, list) or any(type(count) is not int for count in counts):
        raise HiersegError("its run lengths are no whole numbers")
    return run_lengths(counts, size)


def parents_of(documents: Iterable[Document], used: Collection[str], where: str) -> dict[str, str]:
    """Category -> the group above it, of those that occur.

    Raises:
      ValueError: one below two groups, of which either would be wrong for some pixels.
    """
    parents: dict[str, str] = {}
    for document in documents:
        for name, groups in document.groups.items():
            for above in groups:
                if parents.setdefault(name, above) != above and name in used:
                    raise HiersegError(
                        f"{where}: the category {shown(name)} is below {shown(parents[name])} and "
                        f"below {shown(above)}; rename one of the two, or say by "
                        "--hierarchy=tree.yaml where it belongs."
                    )
    return parents


def _is_project(parents: Mapping[str, str], used: Collection[str]) -> bool:
    """Whether one of the classes has the name that all of them are below.

    Roboflow writes the project's name there, which often is that of its first class, too.
    """
    above = {parents.get(name, name) for name in used}
    return len(above) == 1 and above <= set(used)


def _annotated_groups(parents: Mapping[str, str], used: Collection[str], where: str) -> list[str]:
    """A sentence about each name that is annotated, and that others are below."""
    below: dict[str, list[str]] = {}
    for name in sorted(used):
        if (above := parents.get(name, name)) in used and above != name:
            below.setdefault(above, []).append(name)
    if _is_project(parents, used):
        return [
            f"{where}: all categories are below {shown(above)}, which is annotated itself: it is a "
            "class like the others, and there are no groups. --hierarchy=tree.yaml says it "
            "otherwise."
            for above in below
        ]
    return [
        f"{where}: {shown(above)} is annotated itself, and is the group of {listed(names, 5)}: its "
        "own regions are learned as one of these, whichever it is. Where it is a class of its own, "
        "say so by --hierarchy=tree.yaml."
        for above, names in below.items()
    ]


def _segments(documents: Iterable[Document]) -> list[dict[str, Any]]:
    """Records that have more than a box; raises HiersegError where there are others alone."""
    everything = [
        one for document in documents for of in document.annotations.values() for one in of
    ]
    segments = [one for one in everything if one.get("segmentation")]
    if everything and not segments:
        file = next(document.file for document in documents if document.annotations)
        raise HiersegError(
            f"{file} holds boxes alone, and no segmentation; export it with polygons or masks."
        )
    return segments


def _notes(documents: Iterable[Document]) -> list[str]:
    notes = []
    for document in documents:
        everything = [one for of in document.annotations.values() for one in of]
        crowds = sum(map(is_ignored, everything))
        boxes = sum(not one.get("segmentation") for one in everything)
        equal = [n for n, count in Counter(document.categories.values()).items() if count > 1]
        if equal:
            notes.append(
                f"{document.file}: categories of one name are one class: {listed(equal, 10)}."
            )
        if crowds:
            notes.append(f"{document.file}: ignored: {counted(crowds, 'crowd region')}.")
        if regions := sum("was_crowd" in one for one in everything):
            notes.append(
                f"{document.file}: called crowds, as CVAT and others call every mask, and read as "
                f"regions like any other: {counted(regions, 'record')}."
            )
        bare = [document.images[key] for key in document.images if key not in document.annotations]
        if bare:
            notes.append(
                f"{document.file}: without any annotation, and so all background: "
                f"{counted(len(bare), 'picture')}, the first {bare[0]['file_name']}."
            )
        if boxes:
            notes.append(f"{document.file}: ignored, boxes alone: {counted(boxes, 'record')}.")
    return notes
