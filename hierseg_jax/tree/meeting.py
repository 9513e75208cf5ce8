"""Classes of several data sets meet by name, in one common tree.

A class keeps its name from tree to tree; what is a leaf class in one may be a group in another.
Backgrounds meet whatever they are called.
"""

import dataclasses
from collections.abc import Collection, Iterable

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean, listed
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.labels import Labels
from hierseg_jax.tree.pairs import Pairs
from hierseg_jax.tree.parsing import IGNORE_LABEL, MAX_CLASSES, default_names, walk


def all_labels(hierarchy: Hierarchy) -> Labels:
    """Of leaf classes and groups, whether the data have labels of groups or not."""
    return dataclasses.replace(hierarchy, inner_labels=True).labels


def label_of(name: str, labels: Labels) -> int:
    """The label of the node of a name; of a group over a single leaf class that class's."""
    label = labels.names.index(name)
    leaves = np.flatnonzero(labels.leaves_lc[label])
    return int(leaves[0]) if len(leaves) == 1 else label


def has_inner(names: Iterable[str], hierarchy: Hierarchy) -> bool:
    """Whether a label of these names leaves a level unknown; names of no node don't."""
    labels = all_labels(hierarchy)
    found = [label_of(name, labels) for name in names if name in labels.names]
    return bool(labels.are_inner_l[found].any())


def has_no_room(name: str, hierarchy: Hierarchy) -> bool:
    """Whether a group has no label, since there are more classes and groups than labels."""
    groups = {group.name for _, above in walk(hierarchy.children) for group in above}
    return name in groups - set(all_labels(hierarchy).names)


def near_names(name: str, names: Collection[str]) -> str:
    """As `did you mean torso or trunk?`, or all names where none is near."""
    return did_you_mean(name, names, f"there are {listed([*names], 20)}.", 3)


def check_meeting(
    own: Hierarchy, names: Iterable[str], common: Hierarchy, who: str, whose: str, *, whole: bool
) -> None:
    """Refuses a data set whose labels have no place, or another meaning, in the common tree.

    Args:
      own: the data set's tree.
      names: of the nodes of `own` that its pixels may be labelled with.
      common: the tree that they are to have a place in.
      who: the data set, for the message.
      whose: whatever `common` is of, for the message.
      whole: whether the trees must agree in all that both name, or only in what is below the
        names of labels, since `common` is meant to be another tree.

    Raises:
      ValueError: one sentence.
    """
    labels, backgrounds = all_labels(common), {*_outside(own), *_outside(common)}
    above, above_common = _ancestors(own), _ancestors(common)
    for name in (*names, *above):
        if name in backgrounds and (name in above or name in above_common):
            raise HiersegError(
                f"{name!r} is the background in one of {who} and {whose}, and a class of the tree "
                "in the other; rename one of them, or have it in or outside of both trees."
            )
    if common.background is None and not _outside(own).isdisjoint(names):
        raise HiersegError(
            f"{who} labels pixels as {own.class_names[0]!r}, its background, and {whose} has no "
            "background; ignore it with `labels` in the data set's data.yaml, as in `labels: {0: "
            "ignore, 1: NAME}`, or give a tree that has one as data.hierarchy."
        )
    names = [name for name in names if name not in backgrounds]
    unnamed = own.class_names == default_names(own.num_classes, own.background)
    unnamed &= own.class_names != common.class_names
    if unnamed and not set(own.class_names).isdisjoint(names):
        raise HiersegError(
            f"{who} gives its classes no names, by which they could meet those of {whose}; add "
            "`names` to its data.yaml."
        )
    for name in names:
        if has_no_room(name, common):
            raise HiersegError(
                f"{who} labels pixels as {name!r}. {whose} has more classes and groups than the "
                f"{MAX_CLASSES} labels of 8 bits, and none is left for it; merge "
                "classes or ignore it."
            )
        if name not in labels.names:
            raise HiersegError(
                f"{who} labels pixels as {name!r}, which is no class and no group of {whose}; "
                f"{near_names(name, labels.names)} Rename or ignore it with `labels` in the data "
                "set's data.yaml, or give a tree that has it as data.hierarchy."
            )
    both = [name for name in above if name in above_common]
    upper = both if whole else [name for name in names if name in both]
    for name in both:
        for group in upper:
            if (group in above[name]) != (group in above_common[name]):
                inside, outside = (who, whose) if group in above[name] else (whose, who)
                raise HiersegError(
                    f"The trees of {who} and {whose} contradict each other: {name!r} is below "
                    f"{group!r} in {inside}, and not in {outside}; rename one of the two, or give "
                    "one tree for both as data.hierarchy."
                )


