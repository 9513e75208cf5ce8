"""Classes of masks whose values nobody has named: one for each value or colour."""

import pathlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import cv2
import numpy as np

from hierseg_jax.data.prepare.class_tables import TABLES, ClassPath
from hierseg_jax.data.prepare.classes import BACKGROUND
from hierseg_jax.data.prepare.colours import is_coloured
from hierseg_jax.data.prepare.likely_pairs import MOST_VALUES
from hierseg_jax.data.prepare.palettes import find_renumbered
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.data.read.mask_values import UNLABELLED
from hierseg_jax.data.read.png import palette_of
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.read.value_names import IGNORE, Value
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted, listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

_LOOKED_AT = 20  # masks of colours, beside others
_STRAY = 0.001
"""Of all pixels what a grey has, at most, that lies between others at smooth edges."""
_BETWEEN, _INSIDE = 0.5, 0.01
"""Of such pixels those that have a darker and a lighter one beside them; and those with none but
their like around them, which small classes have."""
_GREY = 128
"""What a class has, at least, where classes are greys."""
_MOST_LINES = 30  # of labels that are written out
_COUNTS = 4
"""Different numbers of objects in masks, at least, and objects in one of them."""
_MOST, _LITTLE = 0.5, 0.1
"""Of all pixels what a background has, at least, that is none by its value, and what 0 has then."""


def name_values(masks: Sequence[pathlib.Path]) -> tuple[dict[Value, ClassPath], tuple[str, ...]]:
    """A name for every value or colour that the masks hold, and what is doubtful about them.

    Raises:
      HiersegError: a sentence that names a mask.
    """
    coloured, how = _are_colours(masks)
    counts: Counter[int] = Counter()
    white: list[pathlib.Path] = []
    numbered: set[int] = set()
    for mask in masks:
        values_n, count_n = np.unique(read_mask(mask, colours=coloured), return_counts=True)
        held = dict(zip(values_n.tolist(), count_n.tolist(), strict=True))
        held.pop(UNLABELLED, None)
        counts.update(held)
        white += [mask] * (held.keys() == {0, IGNORE_LABEL})
        if coloured and len(counts) > MOST_VALUES:  # there may be millions
            break
        if not coloured and not 0 <= min(held, default=0) <= max(held, default=0) <= 255:
            raise HiersegError(
                f"{mask} holds {min(held)} to {max(held)}; classes have values from 0 to 255. "
                + (
                    "Masks of 16 bits that are black and white are to be saved with 8."
                    if len(held) <= 2
                    else "Where objects of a class have numbers of their own, write the number of "
                    "the class in their place."
                )
            )
        numbered.add(_count_of_objects(held))
    strays = () if coloured else _strays(counts, masks)
    found = counts.keys() - {*strays}
    if len(found) > MOST_VALUES:
        raise HiersegError(
            f"{masks[0]} and the other masks hold {len(found)} values, as masks do that were "
            "interpolated or stored as JPEG; expected one for each class. If they are classes, "
            f"name them in a file such as {TABLES[1]}. If some are, name these by `labels` in a "
            "--hierarchy file, with `unknown: ignore` for all others."
            f" {_about_objects(numbered)}".rstrip()
        )
    if coloured:
        names = {colour: f"colour_{colour:06X}" for colour in found} | {0: BACKGROUND}
        if found == {0, 0xFFFFFF}:
            names[0xFFFFFF] = "object"
        return {f"#{colour:06X}": (names[colour],) for colour in sorted(found)}, how
    if found == {0, IGNORE_LABEL}:
        names_by_value: dict[Value, ClassPath] = {0: (BACKGROUND,), IGNORE_LABEL: ("object",)}
    else:
        drawn = _are_drawn(found)
        values = sorted(found) if drawn else sorted(found - {IGNORE_LABEL})
        if len(values) < 2:
            raise HiersegError(
                f"All {counted(len(masks), 'mask')} hold {values or [IGNORE_LABEL]} alone, "
                f"{masks[0]} for one; there is nothing to learn."
            )
        names_by_value = {v: (f"class_{v}" if v else BACKGROUND,) for v in values}
    notes = [
        _about_strays(counts, strays),
        _about_background(counts, names_by_value),
        _about_objects(numbered),
    ]
    if IGNORE_LABEL in found and found != {0, IGNORE_LABEL}:
        notes.append(_about_white(IGNORE_LABEL in names_by_value, white))
    names_by_value |= dict.fromkeys(strays, (IGNORE,))
    return dict(sorted(names_by_value.items())), tuple(filter(None, notes))


def _are_colours(masks: Sequence[pathlib.Path]) -> tuple[bool, tuple[str, ...]]:
    """Whether masks are read by their colours, and a sentence where they have numbers, too.

    Raises:
      HiersegError: some hold colours, and others grey numbers.
    """
    with_colours = {mask: is_coloured(mask) for mask in masks}
    if not any(with_colours.values()):
        renumbered = find_renumbered(masks)
        if renumbered is None:
            return False, ()
        return True, (
            f"The masks have palettes that differ, and are read by their colours: "
            f"{renumbered.sentence} If it is their numbers that are classes, whatever colours they "
            "are shown in, name these by `labels` in a --hierarchy file.",
        )
    others = [mask for mask in masks if not with_colours[mask]]
    if not others:
        return True, ()
    coloured = next(mask for mask in masks if with_colours[mask])
    some = [mask for mask in masks if with_colours[mask]]
    some = [some[index] for index in spread_indices(len(some), _LOOKED_AT)]
    known = {
        colour for mask in some for colour in np.unique(read_mask(mask, colours=True)).tolist()
    }
    grey = next((mask for mask in others if not _shares_colours(mask, known)), None)
    if grey is not None:
        raise HiersegError(
            f"{coloured} and {grey}: one holds colours and the other numbers; store all masks in "
            "one way. If one is no mask, take it out of --raw_dir. Or name the colours by `labels` "
            'in a --hierarchy file, where a grey of 7 is "#070707".'
        )
    return True, (
        f"Of {len(masks)} masks {len(others)} with a palette or nothing but black, the first "
        f"{others[0]}, and the others with colours: all are read by their colours.",
    )


