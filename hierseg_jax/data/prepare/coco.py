"""COCO: JSON files of `images`, `annotations` and `categories`, and folders of pictures.

https://cocodataset.org/#format-data. Crowds (`iscrowd`) are ignored, under all that is annotated
one by one. Of annotations with a box alone, nobody knows which of its pixels are meant: the box is
ignored in the same way.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hierseg_jax.data.prepare.classes import find_classes, value_of_none
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
from hierseg_jax.data.prepare.folders import is_below, split_of
from hierseg_jax.data.prepare.json_file import read_json, records, shown, text
from hierseg_jax.data.prepare.picture import Picture, RawData, Size, Wishes, flat_name
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.regular_file import read_file
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

# Files of COCO's own download that hold no segments of classes.
_OTHERS = ("captions_", "person_keypoints_", "image_info_", "panoptic_")
_LOOKED_AT = 3
_NO_GROUP = ("", "none", "null")


@dataclasses.dataclass(frozen=True, eq=False)
class Document:
    """One JSON file, of which everything but the segments is checked.

    Attributes:
      file: of it.
      images: id -> record.
      annotations: id of an image -> records, in the order of the file.
      categories: id -> name.
      parents: name of a category -> of its supercategory.
    """

    file: pathlib.Path
    images: Mapping[Any, dict[str, Any]]
    annotations: Mapping[Any, list[dict[str, Any]]]
    categories: Mapping[Any, str]
    parents: Mapping[str, str]

    @property
    def used(self) -> set[str]:
        """Names of the categories that occur."""
        everything = (one for of in self.annotations.values() for one in of)
        return {self.categories[one["category_id"]] for one in everything}


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether one of the first JSON files is COCO's."""
    marks = (b'"images"', b'"annotations"', b'"categories"')
    files = _json_files(raw_dir)[:_LOOKED_AT]
    return any(all(mark in data for mark in marks) for data in map(read_file, files))


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures of all JSON files of a folder; a file's split is told by its name.

    Raises:
      FileNotFoundError: no JSON file.
      ValueError: a sentence that names the file and the record.
    """
    files = _json_files(raw_dir)
    if not files:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no annotations of COCO; expected JSON files there or in its folders."
        )
    documents = [read_document(file) for file in files]
    _check_segments(documents)
    names = [name for document in documents for name in document.categories.values()]
    used = {name for document in documents for name in document.used}
    parents = {key: of for document in documents for key, of in document.parents.items()}
    where = str(files[0] if len(files) == 1 else raw_dir)
    classes = find_classes(names, used, where, wishes, parents)
    pictures = []
    for document in documents:
        split = split_of(document.file.relative_to(raw_dir))
        folder = _image_folder(document, raw_dir, split)
        for key, image in document.images.items():
            draw = functools.partial(
                draw_image, document, key, classes.values, wishes.order != "file"
            )
            path = folder / image["file_name"]
            name = flat_name(image["file_name"])
            pictures.append(
                Picture(split, name, path, document.file, draw, listed_in=document.file.name)
            )
    return RawData(
        pictures, classes.hierarchy, classes.labels, notes=(*classes.notes, *_notes(documents))
    )


def read_document(file: pathlib.Path) -> Document:
    """One JSON file.

    Raises:
      ValueError: a sentence that starts with the file and names the record.
      OSError: a file that cannot be opened.
    """
    content = read_json(file)
    categories: dict[Any, str] = {}
    parents: dict[str, str] = {}
    for number, record in enumerate(records(content, "categories", file)):
        where = f"{file}: categories[{number}]"
        key, name = _id(record, "id", where), text(record, "name", where)
        if categories.setdefault(key, name) != name:
            raise HiersegError(f"{where}: the id {shown(key)} is that of {categories[key]!r}, too.")
        above = record.get("supercategory")
        above = above if isinstance(above, str) else ""
        if above.lower() not in _NO_GROUP and value_of_none(above) is None:
            parents[name] = above
    images: dict[Any, dict[str, Any]] = {}
    for number, record in enumerate(records(content, "images", file)):
        where = f"{file}: images[{number}]"
        key = _id(record, "id", where)
        name = text(record, "file_name", where)
        if not is_below(name):
            raise HiersegError(
                f"{where}: 'file_name' is {shown(name)}; expected a path within the "
                "pictures' folder."
            )
        if key in images:
            raise HiersegError(f"{where}: the id {shown(key)} is that of an earlier image, too.")
        images[key] = record
    annotations: dict[Any, list[dict[str, Any]]] = {}
    for number, record in enumerate(records(content, "annotations", file)):
        where = f"{file}: annotations[{number}]"
        for key, of in (("image_id", images), ("category_id", categories)):
            if _id(record, key, where) not in of:
                kind = key.removesuffix("_id")
                raise HiersegError(f"{where}: there is no {kind} of the id {shown(record[key])}.")
        annotations.setdefault(record["image_id"], []).append(record)
    return Document(file, images, annotations, categories, parents)


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
        )
    regions = []
    for number, record in enumerate(document.annotations.get(key, ())):
        try:
            regions.append(
                _region(record, values[document.categories[record["category_id"]]], size)
            )
        except HiersegError as error:
            identity = shown(record.get("id", f"number {number}"))
            raise HiersegError(
                f"{document.file}: annotation {identity} of {shown(image['file_name'])}: {error}."
            ) from error
    return paint(regions, size, by_area)


def _region(record: Mapping[str, Any], value: int, size: Size) -> Region:
    segments = record.get("segmentation")
    if _is_ignored(record):
        value = IGNORE_LABEL
    if not segments:
        corners = record.get("bbox")
        if not isinstance(corners, list) or len(corners) != 4:
            raise HiersegError("it has neither a segmentation nor a box of four numbers")
        (left, top), (width, height) = points(corners)
        return Region(IGNORE_LABEL, box(left, top, left + width, top + height, size), below=True)
    return Region(value, _patch(segments, size), below=_is_ignored(record))


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


def _is_ignored(record: Mapping[str, Any]) -> bool:
    return bool(record.get("iscrowd")) or bool(record.get("ignore"))


def _id(record: Mapping[str, Any], key: str, where: str) -> int | str:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise HiersegError(f"{where}: {key!r} is {shown(value)}; expected a number.")
    return value


def _json_files(raw_dir: pathlib.Path) -> list[pathlib.Path]:
    """In the folder, in `annotations`, or in those of splits; of COCO's own, the segments'."""
    files = [*raw_dir.glob("*.json"), *raw_dir.glob("*/*.json")]
    files = sorted(f for f in files if not f.name.startswith((".", *_OTHERS)))
    instances = [file for file in files if file.name.startswith("instances_")]
    return instances or files


def _image_folder(document: Document, raw_dir: pathlib.Path, split: str) -> pathlib.Path:
    """The first folder that holds one of the first pictures.

    Raises:
      FileNotFoundError: none does.
    """
    beside, own = document.file.parent, document.file.stem.rpartition("_")[2]
    names = dict.fromkeys(("", own, *((split, f"{split}/images") if split else ())))
    folders = [beside, beside / "images"]
    folders += [raw_dir / above / name for above in ("", "images") for name in names]
    first = [image["file_name"] for image in list(document.images.values())[:100]]
    for folder in folders:
        if not first or any((folder / name).is_file() for name in first):
            return folder
    tried = dict.fromkeys(map(str, folders))
    raise HiersegFileNotFoundError(
        f"{document.file} names pictures such as {shown(first[0])}, and none of these is in "
        f"{', '.join(tried)}."
    )


def _check_segments(documents: Iterable[Document]) -> None:
    everything = [
        one for document in documents for of in document.annotations.values() for one in of
    ]
    if everything and not any(one.get("segmentation") for one in everything):
        file = next(document.file for document in documents if document.annotations)
        raise HiersegError(
            f"{file} holds boxes alone, and no segmentation; export it with polygons or masks."
        )


def _notes(documents: Iterable[Document]) -> list[str]:
    notes = []
    for document in documents:
        everything = [one for of in document.annotations.values() for one in of]
        crowds = sum(map(_is_ignored, everything))
        boxes = sum(not one.get("segmentation") for one in everything)
        if crowds:
            notes.append(f"{document.file}: {crowds:,} crowd regions are ignored.")
        if boxes:
            notes.append(f"{document.file}: {boxes:,} annotations are boxes alone, and ignored.")
    return notes