def label_table(own: Hierarchy, names: Iterable[str], common: Hierarchy) -> np.ndarray:
    """Labels of one tree -> those of the common one: uint8 [256].

    Args:
      own, common: of which `check_meeting` had nothing to say.
      names: of the labels that occur; what is no label of these is ignored.
    """
    table = np.full(256, IGNORE_LABEL, np.uint8)
    labels, common_labels = all_labels(own), all_labels(common)
    for name in names:
        table[label_of(name, labels)] = label_of(name_in(name, own, common), common_labels)
    return table


def name_in(name: str, own: Hierarchy, common: Hierarchy) -> str:
    """What a node of one tree is called in the common one: its background has that's name."""
    return common.class_names[0] if name in _outside(own) else name


def _outside(hierarchy: Hierarchy) -> set[str]:
    """The name of the background; nothing where there is none."""
    return set(hierarchy.class_names[: hierarchy.foreground.start])


def meeting_pairs(trees: Iterable[tuple[str, Hierarchy]], common: Hierarchy) -> Pairs:
    """The pairs of all trees, by name, in the classes of the common one.

    Args:
      trees: with whose they are, for the message.

    Raises:
      ValueError: where two trees give a class different partners.
    """
    partners: dict[int, tuple[int, str]] = {}
    pairs: list[tuple[int, int]] = []
    of_groups: list[tuple[str, str, str]] = []
    index_of = {name: index for index, name in enumerate(common.class_names)}
    for whose, tree in trees:
        for pair in tree.pairs:
            names = [tree.class_names[member] for member in pair]
            if not all(name in index_of for name in names):
                of_groups.append((names[0], names[1], whose))
                continue
            left, right = (index_of[name] for name in names)
            for member, partner in ((left, right), (right, left)):
                before, first = partners.setdefault(member, (partner, whose))
                if before != partner:
                    raise HiersegError(
                        f"In the mirror {common.class_names[member]!r} becomes "
                        f"{common.class_names[before]!r} in {first}, and "
                        f"{common.class_names[partner]!r} in {whose}; mend the `pairs` of one."
                    )
            if (left, right) not in pairs and (right, left) not in pairs:
                pairs.append((left, right))
    _check_group_pairs(of_groups, dataclasses.replace(common, pairs=tuple(pairs)))
    return tuple(pairs)


def _check_group_pairs(of_groups: Iterable[tuple[str, str, str]], common: Hierarchy) -> None:
    """Refuses pairs of groups whose leaf classes, in the common tree, have no such pairs.

    Args:
      of_groups: two names, and whose pair they are.
      common: with the pairs of leaf classes.
    """
    common = dataclasses.replace(common, inner_labels=True)
    for left, right, whose in of_groups:
        if left not in common.labels.names or right not in common.labels.names:
            continue  # renamed or ignored: no pixel bears them
        labels = (label_of(name, common.labels) for name in (left, right))
        if common.mirrored[next(labels)] != next(labels):
            raise HiersegError(
                f"In the mirror {left!r} becomes {right!r} in {whose}; the tree that all data sets "
                "meet in has classes below them, whose `pairs` it does not name. Add them there."
            )


def _ancestors(hierarchy: Hierarchy) -> dict[str, set[str]]:
    """Names of the groups above every node but the background; none is above itself."""
    above: dict[str, set[str]] = {}
    for leaf, groups in walk(hierarchy.children):
        names = [*(group.name for group in groups), hierarchy.class_names[leaf]]
        for depth, name in enumerate(names):
            above.setdefault(name, set()).update(names[:depth])
    return {name: groups - {name} for name, groups in above.items()}