def _shares_colours(mask: pathlib.Path, known: set[int]) -> bool:
    """Whether a mask of numbers is black alone, or its palette shows others' colours."""
    colours = {*np.unique(read_mask(mask)).tolist()} - {0}
    if palette := palette_of(mask):
        colours = {palette[value] for value in colours if 0 <= value < len(palette)} - {0}
        return not colours or not colours.isdisjoint(known)
    return not colours


def _are_drawn(found: set[int]) -> bool:
    """Whether values are greys: 0, 85, 170 and 255 are all classes; of 0, 1, 2 and 255 the last
    isn't."""
    indices = sorted(found - {IGNORE_LABEL})
    return bool(indices) and indices[-1] > 2 * len(indices)


def _strays(counts: Mapping[int, int], masks: Sequence[pathlib.Path]) -> tuple[int, ...]:
    """Of greys those that hardly a pixel has, where nearly all of these lie between others."""
    total = sum(counts.values())
    few = {value for value, count in counts.items() if value > 0 and count < _STRAY * total}
    few -= {IGNORE_LABEL}
    left = counts.keys() - few
    if max(left, default=0) < _GREY or not len(few) > len(left) > 1 or not _are_drawn({*counts}):
        return ()
    is_few = np.zeros(256, bool)
    is_few[[*few]] = True
    between = inside = 0
    for mask in masks:
        mask_hw = read_mask(mask).astype(np.uint8)
        few_hw = is_few[mask_hw]
        if few_hw.any():
            around = np.ones((3, 3), np.uint8)
            least_hw, most_hw = cv2.erode(mask_hw, around), cv2.dilate(mask_hw, around)
            between += int((few_hw & (least_hw < mask_hw) & (mask_hw < most_hw)).sum())
            inside += int((few_hw & (least_hw == most_hw)).sum())
    pixels = sum(counts[value] for value in few)
    if between < _BETWEEN * pixels or inside > _INSIDE * pixels:
        return ()
    return tuple(sorted(few))


def _about_strays(counts: Mapping[int, int], strays: Sequence[int]) -> str:
    if not strays:
        return ""
    share, which = sum(counts[v] for v in strays) / sum(counts.values()), [*map(str, strays)]
    return (
        f"{counted(len(strays), 'value')} ({listed(which, 8)}) with {share:.2%} of the pixels lie "
        "between others, as at smooth edges, and are ignored. If one is a class, name it in "
        "`labels` of the new data.yaml, and in `names`."
    )


def _count_of_objects(values: Collection[int]) -> int:
    """How many objects a mask has, if they are numbered from 1 on; else -1."""
    objects = {*values} - {0}
    return len(objects) if objects == {*range(1, len(objects) + 1)} else -1


def _about_objects(numbered: set[int]) -> str:
    """Where every mask counts from 1 on, and most to another number.

    Args:
      numbered: of all masks, `_count_of_objects`.
    """
    most = max(numbered, default=0)
    if -1 in numbered or len(numbered) < _COUNTS or most < _COUNTS:
        return ""
    labels = ", ".join(f"{value}: object" for value in range(1, min(most, _MOST_LINES) + 1))
    if most > _MOST_LINES:
        labels += f", and so on to {most}"
    return (
        f"Every mask counts from 1 on, to as many as {most}. If these are the numbers of objects "
        f"of one class, give a file as --hierarchy, and another --out_dir: `names: [{BACKGROUND}, "
        f"object]`, `hierarchy: [object]`, `labels: {{0: {BACKGROUND}, {labels}}}`, a line each."
    )


def _about_background(counts: Mapping[int, int], names: Mapping[Value, ClassPath]) -> str:
    """Where most pixels have a value that is a class, with the file that makes it a background."""
    known = {value: count for value, count in counts.items() if value in names}
    most = max(known, key=lambda value: known[value])
    share = known[most] / sum(known.values())
    two = known.keys() == {0, IGNORE_LABEL}
    if not most or share < _MOST:
        return ""
    if not two and known.get(0, 0) > _LITTLE * sum(known.values()):
        return ""
    classes = {v: "class_0" if not v else name[-1] for v, name in names.items() if v != most}
    inside = ", ".join(classes.values())
    labels = ", ".join(f"{v}: {name}" for v, name in {most: BACKGROUND, **classes}.items())
    taken = "0 is taken for the background" if 0 in known else "No mask holds 0, for a background"
    others = ", `unknown: ignore`" if len(known) < len(counts) else ""
    return (
        f"{taken}, and {most} has {share:.0%} of the pixels. If that is the background, give a "
        f"file as --hierarchy, and another --out_dir: `names: [{BACKGROUND}, {inside}]`, "
        f"`hierarchy: [{inside}]`, `labels: {{{labels}}}`{others}, a line each."
    )


def _about_white(is_class: bool, white: Sequence[pathlib.Path]) -> str:
    if is_class:
        return "255 is a class, for the values look like greys. If it is none, write `255: ignore`."
    note = "255 is ignored. If it is a class, write `255: NAME` into `labels` of the new data.yaml."
    if white:
        note += f" {counted(len(white), 'mask')} with 0 have nothing else, the first {white[0]}."
    return note
