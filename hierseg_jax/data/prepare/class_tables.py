"""Tables of what the values of masks mean, as tools and data sets leave them beside the masks.

| file | what it holds |
| --- | --- |
| `_classes.csv` (Roboflow) | `Pixel Value, Class`, and then a value and a name a line |
| `classes.txt`, `class_names.txt`, `labels.txt` | a name a line, the first of the value 0 |
| `id2label.json` (Hugging Face) | `{"0": "background", ...}` |
| `objectInfo150.txt` (ADE20K) | columns with `Idx` and `Name`; 0 is none of the classes |
| `config*.json` (Mapillary Vistas) | `labels`, by value, of `name`s such as `human--rider` |
| `class_dict.csv`, `class_dict_seg.csv` | `name,r,g,b` and such lines: colours |
| `label_colors.txt` | `r g b name` lines |
| `labelmap.txt` (CVAT) | `name:r,g,b::` lines |
| `obj_class_to_machine_color.json` (Supervisely) | `{"person": [1, 1, 1], ...}`, colours |
"""

import csv
import itertools
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from hierseg_jax.data.prepare.classes import value_of_none
from hierseg_jax.data.prepare.colours import LABELMAP, colour_lines, read_colour_table
from hierseg_jax.data.prepare.id_lists import read_ids
from hierseg_jax.data.prepare.json_file import read_json
from hierseg_jax.data.read.value_names import IGNORE, Value
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.parsing import IGNORE_LABEL

_NUMBER = re.compile(r"[0-9]{1,9}")
# `0: unlabeled`, as COCO-Stuff has it, or `1 cat`.
_NUMBERED = re.compile(r"([0-9]+)[\s:,;=]+(\S.*)")
_BOX = re.compile(r"[0-9]+( [0-9.e-]+){4}")
_LONG, _LOOKED_INTO = 1000, 50
ClassPath = tuple[str, ...]
"""Names of groups and, last, of a class."""


class Table(NamedTuple):
    """A table of classes.

    Attributes:
      file: that it stands in.
      paths: of every value, or of every colour as `#RRGGBB`.
      lines: the colours in the order of the file, where nothing else gives them numbers.
    """

    file: pathlib.Path
    paths: dict[Value, ClassPath]
    lines: tuple[Value, ...] = ()

    @property
    def names_colours(self) -> bool:
        """Whether it has names of colours, in place of values."""
        return any(isinstance(value, str) for value in self.paths)


def find_table(root: pathlib.Path, fits: Callable[[Table], bool] = lambda _: True) -> Table | None:
    """The table in a folder, or in the folders right below it.

    Args:
      root: the folder.
      fits: whether a table may be that of the masks; others count where none does.

    Raises:
      ValueError: a table that can't be read; several that differ.
    """
    found = [
        Table(file, _checked(paths, file), _order(paths, file, read))
        for pattern, read in _READERS.items()
        for file in sorted((*root.glob(pattern), *root.glob(f"*/{pattern}")))
        if file.is_file() and not _is_of_boxes(file)
        for paths in (read(file),)
    ]
    tables = [table for table in found if table.paths]
    tables = [table for table in tables if fits(table)] or tables
    for table in tables[1:]:
        if table.paths != tables[0].paths:
            raise HiersegError(
                f"{tables[0].file} and {table.file} name other classes; take the one that is not "
                "meant out of --raw_dir."
            )
    return tables[0] if tables else None


def _is_of_boxes(file: pathlib.Path) -> bool:
    """Whether it is the list that LabelImg writes beside its boxes, whose first class is 0."""
    if file.name != "classes.txt":
        return False
    others = (other for other in file.parent.glob("*.txt") if other != file and other.is_file())
    for other in itertools.islice(others, _LOOKED_INTO):
        with other.open(encoding="utf-8", errors="replace") as stream:
            if _BOX.fullmatch(" ".join(stream.readline(_LONG).split())):
                return True
    return False


def _order(
    paths: dict[Value, ClassPath],
    file: pathlib.Path,
    read: Callable[[pathlib.Path], dict[Value, ClassPath]],
) -> tuple[Value, ...]:
    """As `Table.lines`; empty as well where a colour stands in two lines."""
    if not paths or read not in (_colours, _labelmap):
        return ()
    return tuple(paths) if len(colour_lines(file)) == len(paths) else ()


def _checked(paths: dict[Value, ClassPath], file: pathlib.Path) -> dict[Value, ClassPath]:
    """By value; colours as they stand there, but black before all, which most call background."""
    wrong = next((v for v in paths if isinstance(v, int) and v > IGNORE_LABEL), None)
    if wrong is not None:
        raise HiersegError(f"{file} names {wrong}; classes have values from 0 to 255.")
    blank = next((value for value, path in paths.items() if not all(path)), None)
    if blank is not None:
        raise HiersegError(f"{file}: {blank} has a blank name.")
    if any(isinstance(value, str) for value in paths):
        return dict(sorted(paths.items(), key=lambda item: item[0] != "#000000"))
    return dict(sorted(paths.items()))


def _numbered(lines: Iterable[tuple[str, str]], file: pathlib.Path) -> dict[Value, ClassPath]:
    """Of values, which may stand there once, and names."""
    paths: dict[Value, ClassPath] = {}
    for number, name in lines:
        if not _NUMBER.fullmatch(number):
            raise HiersegError(f"{file}: {number[:50]!r} is no value; expected 0 to 255.")
        if paths.setdefault(int(number), (name.strip(),)) != (name.strip(),):
            raise HiersegError(f"{file}: {int(number)} has two names.")
    return paths


