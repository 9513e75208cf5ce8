"""Left and right of one thing that a data.yaml does not name as a pair."""

from hierseg_jax.data.inspection.findings import Finding
from hierseg_jax.data.read.safe_yaml import flow
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.system.wording import printable
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.pairs import unpaired


def check_sides(spec: DatasetSpec) -> list[Finding]:
    """Left and right by their names, which a mirror would mix up."""
    line = _line(spec.hierarchy)
    if not line:
        return []
    text = f"By the names of the classes write `{printable(line)}` in {printable(spec.file.name)}."
    return [Finding("unpaired_sides", "", "", text)]


def mixed_up(hierarchy: Hierarchy) -> str:
    """The sentence for training; empty where no left and right are without each other."""
    line = _line(hierarchy)
    if not line:
        return ""
    return (
        f"Training mirrors pictures, and in a mirror left looks like right. Write `{line}` in "
        "data.yaml, or they are mixed up."
    )


def _line(hierarchy: Hierarchy) -> str:
    """The `pairs` of a data.yaml, with those that names tell of; empty where these are there."""
    names = hierarchy.class_names
    more = unpaired(names, hierarchy.pairs)
    there = [[names[member] for member in pair] for pair in hierarchy.pairs]
    return f"pairs: {flow([*there, *map(list, more)])}" if more else ""
