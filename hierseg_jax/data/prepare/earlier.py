"""What an earlier preparation left in the folder, which a later one adds to."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from hierseg_jax.data.prepare.check import taken
from hierseg_jax.data.prepare.formats import FORMATS
from hierseg_jax.data.prepare.picture import RawData, Wishes
from hierseg_jax.data.read.spec import DatasetSpec, load_spec
from hierseg_jax.data.read.value_names import Value
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import listed


def read_raw(source: str, raw_dir: pathlib.Path, file: pathlib.Path, wishes: Wishes) -> RawData:
    """The raw data. Drawn classes have the numbers of a data.yaml that is there and names them."""
    read = FORMATS[source].read
    raw, there = read(raw_dir, wishes), _loaded(file)
    if there is None or wishes.hierarchy is not None or any(p.draw is None for p in raw.pictures):
        return raw
    if there.labels or raw.labels:
        if _moved(raw, there):
            raw = read(raw_dir, dataclasses.replace(wishes, hierarchy=there.hierarchy))
        if name := _moved(raw, there):
            raise HiersegError(
                f"{raw_dir} is drawn with another number for {name!r} than {file} says. Give "
                "another --out_dir."
            )
        return raw
    # Groups may be others: masks know nothing of them.
    found, known = (of.hierarchy.class_names for of in (raw, there))
    more = [name for name in found if name not in known]
    gone = [name for name in known if name not in found]
    if not more:
        if found == known:
            return raw
        return read(raw_dir, dataclasses.replace(wishes, hierarchy=there.hierarchy))
    if not gone:
        raise HiersegError(
            f"{raw_dir} has annotations of {listed(more, 5)}, and {file} no such class; put it at "
            "the end of `names` there and into `hierarchy`, or give another --out_dir."
        )
    # Names that were changed keep their places, beside others that were not.
    moved = len(more) != len(gone) or any(found[known.index(n)] not in more for n in gone)
    if moved or (len(gone) > 1 and not {*found[1:]} & {*known[1:]}):
        raise HiersegError(
            f"{raw_dir} has annotations of {listed(more, 5)}, and {file} has {listed(gone, 5)} in "
            "their place, so that names which were changed there can't be told from new ones. Use "
            "the annotations' names there, or another --out_dir."
        )
    return raw


def _moved(raw: RawData, there: DatasetSpec) -> str | None:
    """A name that is drawn as a value which is not among those that have it in the data.yaml.

    Names that are in one of the two alone were changed there, or merged.
    """
    drawn, said = (
        dict(of.labels) or dict(enumerate(of.hierarchy.class_names)) for of in (raw, there)
    )
    known: dict[str, set[Value]] = {}
    for value, name in said.items():
        known.setdefault(name, set()).add(value)
    moved = (name for value, name in drawn.items() if value not in known.get(name, {value}))
    return next(moved, None)


def _loaded(file: pathlib.Path) -> DatasetSpec | None:
    try:
        return load_spec(file)
    except (FileNotFoundError, HiersegError):
        return None


def spec_there(spec: DatasetSpec, wishes: Wishes) -> DatasetSpec | None:
    """The data.yaml of these folders that is there already; one with edited classes does, too.

    With a tree that the user gives now it has to be the same.
    """
    there = _loaded(spec.file)
    if there is None:
        return None
    layouts, wanted = ([(s, of.layout(s)) for s in of.splits] for of in (there, spec))
    kept = there == spec if wishes.hierarchy is not None else layouts == wanted
    return there if kept else None


def faults_there(
    file: pathlib.Path,
    there: DatasetSpec | None,
    summary_file: pathlib.Path,
    summary: Mapping[str, Any],
) -> list[str]:
    """Sentences about what is neither to be replaced nor added to.

    Args:
      file: a data.yaml, which may be written where `there` is nothing.
      there: from `spec_there`.
      summary_file, summary: the statistics, and what is to stand there.
    """
    found = [] if _is_ours(summary_file, summary) else [taken(summary_file)]
    if there is not None or not os.path.lexists(file):
        return found
    try:
        load_spec(file)
    except HiersegError as error:
        return [*found, f"{error} Mend it, move it away, or use another --out_dir."]
    except OSError:
        pass
    return [*found, taken(file)]


def _is_ours(file: pathlib.Path, summary: Mapping[str, Any]) -> bool:
    """Whether there is no summary yet, or one of such content, of fewer pictures maybe."""
    if not os.path.lexists(file):
        return True
    try:
        there = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(there, dict) and there.keys() == summary.keys()