def _roboflow(file: pathlib.Path) -> dict[Value, ClassPath]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        try:
            rows = [row for row in csv.reader(stream, skipinitialspace=True) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise HiersegError(f"{file}: {error}.") from error
    if rows and not rows[0][0].strip().isdecimal():
        rows = rows[1:]  # names of the columns
    odd = next((row for row in rows if len(row) != 2), None)
    if odd is not None:
        raise HiersegError(
            f"{file}: expected lines of a value and a name, such as `1, person`; found "
            f"{','.join(odd)[:100]!r}."
        )
    return _numbered(((number.strip(), name) for number, name in rows), file)


def _lines(file: pathlib.Path) -> dict[Value, ClassPath]:
    names = [name for _, name in read_ids(file) if not name.startswith("#")]
    numbered = [_NUMBERED.fullmatch(name) for name in names]
    if all(numbered):
        return _numbered(((line[1], line[2]) for line in numbered if line), file)
    # labelme's list begins with what its masks leave out.
    first = -1 if names[:1] == ["__ignore__"] else 0
    return {first + i: (name,) for i, name in enumerate(names) if first + i >= 0}


def _ade20k(file: pathlib.Path) -> dict[Value, ClassPath]:
    (_, head), *lines = read_ids(file) or [(1, "")]
    columns = head.split("\t")
    if not {"Idx", "Name"} <= {*columns}:
        raise HiersegError(f"{file}: expected columns `Idx` and `Name`, with tabs between.")
    paths: dict[Value, ClassPath] = {0: (IGNORE,)}
    for number, line in lines:
        row = dict(zip(columns, line.split("\t"), strict=False))
        if not _NUMBER.fullmatch(row.get("Idx", "").strip()) or "Name" not in row:
            raise HiersegError(f"{file}: line {number}: expected a number and a name.")
        paths[int(row["Idx"])] = (row["Name"].split(",")[0].strip(),)
    return paths


def _hugging_face(file: pathlib.Path) -> dict[Value, ClassPath]:
    content = read_json(file)
    if not isinstance(content, Mapping) or not all(isinstance(n, str) for n in content.values()):
        raise HiersegError(f'{file}: expected a name for every value, {{"0": "background", ...}}.')
    return _numbered(content.items(), file)


def _mapillary(file: pathlib.Path) -> dict[Value, ClassPath]:
    """Empty for the configuration of something else."""
    try:
        content = read_json(file)
    except HiersegError:
        return {}
    records = content.get("labels") if isinstance(content, Mapping) else None
    if not isinstance(records, list) or not all(_is_named(record) for record in records):
        return {}
    paths = [tuple(record["name"].split("--")) for record in records]
    leaves = [path[-1] for path in paths]
    return {
        value: (IGNORE,)
        if record.get("evaluate") is False
        # Several groups have an `other`.
        else path
        if leaves.count(path[-1]) == 1
        else (*path[:-1], "-".join(path[-2:]))
        for value, (path, record) in enumerate(zip(paths, records, strict=True))
    }


def _is_named(record: Any) -> bool:
    return isinstance(record, Mapping) and isinstance(record.get("name"), str)


def _supervisely(file: pathlib.Path) -> dict[Value, ClassPath]:
    content = read_json(file)
    paths: dict[Value, ClassPath] = {"#000000": ("background",)}
    for name, colour in content.items() if isinstance(content, Mapping) else ():
        known = isinstance(colour, list) and len(colour) == 3
        if not known or not all(isinstance(c, int) and 0 <= c <= 255 for c in colour):
            raise HiersegError(f"{file}: {name!r} has no colour of three numbers from 0 to 255.")
        value = "#{:02X}{:02X}{:02X}".format(*colour)
        if value_of_none(name) == 0:
            paths.pop("#000000", None)
        if paths.setdefault(value, (name,)) != (name,):
            raise HiersegError(f"{file}: {name!r} has the colour of {paths[value][0]!r}.")
    return paths


def _colours(file: pathlib.Path) -> dict[Value, ClassPath]:
    return {f"#{colour:06X}": (name,) for colour, name in read_colour_table(file).items()}


def _labelmap(file: pathlib.Path) -> dict[Value, ClassPath]:
    """Empty for a file of that name without colours, as TFLite has it."""
    lines = [line for _, line in read_ids(file) if not line.startswith("#")]
    return _colours(file) if any(map(_is_coloured, lines)) else {}


def _is_coloured(line: str) -> bool:
    """`sky:0,0,255`, or CVAT's `sky:0,0,255::`, where the numbers may be broken."""
    _, *others = line.split(":")
    return bool(others) and (others[0].count(",") == 2 or (len(others) == 3 and bool(others[0])))


_READERS: Mapping[str, Callable[[pathlib.Path], dict[Value, ClassPath]]] = {
    "_classes.csv": _roboflow,
    "classes.txt": _lines,
    "class_names.txt": _lines,
    "labels.txt": _lines,
    "id2label.json": _hugging_face,
    "objectInfo150.txt": _ade20k,
    "config*.json": _mapillary,
    "obj_class_to_machine_color.json": _supervisely,
    "class_dict.csv": _colours,
    "class_dict_seg.csv": _colours,
    "label_colors.txt": _colours,
    LABELMAP: _labelmap,
}
TABLES = tuple(_READERS)
"""Names of their files."""
