"""The JSON and CSV files of VIA, the VGG Image Annotator 1 and 2, as regions of pictures."""

import csv
import io
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from hierseg_jax.data.prepare.draw import FARTHEST
from hierseg_jax.data.prepare.json_file import read_bytes, read_json, shown, text
from hierseg_jax.data.prepare.shapes import as_number
from hierseg_jax.system.errors import HiersegError

MARK = b"shape_attributes"
"""Of what VIA writes, if there is a region in it."""
IGNORED = "__ignore__"
"""The value of an attribute that says several things at once."""
_LONGEST = 1 << 27  # a cell of a table: the points of a polygon


class Region(NamedTuple):
    """Where it stands, for sentences; its shape; and what its attributes say."""

    where: str
    shape: Mapping[str, Any]
    attributes: Mapping[str, str]


class Entry(NamedTuple):
    """A picture: where it stands, its name, its bytes if they are told, and its regions."""

    where: str
    name: str
    size: int | None
    regions: tuple[Region, ...]


def read_entries(file: pathlib.Path) -> list[Entry]:
    """All pictures of a file.

    Raises:
      HiersegError: a sentence that names the file and the place in it.
    """
    pairs = _table(file) if file.suffix.lower() == ".csv" else _pictures(read_json(file), file)
    return [_entry(entry, f"{file}: {shown(key)}") for key, entry in pairs]


def column(shape: Mapping[str, Any], key: str) -> list[float]:
    """A list of coordinates; the HiersegError is half a sentence."""
    values = shape.get(key)
    if not isinstance(values, list):
        raise HiersegError(f"{key!r} is {shown(values)}; expected numbers")
    return [as_number(value, key) for value in values]


def _entry(entry: Any, where: str) -> Entry:
    if not isinstance(entry, dict):
        raise HiersegError(f"{where} is {shown(entry)}; expected a picture and its regions.")
    name, size = text(entry, "filename", where), entry.get("size")
    regions = entry.get("regions") or []
    if isinstance(regions, Mapping):  # of VIA 1
        regions = list(regions.values())
    if not isinstance(regions, list):
        raise HiersegError(f"{where}: 'regions' is {shown(regions)}; expected a list.")
    found = (_region(each, f"{where}: regions[{i}]") for i, each in enumerate(regions))
    told = size if isinstance(size, int) and size > 0 else None
    return Entry(where, name, told, tuple(region for region in found if region.shape))


def _region(region: Any, where: str) -> Region:
    shape = region.get("shape_attributes") if isinstance(region, Mapping) else None
    given = region.get("region_attributes") if isinstance(region, Mapping) else None
    if not isinstance(shape, Mapping) or not isinstance(given or {}, Mapping):
        raise HiersegError(f"{where} is {shown(region)}; expected a shape and its attributes.")
    attributes = {str(key): _value(value) for key, value in (given or {}).items()}
    return Region(where, shape, {key: value for key, value in attributes.items() if value})


def _value(value: Any) -> str:
    """Of a text, a number, a list or check boxes; empty where nothing is said."""
    if isinstance(value, Mapping):
        value = [key for key, is_ticked in value.items() if is_ticked]
    if isinstance(value, list):
        return IGNORED if len(value) > 1 else "".join(map(_value, value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if abs(value) < FARTHEST else ""
    return value.strip() if isinstance(value, str) else ""


def _pictures(content: Any, file: pathlib.Path) -> Iterable[tuple[Any, Any]]:
    if isinstance(content, Mapping) and "_via_img_metadata" in content:
        content = content["_via_img_metadata"]
    if not isinstance(content, Mapping):
        raise HiersegError(f"{file} holds {shown(content)}; expected VIA's pictures by name.")
    return content.items()


def _table(file: pathlib.Path) -> Iterable[tuple[Any, Any]]:
    """The lines of a CSV as a JSON has them."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for line_number, line in enumerate(_lines(file), 2):
        name = line.get("filename") or line.get("#filename") or ""
        size = line.get("file_size") or ""
        told = int(size) if size.isascii() and size.isdecimal() and len(size) < 20 else None
        entry = entries.setdefault((name, size), {"filename": name, "size": told, "regions": []})
        cells = (line.get("region_shape_attributes"), line.get("region_attributes"))
        try:
            shape, attributes = (json.loads(cell or "{}") for cell in cells)
        except (ValueError, RecursionError) as error:
            raise HiersegError(
                f"{file}: line {line_number}: its attributes are no JSON."
            ) from error
        entry["regions"].append({"shape_attributes": shape, "region_attributes": attributes})
    return ((name, entry) for (name, _), entry in entries.items())


def _lines(file: pathlib.Path) -> Iterator[dict[str, Any]]:
    before = csv.field_size_limit(_LONGEST)
    try:
        text = read_bytes(file).decode("utf-8-sig")
        # Some spreadsheets part cells otherwise.
        apart = max(",;\t", key=text.partition("\n")[0].count)
        yield from csv.DictReader(io.StringIO(text), delimiter=apart)
    except (UnicodeDecodeError, csv.Error) as error:
        raise HiersegError(f"{file} is no CSV: {error}.") from error
    finally:
        csv.field_size_limit(before)
