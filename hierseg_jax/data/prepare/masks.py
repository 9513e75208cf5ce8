"""Pictures and masks that are there already, in any folders, with a table of classes or without.

They get splits and a data.yaml; the masks stay as they are, but for their scale.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hierseg_jax.data.prepare.class_tables import TABLES, ClassPath, find_table
from hierseg_jax.data.prepare.classes import BACKGROUND, value_of_none
from hierseg_jax.data.prepare.file_words import MASK_WORDS, has
from hierseg_jax.data.prepare.folders import walk_files
from hierseg_jax.data.prepare.likely_pairs import MOST_VALUES, find_likely_pairs
from hierseg_jax.data.prepare.mask_kind import is_coloured
from hierseg_jax.data.prepare.mask_pairs import Masked, find_pairs
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.data.read.layout import LOSSY, LOSSY_SUFFIXES
from hierseg_jax.data.read.mask_values import UNLABELLED
from hierseg_jax.data.read.value_names import IGNORE, Named, Value
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.wording import counted
from hierseg_jax.tree.background import may_be_background
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.meeting import all_labels, near_names


def found_in(raw_dir: pathlib.Path) -> bool:
    """Whether there are pictures with masks."""
    return bool(_pairs(raw_dir)[0])


def read(raw_dir: pathlib.Path, wishes: Wishes) -> RawData:
    """The pictures that have a mask.

    Raises:
      FileNotFoundError: there are none.
      ValueError: a sentence that names the file.
    """
    pairs, how, left_out = _pairs(raw_dir)
    if not pairs:
        raise HiersegFileNotFoundError(
            f"{raw_dir} holds no pictures with masks: files of their names, or with the same in "
            "front or behind (a.jpg, a_mask.png), in one folder, or in two such as images and "
            f"masks.{about_lossy(raw_dir)}"
        )
    hierarchy, labels, notes = _classes(raw_dir, pairs, wishes)
    notes = (how, *notes, *left_out)
    without = [pair.image for pair in pairs if not pair.split]
    if 0 < len(without) < len(pairs):
        count = counted(len(without), "picture")
        note = f"In no folder of a split, and taken as those of training: {count}, as {without[0]}."
        notes = (*notes, note)
    pictures = [
        Picture(pair.split, pair.name, pair.image, pair.mask, listed_in=str(raw_dir))
        for pair in pairs
    ]
    return RawData(pictures, hierarchy, labels, notes=notes)


def _pairs(raw_dir: pathlib.Path) -> tuple[list[Masked], str, tuple[str, ...]]:
    """By their names, or else by what they show; how, and sentences about what is left out."""
    how = "Paired by their names, as {} and {}."
    pairs, left_out = find_pairs(raw_dir)
    if not pairs:
        pairs, left_out = find_likely_pairs(raw_dir)
        how = (
            "Paired by what their names have in common, as {} and {}. Their names don't say which "
            "are masks, but these show few values: see in the report of hierseg inspect that each "
            "is of its picture."
        )
    return pairs, how.format(pairs[0].image, pairs[0].mask) if pairs else "", left_out


def about_lossy(raw_dir: pathlib.Path) -> str:
    """A sentence behind a space about a file whose name says mask, and which can't be one."""
    files = walk_files(raw_dir, LOSSY_SUFFIXES)
    named = next((f for f in files if has(str(f.relative_to(raw_dir)), MASK_WORDS)), None)
    return f" {named} is JPEG or WebP. {LOSSY}" if named else ""


def _classes(
    raw_dir: pathlib.Path, pairs: Sequence[Masked], wishes: Wishes
) -> tuple[Hierarchy, Named, tuple[str, ...]]:
    """The tree, what the values of masks mean in it, and what is to be said of it."""
    tree = wishes.hierarchy
    if tree is not None and wishes.labels:
        return tree, wishes.labels, ()
    table = find_table(raw_dir)
    if table is not None:
        where, paths = str(table.file), table.paths
        tree = tree or _tree(paths, where)
        names = {value: _name(path[-1], tree, where) for value, path in paths.items()}
        return tree, _labels(names, tree), (f"The classes are those of {where}.",)
    if tree is not None:
        return tree, (), ()
    paths, notes = _by_value(pairs)
    tree = _tree(paths, str(raw_dir))
    note = (
        f"{raw_dir} has no table of its classes (such as {' or '.join(TABLES[:2])}). They are "
        "called after what the masks hold, of which 0 or black is taken for the background: name "
        "them in the new data.yaml, and write the hierarchy there; or give both by --hierarchy."
    )
    labels = _labels({value: path[-1] for value, path in paths.items()}, tree)
    return tree, labels, (note, *notes)


