"""Data sets with their class trees, and the one tree in which the classes of several meet."""

import dataclasses
from collections.abc import Sequence

from hierseg_jax.data.figures.render import GROUPS
from hierseg_jax.data.read.members import (
    FIGURES,
    TFDS_PREFIX,
    Member,
    Spec,
    parse_members,
    spec_text,
)
from hierseg_jax.data.read.spec import SPLITS, DatasetSpec, load_spec, read_tree_file
from hierseg_jax.system.errors import HiersegError
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
      splits: those that it has.
      spec: what its data.yaml says; None for those without one.
    """

    member: Member
    hierarchy: Hierarchy
    names: tuple[str, ...]
    splits: tuple[str, ...]
    spec: DatasetSpec | None = None


def read_data_sets(spec: Spec, inner_share: float = 0.0) -> tuple[DataSet, ...]:
    """The data sets of a spec.

    Args:
      spec: as `parse_members` takes it.
      inner_share: of `figures`, pictures that are labelled by groups.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    return tuple(_read(member, inner_share) for member in parse_members(spec))


def load_hierarchy(spec: Spec, tree_file: str = "", inner_share: float = 0.0) -> Hierarchy:
    """The class tree of data: of several sets the first's, in which all have a place.

    Args:
      spec: the path of a data.yaml, `figures`, or `tfds:NAME`; a sum or a list of them.
      tree_file: a YAML file with another tree, of a single data set over the same classes; empty
        for the data's.
      inner_share: as in `read_data_sets`.

    Raises:
      ValueError, FileNotFoundError: one sentence.
    """
    sets = read_data_sets(spec, inner_share)
    first = sets[0].hierarchy
    if not tree_file:
        return dataclasses.replace(
            meet(sets, first, sets[0].member.name), pairs=pairs_of(sets, first)
        )
    tree = read_tree_file(tree_file, first.class_names)
    if len(sets) == 1 and tree.class_names != first.class_names:
        raise HiersegError(
            f"{tree_file} is a tree over the classes {', '.join(tree.class_names)}; "
            f"{spec_text(spec)} has {', '.join(first.class_names)}, in this order."
        )
    tree = meet(sets, tree, tree_file, whole=False)
    # Left and right are the data's, whatever stands above them.
    return tree if tree.pairs else dataclasses.replace(tree, pairs=pairs_of(sets, tree))


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


def _read(member: Member, inner_share: float) -> DataSet:
    if member.name == FIGURES:
        tree = PASCAL_PERSON_PART
        names = (*tree.class_names, *(GROUPS if inner_share else ()))
        return DataSet(member, tree, names, SPLITS)
    if member.name.startswith(TFDS_PREFIX):
        return DataSet(member, PASCAL_PERSON_PART, PASCAL_PERSON_PART.class_names, SPLITS[:2])
    spec = load_spec(member.name)
    return DataSet(member, spec.hierarchy, spec.names, spec.splits, spec)
