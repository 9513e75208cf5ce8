"""Trees and values of masks whose classes are known by a table, of numbers or of colours."""

from collections.abc import Iterable, Mapping

from hierseg_jax.data.prepare.classes import BACKGROUND, value_of_none
from hierseg_jax.data.prepare.colours import Colour
from hierseg_jax.data.read.value_names import IGNORE, Named, Value
from hierseg_jax.system.errors import HiersegError, said_with
from hierseg_jax.tree.background import flat_tree
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.meeting import all_labels, label_of


def table_tree(
    names: Iterable[str], where: str, groups: Mapping[str, Iterable[str]] | None = None
) -> Hierarchy:
    """The tree of a table's classes: of groups, or of one level.

    Class 0 is the background, if the table has one.

    Args:
      names: of the table; those of `value_of_none` are no classes.
      where: the table, for the sentence.
      groups: group -> its classes, all of `names`.

    Raises:
      HiersegError: too few classes, or too many; a sentence that starts with `where`.
    """
    given = list(dict.fromkeys(names))
    names = [name for name in given if value_of_none(name) is None]
    first = [BACKGROUND] if any(value_of_none(name) == 0 for name in given) else []
    if groups is None:
        classes = [*first, *names]
        if not names:
            raise HiersegError(f"{where}: it names no class.")
        with said_with(f"{where}: "):
            flat = flat_tree(classes, 0 if first else None)
            return Hierarchy.from_mapping(flat, classes, ["class"])
    tree = {group: list(members) for group, members in groups.items()}
    return Hierarchy.from_mapping(tree, [*first, *names], ["category", "class"])


def named(values: Mapping[int, str], hierarchy: Hierarchy) -> Named:
    """`as_named`, of names that the tree may not have; those are ignored."""
    known = set(all_labels(hierarchy).names)
    names: dict[Value, str] = {}
    for value, name in sorted(values.items()):
        if value_of_none(name) == hierarchy.background == 0:
            name = hierarchy.class_names[0]
        names[value] = name if name in known else IGNORE
    return as_named(names, hierarchy)


def as_named(names: Mapping[Value, str], hierarchy: Hierarchy) -> Named:
    """Empty where the values are the classes' numbers already."""
    if names == dict(enumerate(hierarchy.class_names)):
        return ()
    return tuple(names.items())


def values_of_colours(
    colours: Mapping[Colour, str], hierarchy: Hierarchy, where: str
) -> tuple[dict[Colour, int], Named]:
    """Colour -> value in the masks that are drawn, a label of the tree; and names of the values.

    There are names where labels of groups are among them.

    Raises:
      ValueError: a sentence that starts with `where`: a name that the tree does not know.
    """
    of_tree, values = all_labels(hierarchy), {}
    for colour, name in colours.items():
        if name in of_tree.names:
            values[colour] = label_of(name, of_tree)
        elif (value := value_of_none(name)) is not None:
            values[colour] = value if value == hierarchy.background else IGNORE_LABEL
        else:
            raise HiersegError(
                f"{where}: the tree has no class and no group {name!r}; add it, or call "
                "the colour ignore, and nothing is learned from it."
            )
    of_groups = {*values.values()} - {IGNORE_LABEL, *range(hierarchy.num_classes)}
    labels = tuple(enumerate(of_tree.names)) if of_groups else ()
    return values, labels
