"""One JSON file of COCO: everything but its segments is checked."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from hierseg_jax.data.prepare.classes import value_of_none
from hierseg_jax.data.prepare.folders import is_below
from hierseg_jax.data.prepare.json_file import read_json, records, shown, text
from hierseg_jax.system.errors import HiersegError

_NO_GROUP = ("", "none", "null")


@dataclasses.dataclass(frozen=True, eq=False)
class Document:
    """One JSON file, of which everything but the segments is checked.

    Attributes:
      file: of it.
      images: id -> record.
      annotations: id of an image -> records, in the order of the file.
      categories: id -> name.
      groups: name of a category -> of its supercategories, several where two categories have
        the same name.
    """

    file: pathlib.Path
    images: Mapping[Any, dict[str, Any]]
    annotations: Mapping[Any, list[dict[str, Any]]]
    categories: Mapping[Any, str]
    groups: Mapping[str, list[str]]

    @property
    def used(self) -> set[str]:
        """Names of the categories that have a region of their own."""
        everything = (one for of in self.annotations.values() for one in of)
        drawn = (one for one in everything if one.get("segmentation") and not is_ignored(one))
        return {self.categories[one["category_id"]] for one in drawn}


def read_document(file: pathlib.Path) -> Document:
    """One JSON file.

    Raises:
      ValueError: a sentence that starts with the file and names the record.
      OSError: a file that cannot be opened.
    """
    content = read_json(file)
    categories: dict[Any, str] = {}
    groups: dict[str, list[str]] = {}
    for where, record in records(content, "categories", file):
        name, key = text(record, "name", where), _id(record, "id", where)
        if categories.setdefault(key, name) != name:
            raise HiersegError(
                f"{where}: {shown(name)} has the id {shown(key)} of {shown(categories[key])}; give "
                "every category an id of its own."
            )
        above = record.get("supercategory")
        above = above if isinstance(above, str) else ""
        if above.lower() not in _NO_GROUP and value_of_none(above) is None:
            groups.setdefault(name, []).append(above)
    images: dict[Any, dict[str, Any]] = {}
    for where, record in records(content, "images", file):
        key = _id(record, "id", where)
        # Written on Windows, paths have backslashes.
        name = text(record, "file_name", where).replace("\\", "/")
        if not is_below(name):  # a place on another machine
            name = pathlib.PurePosixPath(name).name
        if not is_below(name):
            raise HiersegError(
                f"{where}: 'file_name' is {shown(name)}; expected a path within the "
                "pictures' folder."
            )
        if key in images:
            raise HiersegError(f"{where}: the id {shown(key)} is that of an earlier image, too.")
        images[key] = {**record, "file_name": name}
    annotations: dict[Any, list[dict[str, Any]]] = {}
    for where, record in records(content, "annotations", file):
        for key, of in (("image_id", images), ("category_id", categories)):
            given = _id(record, key, where)
            # Some tools write the number in one place, and its digits in the other.
            alike = int(given) if isinstance(given, str) and _is_number(given) else str(given)
            found = given if given in of else alike
            if found not in of:
                kind = key.removesuffix("_id")
                raise HiersegError(f"{where}: there is no {kind} of the id {shown(record[key])}.")
            record = {**record, key: found}
        if _is_mask_of_cvat(record):
            record = _as_region(record)
        annotations.setdefault(record["image_id"], []).append(record)
    return Document(file, images, annotations, categories, groups)


def without_crowds(document: Document) -> Document:
    """The document with all that it calls crowds as regions like any others."""
    annotations = {key: [*map(_as_region, of)] for key, of in document.annotations.items()}
    return dataclasses.replace(document, annotations=annotations)


def _is_mask_of_cvat(record: Mapping[str, Any]) -> bool:
    """Whether it is what CVAT, by way of Datumaro, calls a crowd: every mask that is no polygon.

    Its records say whether a thing is occluded. Where an attribute of its users' says crowd, it is
    one.
    """
    attributes = record.get("attributes")
    if not isinstance(attributes, Mapping) or not isinstance(record.get("segmentation"), Mapping):
        return False
    says_crowd = any(
        str(key).lower() in _CROWD and str(of).lower() not in _NO for key, of in attributes.items()
    )
    return isinstance(attributes.get("occluded"), bool) and not says_crowd


_CROWD, _NO = {"crowd", "is_crowd", "iscrowd"}, {"", "0", "false", "no", "none"}


def _as_region(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "iscrowd": 0, "was_crowd": True} if record.get("iscrowd") else record


def is_ignored(record: Mapping[str, Any]) -> bool:
    """Whether it is a crowd, or left out by its tool."""
    return bool(record.get("iscrowd")) or bool(record.get("ignore"))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def _id(record: Mapping[str, Any], key: str, where: str) -> int | str:
    value = record.get(key)
    if isinstance(value, float) and value.is_integer():  # as pandas writes it
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise HiersegError(f"{where}: {key!r} is {shown(value)}; expected a number.")
    return value
