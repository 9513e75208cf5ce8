"""Pictures and masks that are there already, in any folders, with a table of classes or without.

They get splits and a data.yaml; the masks stay as they are, but for their scale.
"""

import contextlib
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from hierseg_jax.data.prepare.class_tables import TABLES, ClassPath, Table
from hierseg_jax.data.prepare.classes import BACKGROUND, value_of_none
from hierseg_jax.data.prepare.file_words import MASK_WORDS, has
from hierseg_jax.data.prepare.folders import walk_files
from hierseg_jax.data.prepare.label_maps import as_named
from hierseg_jax.data.prepare.likely_pairs import find_likely_pairs
from hierseg_jax.data.prepare.mask_folders import is_photo
from hierseg_jax.data.prepare.mask_pairs import Masked, find_pairs
from hierseg_jax.data.prepare.mask_tables import find_mask_table
from hierseg_jax.data.prepare.palettes import find_renumbered
from hierseg_jax.data.prepare.picture import Picture, RawData, Wishes
from hierseg_jax.data.prepare.soft_masks import halved, white_share
from hierseg_jax.data.prepare.united_masks import show_one_thing, united
from hierseg_jax.data.prepare.unnamed_values import name_values
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.data.read.layout import LOSSY, LOSSY_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.data.read.value_names import IGNORE, Named, Value
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, said_with
from hierseg_jax.system.wording import counted, listed
from hierseg_jax.tree.background import may_be_background
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.meeting import all_labels, near_names

_COLOURS = 20  # that are written out
_MOSTLY = 0.5
"""Of all pixels what an object has, at most, that nobody asks about."""


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
    masks, white = [mask for pair in pairs for mask in (pair.mask, *pair.more)], None
    # Whoever names values means what is stored.
    table, about_table = (
        (None, ()) if wishes.labels else find_mask_table(raw_dir, masks, wishes.hierarchy)
    )
    # But two lines may be of black and white.
    if not wishes.labels and (table is None or len(table.paths) == 2):
        # Names in their order count from 0, and so do lines; where 255 is meant, it is said.
        meant = IGNORE_LABEL in wishes.ignored or wishes.skips_unknown
        named = wishes.hierarchy is not None and not meant
        counts_off = named if table is None else [*table.paths] == [0, 1]
        white = white_share(masks, hard=counts_off)
    if white is None and (photo := next(filter(is_photo, masks), None)):
        raise HiersegError(f"{photo} is JPEG or WebP. {LOSSY}")
    dark, bright = 0, 1
    labels: Named = ()
    several = [pair for pair in pairs if pair.more]
    if white is not None:
        hierarchy, notes = _one_thing(masks[0], white, table, wishes)
        if table is not None and value_of_none([*table.paths.values()][1][-1]) == 0:
            dark, bright = 1, 0
    else:
        hierarchy, labels, notes = _classes(raw_dir, masks, table, wishes)
    notes = (how, *notes, *about_table, *left_out)
    if more := [file for pair in several for file in pair.more]:
        of_several = [mask for pair in several for mask in (pair.mask, *pair.more)]
        if white is None:
            is_one = _is_background(hierarchy, labels) and show_one_thing(of_several)
        else:
            is_one = (white if bright else 1 - white) < _MOSTLY
        if not is_one:
            raise HiersegError(
                f"{several[0].mask} and {more[0]} are masks of one picture, and don't show one "
                "thing on a background of 0, which could be united; unite them, or take the one "
                "that is not meant out of --raw_dir."
            )
        notes = (
            *notes,
            f"{counted(len(more), 'mask')} numbered on, the first {more[0]}: united with those of "
            "the same names without the numbers. If they are of other pictures, take them out.",
        )
    without = [pair.image for pair in pairs if not pair.split]
    if 0 < len(without) < len(pairs):
        count = counted(len(without), "picture")
        note = f"In no folder of a split, and taken as those of training: {count}, as {without[0]}."
        notes = (*notes, note)
    shown = read_mask if white is None else functools.partial(halved, dark=dark, bright=bright)
    pictures = [
        Picture(
            pair.split,
            pair.name,
            pair.image,
            pair.mask,
            draw=None
            if white is None and not pair.more
            else functools.partial(united, (pair.mask, *pair.more), shown),
            listed_in=str(raw_dir),
        )
        for pair in pairs
    ]
    return RawData(pictures, hierarchy, labels, notes=notes)


def _pairs(raw_dir: pathlib.Path) -> tuple[list[Masked], str, tuple[str, ...]]:
    """By their names, or else by what they show; how, and sentences about what is left out."""
    how = "Paired by their names, as {} and {}."
    pairs, left_out = find_pairs(raw_dir)
    if pairs and left_out:
        with contextlib.suppress(HiersegError):  # of what was to be left out
            has_mask = {pair.image for pair in pairs}
            # Where pictures have both, those as JPEG show people what the others hold.
            if not any(pair.image in has_mask for pair in find_pairs(raw_dir, LOSSY_SUFFIXES)[0]):
                pairs, left_out = find_pairs(raw_dir, MASK_SUFFIXES, LOSSY_SUFFIXES)
    if not pairs:
        pairs, left_out = find_likely_pairs(raw_dir)
        how = (
            "Paired by what their names have in common, as {} and {}. Their names don't say which "
            "are masks, but these show few values: see in the report of hierseg inspect that each "
            "is of its picture."
        )
    if not pairs:
        pairs, left_out = find_pairs(raw_dir, LOSSY_SUFFIXES)
        how = "Paired by their names, as {} and {}."
    return pairs, how.format(pairs[0].image, pairs[0].mask) if pairs else "", left_out


