"""Writing a data.yaml, as `spec` reads it."""

from collections.abc import Sequence
from typing import Any

import yaml

from hierseg_jax.data.read.dataset_spec import DatasetSpec
from hierseg_jax.data.read.layout import write_layout
from hierseg_jax.data.read.value_names import IGNORE
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.tree.colors import css_color
from hierseg_jax.tree.hierarchy import Group


def write_spec(spec: DatasetSpec) -> None:
    """Writes `spec.file`, from which `load_spec` reads an equal spec.

    The root is written relative to the file where it lies below it, so that the
    whole folder can be moved. The file appears complete or not at all.
    """
    root = spec.root
    if root.is_relative_to(spec.file.parent):
        root = root.relative_to(spec.file.parent)
    content: dict[str, Any] = {
        "path": str(root),
        **{split: write_layout(spec.layout(split)) for split in spec.splits},
        "names": list(spec.hierarchy.class_names),
        "level_names": list(spec.hierarchy.level_names),
        "hierarchy": _written(spec.hierarchy.children, spec.hierarchy.class_names),
    }
    names = spec.hierarchy.class_names
    if spec.says_background:
        content["background"] = None if spec.hierarchy.background is None else names[0]
    if spec.hierarchy.pairs:
        content["pairs"] = [[names[member] for member in pair] for pair in spec.hierarchy.pairs]
    if spec.labels:
        content["labels"] = dict(spec.labels)
    if spec.ignored:
        content["ignore"] = list(spec.ignored)
    if spec.skips_unknown:
        content["unknown"] = IGNORE
    if spec.hierarchy.colors:
        content["colors"] = {name: css_color(color) for name, color in spec.hierarchy.colors}
    text = yaml.safe_dump(
        content, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )
    write_atomically(spec.file, text.encode())


def _written(
    children: tuple[Group | int, ...], class_names: Sequence[str]
) -> dict[str, Any] | list[Any]:
    groups = [child for child in children if isinstance(child, Group)]
    if len(groups) == len(children):
        return {group.name: _written(group.children, class_names) for group in groups}
    return [
        {child.name: _written(child.children, class_names)}
        if isinstance(child, Group)
        else class_names[child]
        for child in children
    ]
