"""The page's figures: examples at every level, odd masks, and pictures that occur twice."""

from hierseg_jax.data.inspection.examine import Examined
from hierseg_jax.data.inspection.examples import choose_examples, label_map, photograph, presence
from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.inspection.inspect_dataset import Inspection
from hierseg_jax.reports.document import escaped
from hierseg_jax.reports.inline_pictures import data_uri, legend, overlay, paint, picture
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Level

EXAMPLES = 6
# Pairs of pictures under one finding.
PAIRS = 6
_WITH_MASK = ("single_class", "speckle")


def example_figures(inspection: Inspection) -> str:
    """Some examples, each at every level of the tree, and what the colours mean."""
    usable = [e for split in inspection.spec.splits for e in inspection.usable(split)]
    if not usable:
        return ""
    levels = inspection.spec.hierarchy.levels
    figures = []
    for index in choose_examples(presence(usable), EXAMPLES):
        example = usable[index]
        name = shown(example.pair.image, inspection.spec.root)
        try:
            image, label = photograph(example), label_map(example)
        except (HiersegError, OSError):  # changed since it was examined
            continue
        pictures = [picture(data_uri(image), f"Photograph {name}", "photograph")]
        pictures += [
            picture(
                data_uri(overlay(image, label, level)),
                f"{name} with the classes of level {level.name}: {_holds(example, level)}",
                level.name,
            )
            for level in levels
        ]
        figures.append(
            f'<figure class="card"><figcaption class="file">{escaped(name)}</figcaption>'
            f'<div class="pictures">{"".join(pictures)}</div></figure>'
        )
    return "".join(legend(level) for level in levels) + "\n".join(figures)


def finding_figures(inspection: Inspection, kind: str, findings: list[Finding]) -> str:
    """Pictures of the first findings of a kind; empty where words are enough."""
    if not findings or not (findings[0].other or kind in _WITH_MASK):
        return ""
    by_file = {
        shown(file, inspection.spec.root): example
        for example in inspection.examples
        for file in (example.pair.image, example.pair.mask)
    }
    finest = inspection.spec.hierarchy.levels[-1]
    figures = []
    for finding in findings[:PAIRS]:
        example = by_file[finding.file]
        try:
            pictures = [(photograph(example), finding.file, ".jpg")]
            if finding.other:
                pictures.append((photograph(by_file[finding.other]), finding.other, ".jpg"))
            else:
                name = shown(example.pair.image, inspection.spec.root)
                pictures[0] = (pictures[0][0], name, ".jpg")
                pictures.append((paint(label_map(example), finest), finding.file, ".png"))
        except (HiersegError, OSError):  # changed since it was examined
            continue
        shown_pictures = (picture(data_uri(p, suffix), name, name) for p, name, suffix in pictures)
        figures.append(f'<figure><div class="pictures">{"".join(shown_pictures)}</div></figure>')
    return f'<div class="pairs">{"".join(figures)}</div>'


def _holds(example: Examined, level: Level) -> str:
    """Names of the classes of a level in an example, without the background."""
    present = {int(level.leaf_to_class[leaf]) for leaf in example.counts_c[:-1].nonzero()[0]}
    return ", ".join(level.class_names[index] for index in sorted(present - {0})) or "none"
