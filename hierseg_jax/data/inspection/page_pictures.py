"""The page's pictures: examples at every level, odd masks, and those that occur twice."""

from hierseg_jax.data.inspection.examine import Usable
from hierseg_jax.data.inspection.examples import choose_examples, label_map, photograph, presence
from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.inspection.inspect_dataset import Inspection
from hierseg_jax.reports.inline_pictures import Picture, data_uri, overlaid
from hierseg_jax.reports.overlay import leaf_colors
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Level

EXAMPLES = 6
# Pairs of pictures under one finding.
PAIRS = 6
_WITH_MASK = ("single_class", "speckle")


def example_pictures(inspection: Inspection) -> list[tuple[str, list[Picture]]]:
    """Some examples by name, each as it is and at every level of the tree."""
    usable = [e for split in inspection.spec.splits for e in inspection.usable(split)]
    if not usable:
        return []
    figures = []
    for index in choose_examples(presence(usable), EXAMPLES):
        example = usable[index]
        name = shown(example.pair.image, inspection.spec.root)
        try:
            image, label = photograph(example), label_map(example)
        except (HiersegError, OSError):  # changed since it was examined
            continue
        pictures = [Picture(data_uri(image), f"Photograph {name}", "photograph")]
        pictures += [
            Picture(
                data_uri(overlaid(image, label, level)),
                f"{name} with the classes of level {level.name}: {_holds(example, level)}",
                level.name,
            )
            for level in inspection.spec.hierarchy.levels
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
    colors = leaf_colors(inspection.spec.hierarchy.levels[-1])
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
                other = data_uri(colors[label_map(example)], ".png")
        except (HiersegError, OSError):  # changed since it was examined
            continue
        figures.append([Picture(image, first, first), Picture(other, second, second)])
    return figures


def _holds(example: Usable, level: Level) -> str:
    """Names of the classes of a level in an example, without the background."""
    present = {int(level.leaf_to_class[leaf]) for leaf in example.counts_c[:-1].nonzero()[0]}
    return ", ".join(level.class_names[index] for index in sorted(present - {0})) or "none"