def _tree(paths: Mapping[Value, ClassPath], where: str) -> Hierarchy:
    """Over all that is a class, but for a background, or a first one that is called like one."""
    known = list(dict.fromkeys(path for path in paths.values() if not _is_ignored(path[-1])))
    outside = [path for path in known if value_of_none(path[-1]) == 0][:1]
    outside = outside or [path for path in known[:1] if may_be_background(path[-1])]
    classes = [*outside, *(path for path in known if path not in outside)]
    tree: list[Any] = []
    groups: dict[ClassPath, list[Any]] = {(): tree}
    for path in classes[len(outside) :]:
        for depth in range(1, len(path)):
            if path[:depth] not in groups:
                groups[path[:depth]] = []
                groups[path[: depth - 1]].append({path[depth - 1]: groups[path[:depth]]})
        groups[path[:-1]].append(path[-1])
    names = [path[-1] for path in classes]
    try:
        flat = all(len(path) == 1 for path in classes)
        return Hierarchy.from_mapping(tree, names, ["class"] if flat else None)
    except HiersegError as error:
        raise HiersegError(f"{where}: {error}") from error


def _name(name: str, hierarchy: Hierarchy, where: str) -> str:
    """What a table calls a value, as the tree has it."""
    if name in (known := all_labels(hierarchy).names):
        return name
    if _is_ignored(name):
        return IGNORE
    if hierarchy.background is not None and value_of_none(name) == 0:
        return hierarchy.class_names[0]
    raise HiersegError(
        f"{where}: the tree has no class and no group {name!r}; {near_names(name, known)} Or say "
        "with `labels` in the --hierarchy file what the values of the masks mean."
    )


def _is_ignored(name: str) -> bool:
    return value_of_none(name) == IGNORE_LABEL


def _labels(names: Mapping[Value, str], hierarchy: Hierarchy) -> Named:
    """Empty where the values are the classes' numbers already."""
    if names == dict(enumerate(hierarchy.class_names)):
        return ()
    return tuple(names.items())


def _by_value(pairs: Sequence[Masked]) -> tuple[dict[Value, ClassPath], tuple[str, ...]]:
    """A name for every value or colour that a mask holds, and what is doubtful about them."""
    coloured = is_coloured(pairs[0].mask)
    found: set[int] = set()
    white: list[pathlib.Path] = []
    for pair in pairs:
        if is_coloured(pair.mask) != coloured:
            raise HiersegError(
                f"Of {pairs[0].mask} and {pair.mask} one holds colours and the other numbers; "
                "store all masks in one way."
            )
        held = {*np.unique(read_mask(pair.mask, colours=coloured)).tolist()} - {UNLABELLED}
        found |= held
        white += [pair.mask] * (held == {0, IGNORE_LABEL})
        if len(found) > MOST_VALUES:
            raise HiersegError(
                f"{pair.mask} and those before it hold {len(found)} values or more, as masks do "
                "that were interpolated or stored as JPEG; expected one for each class. If they "
                f"are classes, name them in a file such as {TABLES[1]}."
            )
        if not coloured and not 0 <= min(held, default=0) <= max(held, default=0) <= 255:
            raise HiersegError(
                f"{pair.mask} holds {min(held)} to {max(held)}; classes have values from 0 to 255."
            )
    if coloured:
        names = {colour: f"colour_{colour:06X}" if colour else BACKGROUND for colour in found}
        return {f"#{colour:06X}": (names[colour],) for colour in sorted(found)}, ()
    if found == {0, IGNORE_LABEL}:
        return {0: (BACKGROUND,), IGNORE_LABEL: ("object",)}, ()
    # Greys that were drawn, 0, 85, 170 and 255, are all classes; of 0, 1, 2 and 255 the last isn't.
    indices = sorted(found - {IGNORE_LABEL})
    drawn = bool(indices) and indices[-1] > 2 * len(indices)
    values = sorted(found) if drawn else indices
    if len(values) < 2:
        raise HiersegError(
            f"All {counted(len(pairs), 'mask')} hold {values or [IGNORE_LABEL]} alone, "
            f"{pairs[0].mask} for one; there is nothing to learn."
        )
    names_by_value: dict[Value, ClassPath] = {
        value: (f"class_{value}" if value else BACKGROUND,) for value in values
    }
    if IGNORE_LABEL not in found:
        return names_by_value, ()
    note = "255 is ignored. If it is a class, write `255: NAME` into `labels` of the new data.yaml."
    if drawn:
        note = "255 is a class, for the values look like greys. If it is none, write `255: ignore`."
    elif white:
        note += f" {counted(len(white), 'mask')} with 0 have nothing else, the first {white[0]}."
    return names_by_value, (note,)
