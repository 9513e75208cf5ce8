"""What two evaluations have in common: pictures, classes, and labels."""

import dataclasses

import numpy as np

from hierseg_jax.evaluation.picture_counts import PictureCounts
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted, listed

TIES = 0.01
"""Of a picture's labelled pixels, by which labels may differ between two trees: where classes have
as much of a small pixel, their order decides."""
_MOST = 8

Both = tuple[PictureCounts, PictureCounts, list[str]]


def shared_counts(first: PictureCounts, second: PictureCounts) -> Both:
    """The counts of the pictures and classes that both have, with the same labels.

    Pictures meet by name, and so do classes and groups, at the level of the same name if there is
    one. Backgrounds meet whatever they are called.

    Args:
      first, second: counts of two evaluations.

    Returns:
      Both, with the levels and the names of the first; a sentence for whatever is left out.

    Raises:
      ValueError: a sentence, if nothing is left.
    """
    same_tree = all(
        np.array_equal(getattr(first, key), getattr(second, key))
        for key in ("levels", "classes", "background")
    )
    first, second, notes = _pictures_of_both(first, second)
    first, second, of_classes = _classes_of_both(first, second)
    first, second, of_labels = _labelled_alike(first, second, same_tree)
    return first, second, notes + of_classes + of_labels


def _pictures_of_both(first: PictureCounts, second: PictureCounts) -> Both:
    names = [of.names.tolist() or list(range(len(of))) for of in (first, second)]
    if names[0] == names[1]:
        return first, second, []
    if any(len(set(of)) < len(of) for of in names):
        raise HiersegError(
            "The two evaluations have other pictures, and names of files occur twice, so that it "
            "can't be told which are which. Evaluate both on the same data."
        )
    there = {name: n for n, name in enumerate(names[1])}
    pairs = [(n, there[name]) for n, name in enumerate(names[0]) if name in there]
    if not pairs:
        raise HiersegError(
            "The two evaluations share no picture. Evaluate both on the same data, with --data."
        )
    own, others = (np.array(column) for column in zip(*pairs, strict=True))
    left_out = len(first) + len(second) - 2 * len(own)
    notes = [f"{counted(left_out, 'picture')} that only one of them has: left out."]
    return first.take(pictures=own), second.take(pictures=others), notes if left_out else []


def _classes_of_both(first: PictureCounts, second: PictureCounts) -> Both:
    met = ((k, _same_class(first, k, second)) for k in range(len(first.classes)))
    pairs = [(k, other) for k, other in met if other is not None]
    told = _told(first, np.isin(np.arange(len(first.classes)), [k for k, _ in pairs]))
    pairs = [pair for pair in pairs if first.levels[pair[0]] in told]
    if not pairs:
        raise HiersegError(
            f"The two evaluations share no class: {listed(_finest(first), _MOST)} here, "
            f"{listed(_finest(second), _MOST)} there."
        )
    named = [dict.fromkeys(of.classes[~of.background].tolist()) for of in (first, second)]
    notes = [
        f"Only the {which} has {listed(alone, _MOST)}: left out."
        for which, alone in (
            ("first", [name for name in named[0] if name not in named[1]]),
            ("second", [name for name in named[1] if name not in named[0]]),
        )
        if alone
    ]
    own, others = (np.array(column) for column in zip(*pairs, strict=True))
    first, second = first.take(classes=own), second.take(classes=others)
    same = {key: getattr(first, key) for key in ("levels", "classes", "background")}
    return first, dataclasses.replace(second, **same), notes


def _same_class(first: PictureCounts, k: int, second: PictureCounts) -> int | None:
    """The number in the second of the first's class of a number, if it has it."""
    if first.background[k]:
        same = second.background
    else:
        same = (second.classes == first.classes[k]) & ~second.background
    at_level = same & (second.levels == first.levels[k])
    found = np.flatnonzero(at_level if at_level.any() else same)
    return int(found[-1]) if len(found) else None


def _told(counts: PictureCounts, classes: np.ndarray) -> list[str]:
    """The levels of which some of these classes, bool [K], tell more than the background."""
    return counts.levels[classes & ~counts.background].tolist()


def _finest(counts: PictureCounts) -> list[str]:
    return counts.classes[(counts.levels == counts.levels[-1]) & ~counts.background].tolist()


def _labelled_alike(first: PictureCounts, second: PictureCounts, same_tree: bool) -> Both:
    """Leaves out classes that mean something else, then pictures whose masks have changed.

    In one tree classes have one meaning, and labels are the same to the pixel.
    """
    finest = first.levels == first.levels[-1]
    slack_n = (0 if same_tree else TIES) * first.labelled_nk[:, finest].sum(1)
    differ_nk = np.abs(first.labelled_nk - second.labelled_nk) > slack_n[:, None]
    shown_nk = (first.labelled_nk > 0) | (second.labelled_nk > 0)
    changed_k = (differ_nk.sum(0) > 0.5 * shown_nk.sum(0)) & (not same_tree)
    notes = []
    if changed_k.any():
        names = [
            f"{name} at level {level}"
            for name, level in zip(first.classes[changed_k], first.levels[changed_k], strict=True)
        ]
        notes.append(
            f"Labelled otherwise in most pictures, as after a change of classes: "
            f"{listed(names, _MOST)}: left out."
        )
    kept = np.flatnonzero(~changed_k & np.isin(first.levels, _told(first, ~changed_k)))
    alike_n = ~differ_nk[:, kept].any(1)
    if not len(kept) or not alike_n.any():
        raise HiersegError(
            "The labels of all pictures differ between the two evaluations: other masks, other "
            "sizes, or classes that mean something else. Evaluate both on the same masks, with "
            "--resolution=original."
        )
    if not alike_n.all():
        notes.append(
            f"{counted(int((~alike_n).sum()), 'picture')} with other labels in the two, as after "
            "a mask was corrected: left out. Evaluate both again to have them."
        )
    pictures = np.flatnonzero(alike_n)
    return first.take(pictures, kept), second.take(pictures, kept), notes
