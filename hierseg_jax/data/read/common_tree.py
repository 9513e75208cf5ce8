"""Data sets with their class trees, and the one tree in which the classes of several meet."""

import dataclasses
import pathlib
from collections.abc import Sequence

from hierseg_jax.data.figures.render import GROUPS
from hierseg_jax.data.read.members import Kind, Member, Spec, parse_members, spec_text
from hierseg_jax.data.read.own_source import open_own, own_tree
from hierseg_jax.data.read.spec import (
    SPLITS,
    DatasetSpec,
    load_spec,
    read_tree_file,
    spec_without_folders,
)
from hierseg_jax.data.read.tfds_name import parse_tfds_name
from hierseg_jax.data.read.tfds_prepared import HIERARCHIES, open_prepared
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.colors import GivenColors
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.tree.meeting import check_meeting, has_inner, meeting_pairs
from hierseg_jax.tree.pairs import Pairs


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set as it describes itself.

    Attributes:
      member: what it is called, and how often its examples are drawn.
      hierarchy: its own class tree.
      names: of the nodes that its pixels may be labelled with.
      splits: those that it has; of a user's own, those that it may have.
      spec: what its data.yaml says, or another description of its classes; None of `figures`.
    """

    member: Member
    hierarchy: Hierarchy
    names: tuple[str, ...]
    splits: tuple[str, ...]
    spec: DatasetSpec | None = None

    def has(self, split: str) -> bool:
        """Whether it has a split."""
        if self.member.kind is Kind.OWN:
            return open_own(self.member.name, split) is not None
        return split in self.splits


def read_data_sets(
    spec: Spec, inner_share: float = 0.0, tree_file: str = ""
) -> tuple[DataSet, ...]:
    """The data sets of a spec.

    Args:
      spec: as `parse_members` takes it.
      inner_share: of `figures`, pictures that are labelled by groups.
      tree_file: a YAML file with the classes of those that don't name them themselves.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    return tuple(_read(member, inner_share, tree_file) for member in parse_members(spec))


def load_hierarchy(spec: Spec, tree_file: str = "", inner_share: float = 0.0) -> Hierarchy:
    """The class tree of data: of several sets the first's, in which all have a place.

    Args:
      spec: as `parse_members` takes it.
      tree_file: a YAML file with another tree, of a single data set over the same classes; empty
        for the data's.
      inner_share: as in `read_data_sets`.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    sets = read_data_sets(spec, inner_share, tree_file)
    first = sets[0].hierarchy
    if not tree_file:
        return tree_of_first(sets)
    tree = read_tree_file(tree_file, first.class_names)
    if len(sets) == 1 and tree.class_names != first.class_names:
        raise HiersegError(
            f"{tree_file} is a tree over the classes {', '.join(tree.class_names)}; "
            f"{spec_text(spec)} has {', '.join(first.class_names)}, in this order."
        )
    tree = meet(sets, tree, tree_file, whole=False)
    # Left and right are the data's, whatever stands above them.
    pairs = tree.pairs or pairs_of(sets, tree)
    return dataclasses.replace(tree, pairs=pairs, colors=colors_of(sets, tree))


def tree_of_first(sets: Sequence[DataSet]) -> Hierarchy:
    """The tree of the first data set, in which the others must have a place.

    Raises:
      ValueError: one sentence, where one of them has none.
    """
    tree = meet(sets, sets[0].hierarchy, sets[0].member.name)
    return dataclasses.replace(tree, pairs=pairs_of(sets, tree), colors=colors_of(sets, tree))


def meet(sets: Sequence[DataSet], tree: Hierarchy, whose: str, *, whole: bool = True) -> Hierarchy:
    """A tree that knows whether data sets label its groups.

    Args:
      sets: whose classes are to have a place in it.
      tree: the common one.
      whose: it is, for messages.
      whole: whether the trees must agree in groups that are not labelled, too, as
        `check_meeting` has it.

    Raises:
      ValueError: one sentence, where a data set has no place in the tree, or another tree.
    """
    for of in sets:
        check_meeting(of.hierarchy, of.names, tree, of.member.name, whose, whole=whole)
    inner = has_inner((name for of in sets for name in of.names), tree)
    return dataclasses.replace(tree, inner_labels=inner)


def pairs_of(sets: Sequence[DataSet], tree: Hierarchy) -> Pairs:
    """The pairs of all data sets, in the classes of their common tree.

    Raises:
      ValueError: one sentence, where two of them contradict each other.
    """
    return meeting_pairs([(of.member.name, of.hierarchy) for of in sets], tree)


def colors_of(sets: Sequence[DataSet], tree: Hierarchy) -> GivenColors:
    """Those that users chose for the tree's classes and groups: in the tree, or in a data set."""
    found = dict(tree.colors)
    nodes = {*tree.node_names} - {*tree.class_names[: tree.foreground.start]}
    for of in sets:
        for name, color in of.hierarchy.colors:
            if name in nodes:
                found.setdefault(name, color)
    return tuple(found.items())


def _read(member: Member, inner_share: float, tree_file: str) -> DataSet:
    splits: tuple[str, ...] = SPLITS
    match member.kind:
        case Kind.FIGURES:
            tree = PASCAL_PERSON_PART
            names = (*tree.class_names, *(GROUPS if inner_share else ()))
            return DataSet(member, tree, names, SPLITS)
        case Kind.TFDS:
            spec, splits = _read_tfds(member.name, tree_file)
        case Kind.OWN:
            content = own_tree(member.name)
            spec = (
                spec_without_folders(member.name, content)
                if content is not None
                else _named_elsewhere(member.name, tree_file, "give what it returns a `tree`")
            )
        case Kind.FILE:
            spec = load_spec(member.name)
            splits = spec.splits
    return DataSet(member, spec.hierarchy, spec.names, splits, spec)


def _read_tfds(text: str, tree_file: str) -> tuple[DatasetSpec, tuple[str, ...]]:
    """The classes of a data set that TFDS has prepared, and its splits."""
    name = parse_tfds_name(text)
    prepared = open_prepared(name)
    splits = tuple(split for split in SPLITS if name.split_of(split, prepared.splits))
    if name.tree:
        return load_spec(name.tree), splits
    tree = HIERARCHIES.get(name.name)
    if tree is not None:
        return DatasetSpec(pathlib.Path(text), pathlib.Path(), (), tree), splits
    if prepared.class_names:
        return spec_without_folders(text, {"names": prepared.class_names}), splits
    return _named_elsewhere(text, tree_file, f"add {'&' if '?' in text else '?'}tree=FILE"), splits


def _named_elsewhere(name: str, tree_file: str, hint: str) -> DatasetSpec:
    if not tree_file:
        raise HiersegError(
            f"{name} does not name its classes; {hint}, or set data.hierarchy to a YAML file with "
            "`names` and `hierarchy`."
        )
    return load_spec(tree_file)
