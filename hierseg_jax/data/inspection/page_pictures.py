"""The page's pictures: examples at every level, odd masks, and those that occur twice."""

import numpy as np

from hierseg_jax.data.inspection.examine import Usable
from hierseg_jax.data.inspection.examples import choose_examples, label_map, photograph, presence
from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.inspection.inspect_dataset import Inspection
from hierseg_jax.reports.drawing.overlay import overlaid
from hierseg_jax.reports.inline_pictures import Picture, data_uri
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import level_called
from hierseg_jax.tree.colors import IGNORED, css_color
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

EXAMPLES = 6
# Pairs of pictures under one finding.
PAIRS = 6
_WITH_MASK = ("single_class", "speckle")


def example_pictures(inspection: Inspection) -> list[tuple[str, list[Picture]]]:
    """Some examples by name, each as it is and at every level of the tree."""
    usable = [e for split in inspection.spec.splits for e in inspection.usable(split)]
    if not usable:
        return []
    hierarchy = inspection.spec.hierarchy
    figures = []
    for index in choose_examples(presence(usable), EXAMPLES):
        example = usable[index]
        name = shown(example.pair.image, inspection.spec.root)
        try:
            image = photograph(example)
            label = label_map(example, inspection.spec.values)
        except (HiersegError, OSError):  # changed since it was examined
            continue
        pictures = [Picture(data_uri(image), f"Photograph {name}", "photograph")]
        pictures += [
            Picture(
                data_uri(overlaid(image, label, hierarchy, k)),
                f"{name} with the classes of {level_called(level.name)}: "
                f"{_holds(example, hierarchy, k)}",
                level.name,
            )
            for k, level in enumerate(hierarchy.levels)
        ]
        figures.append((name, pictures))
    return figures


def finding_pictures(
    inspection: Inspection, kind: str, findings: list[Finding]
) -> list[list[Picture]]:
    """Two pictures of each of the first findings of a kind; none where words are enough."""
    if not findings or not (findings[0].other or kind in _WITH_MASK):
        return []
    by_file = {
        shown(file, inspection.spec.root): example
        for example in inspection.examples
        for file in (example.pair.image, example.pair.mask)
    }
    labels = inspection.spec.hierarchy.labels
    colors = np.full((256, 3), IGNORED, np.uint8)
    colors[: len(labels.names)] = labels.colors
    figures = []
    for finding in findings[:PAIRS]:
        example = by_file[finding.file]
        try:
            image = data_uri(photograph(example))
            if finding.other:
                first, second = finding.file, finding.other
                other = data_uri(photograph(by_file[finding.other]))
            else:
                first, second = shown(example.pair.image, inspection.spec.root), finding.file
                other = data_uri(colors[label_map(example, inspection.spec.values)], ".png")
        except (HiersegError, OSError):  # changed since it was examined
            continue
        figures.append([Picture(image, first, first), Picture(other, second, second)])
    return figures


def group_colors(inspection: Inspection) -> list[tuple[str, str]]:
    """Colour and name of the groups in masks that leave a level unknown."""
    labels = inspection.spec.hierarchy.labels
    usable = [e for split in inspection.spec.splits for e in inspection.usable(split)]
    if not usable:
        return []
    present_l = presence(usable).any(0) & labels.are_inner_l
    colors = labels.colors.tolist()
    return [(css_color(colors[i]), labels.names[i]) for i in np.flatnonzero(present_l)]


def _holds(example: Usable, hierarchy: Hierarchy, level: int) -> str:
    """Names of the classes of a level in an example, without a background."""
    present = set(hierarchy.labels.classes_kl[level][example.counts_l[:-1] > 0].tolist())
    names = hierarchy.levels[level].class_names
    return (
        ", ".join(names[index] for index in sorted(present - {hierarchy.background, IGNORE_LABEL}))
        or "none"
    )