def about_lossy(raw_dir: pathlib.Path) -> str:
    """A sentence behind a space about a file whose name says mask, and which can't be one."""
    files = walk_files(raw_dir, LOSSY_SUFFIXES)
    named = next((f for f in files if has(str(f.relative_to(raw_dir)), MASK_WORDS)), None)
    return f" {named} is JPEG or WebP. {LOSSY}" if named else ""


def _one_thing(
    mask: pathlib.Path, white: float, table: Table | None, wishes: Wishes
) -> tuple[Hierarchy, tuple[str, ...]]:
    """The tree of masks that are drawn anew as 0 and 1, and what is to be said of them.

    Args:
      mask: the first, for sentences.
      white: of all pixels, the share that is.
      table: of two classes, if there is one.
      wishes: a tree in place of theirs.
    """
    names = [BACKGROUND, "object"]
    if table is not None:
        names = [path[-1] for path in table.paths.values()]
        names.sort(key=lambda name: value_of_none(name) != 0)  # a background first
    tree = wishes.hierarchy or Hierarchy.from_mapping(names[1:], names, ["class"])
    if tree.num_classes != 2:
        raise HiersegError(
            f"{mask} and the others are white on black, which are two classes, and there are "
            f"{tree.num_classes}: {', '.join(tree.class_names)}. "
            + (
                LOSSY
                if is_photo(mask)
                else "Name the values of the masks by `labels` in the --hierarchy file, and "
                "`unknown: ignore` for all others."
            )
        )
    bright = tree.class_names[1]
    if value_of_none(bright) == 0 and table is None:
        raise HiersegError(
            f"{mask} and the others are white on black, and what is white would be {bright}, the "
            f"second of the names. Put {bright} first, or say by `labels` what 0 and 255 are."
        )
    notes = [
        f"The masks are black and white, and white is taken for {bright}. They are parted where "
        "they are half as bright as white: of JPEG and smooth drawing edges are grey. The copies "
        "hold 0 and 1."
    ]
    if table is None and white > _MOSTLY:
        notes.append(
            f"{white:.0%} of the pixels are white, and taken for {bright}. If it is black, write a "
            f"{TABLES[1]} of two lines there, its name and {BACKGROUND}, and give another "
            "--out_dir."
        )
    return tree, tuple(notes)


def _classes(
    raw_dir: pathlib.Path, masks: Sequence[pathlib.Path], table: Table | None, wishes: Wishes
) -> tuple[Hierarchy, Named, tuple[str, ...]]:
    """The tree, what the values of masks mean in it, and what is to be said of it."""
    tree = wishes.hierarchy
    if tree is not None and wishes.labels:
        return tree, wishes.labels, ()
    if (tree is not None or table is not None) and not (table and table.names_colours):
        _refuse_renumbered(masks)
    if table is not None:
        where, paths = str(table.file), table.paths
        tree = tree or _tree(paths, where)
        names = {value: _name(path[-1], tree, where) for value, path in paths.items()}
        return tree, as_named(names, tree), (f"The classes are those of {where}.",)
    if tree is not None:
        return tree, (), ()
    paths, notes = name_values(masks)
    tree = _tree(paths, str(raw_dir))
    note = (
        f"{raw_dir} has no table of its classes (such as {' or '.join(TABLES[:2])}). They are "
        "called after what the masks hold, of which 0 or black is taken for the background: name "
        "them in the new data.yaml, and write the hierarchy there; or give both by --hierarchy."
    )
    labels = as_named({value: path[-1] for value, path in paths.items()}, tree)
    return tree, labels, (note, *notes)


def _is_background(hierarchy: Hierarchy, labels: Named) -> bool:
    """Whether 0 in a mask is the background; not where colours are classes."""
    background = hierarchy.background
    if background is None or any(isinstance(value, str) for value, _ in labels):
        return False
    return not labels or dict(labels).get(0) == hierarchy.class_names[background]


def _refuse_renumbered(masks: Sequence[pathlib.Path]) -> None:
    """Raises HiersegError where classes are told by colours, and only numbers have names."""
    renumbered = find_renumbered(masks)
    if renumbered is None:
        return
    colours = listed([f'"#{colour:06X}": NAME' for colour in renumbered.colours], _COLOURS)
    raise HiersegError(
        f"{renumbered.sentence} The palettes differ, so that numbers are no classes. Name the "
        f"colours by `labels` in a --hierarchy file: `labels: {{{colours}}}`. Or the numbers, if "
        "these are the classes, whatever colours they are shown in: `labels: {0: NAME, 1: NAME}`."
    )


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
    flat = all(len(path) == 1 for path in classes)
    with said_with(f"{where}: "):
        return Hierarchy.from_mapping(tree, names, ["class"] if flat else None)


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
