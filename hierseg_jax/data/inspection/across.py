"""Findings that need a view of many images: classes, sizes, and those of nothing but background."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.inspection.examine import Examined, Usable
from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.label_statistics import count_levels
from hierseg_jax.data.missing_classes import (
    has_no_class,
    missing_classes,
    missing_sentence,
    untold_classes,
    untold_sentence,
)
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.system.wording import counted, level_called, printable
from hierseg_jax.tree.background import may_be_background
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

# Longer side over the shorter one, from which on an image is called elongated.
ELONGATED = 2.0
# Times as wide, for its height, as another one, up to which images have about one shape.
ALIKE = 1.25
# Share of the images that are, from which on that shape is the data set's.
MOST = 0.9
# Of sizes that are proposed: sides that EfficientUNet takes (ESNet takes multiples of 8, hence
# these as well), and the largest square's.
STRIDE, MAX_SIZE = 32, 512
# Shorter side over the median one, or the other way round, from which on it is unusual.
UNUSUAL = 3.0
# Masks of the background alone from which on they are usual, in number and as a share.
_FEW, _USUAL = 10, 0.05


TRAINED_WITH = ("train", "val")
"""Splits that training needs."""


def check_splits(spec: DatasetSpec, alone: bool = True) -> list[Finding]:
    """Splits that training would miss, if it has this data set `alone`; those of one folder."""
    findings = []
    absent = [split for split in TRAINED_WITH if alone and split not in spec.splits]
    for split in absent[:1]:
        kind = "nothing_to_train" if split == "train" else "absent_split"
        text = f"{spec.file.name} gives no folder for {split}."
        findings.append(Finding(kind, split, "", text))
    for one, other in itertools.combinations(spec.splits, 2):
        layout = spec.layout(one)
        if layout.place == spec.layout(other).place:
            folder = shown(layout.image_dir, spec.root)
            text = f"{one} and {other} are the same folder, {folder}."
            findings.append(Finding("shared_folder", other, "", text))
    return findings


def check_background(spec: DatasetSpec) -> list[Finding]:
    """A background by another's name, or one by its name that counts as any class.

    Nothing is said where data.yaml says which it is, or a class 0 stands in a group.
    """
    name, file = printable(spec.hierarchy.class_names[0]), printable(spec.file.name)
    likely = may_be_background(spec.hierarchy.class_names[0])
    if spec.says_background:
        return []
    if spec.hierarchy.background is not None and not likely:
        text = (
            f"Class 0, {name}, stands outside the hierarchy and is taken for the background: if "
            f"it is a class as the others are, add it to `hierarchy` in {file}; if it is the "
            f"background, say so there: `background: {name}`."
        )
        return [Finding("odd_background", "", "", text)]
    if spec.hierarchy.background is None and likely and spec.hierarchy.num_levels == 1:
        text = (
            f"Class 0, {name}, counts as a class: if it is what the others leave, write "
            f"`background: {name}` in {file}; if it is one, `background: null`."
        )
        return [Finding("counted_rest", "", "", text)]
    return []


def check_classes(
    split: str,
    usable: Sequence[Usable],
    hierarchy: Hierarchy,
    *,
    of: str = "",
    cause: str = "",
    alone: bool = True,
) -> list[Finding]:
    """Classes of any level without a pixel in a split that has usable examples.

    One finding tells of all that train lacks, for training refuses it, and of a split that has no
    class at all; otherwise each class has its own.

    Args:
      of: what the split is of, as " of all data sets".
      cause: a sentence about what is likely wrong with all masks.
      alone: whether nothing else is trained on, so that training needs every class.
    """
    if not usable:
        return []
    seen, train = labels_seen(usable, hierarchy), split == "train"
    if missing_classes(seen, hierarchy) and (train or has_no_class(seen, hierarchy)):
        kind = "untrained_class" if train and alone else "missing_class"
        masks = f"of the {len(usable):,} usable masks of {split}{of}"
        text = printable(missing_sentence(seen, hierarchy, masks))
        return [Finding(kind, split, "", " ".join(filter(None, (text, cause))))]
    counted = count_levels(np.stack([example.counts_l[:-1] for example in usable]), hierarchy)
    findings, named = [], set[str]()
    if untold := untold_classes(seen, hierarchy):
        masks = f"of the {len(usable):,} usable masks of {split}{of}"
        text = printable(untold_sentence(seen, hierarchy, masks))
        findings.append(Finding("untold_class", split, "", text))
        named |= {node.name for node in hierarchy.nodes if {*node.leaves} <= {*untold}}
    for level in reversed(hierarchy.levels):
        pixels, _ = counted[level.name]
        for name, count in zip(level.class_names, pixels, strict=True):
            # A branch that ends early stands in several levels.
            if not count and name not in named:
                named.add(name)
                masks = f"No mask of {split}{of}"
                text = printable(f"{masks} holds {name} ({level_called(level.name)}).")
                findings.append(Finding("missing_class", split, "", text))
    return findings


def is_bare(usable: Sequence[Usable], hierarchy: Hierarchy) -> bool:
    """Whether there are usable examples, and none has any class but the background."""
    return bool(usable) and has_no_class(labels_seen(usable, hierarchy), hierarchy)


def without_many(findings: Sequence[Finding], examples: int) -> list[Finding]:
    """Masks of the background alone as a note of each split, where they are usual.

    A few are mistakes, as likely as not.
    """
    alone = [finding for finding in findings if finding.kind == "background_alone"]
    if len(alone) < max(_FEW, _USUAL * examples):
        return [
            dataclasses.replace(each, kind="single_class")
            if each.kind == "background_alone"
            else each
            for each in findings
        ]
    left = [finding for finding in findings if finding.kind != "background_alone"]
    for split in dict.fromkeys(finding.split for finding in alone):
        of = [finding for finding in alone if finding.split == split]
        text = f"{counted(len(of), 'mask')} of {split}, the first {of[0].file}."
        left.append(Finding("background_alone", split, of[0].file, text))
    return left


def labels_seen(usable: Sequence[Usable], hierarchy: Hierarchy) -> np.ndarray:
    """Labels that usable examples have: bool [256]."""
    held = np.any([example.counts_l > 0 for example in usable], axis=0)
    seen = np.zeros(256, bool)
    seen[: len(hierarchy.labels.names)], seen[IGNORE_LABEL] = held[:-1], held[-1]
    return seen


def check_sizes(examples: Sequence[Examined], spec: DatasetSpec) -> list[Finding]:
    """Images that are elongated, and those of a size unlike the others'."""
    sized = [(example, example.size) for example in examples if example.size is not None]
    if not sized:
        return []
    median = statistics.median(min(size) for _, size in sized)
    findings, ratio = _one_long_shape([size for _, size in sized])
    for example, (height, width) in sized:
        short, long = sorted((height, width))
        split, file = example.pair.split, shown(example.pair.image, spec.root)
        text = f"{file} is {height} x {width} (height x width): "
        if long > ELONGATED * short and not _is_alike((height, width), ratio):
            text_of = f"{text}one side is {long / short:.1f} times the other."
            findings.append(Finding("elongated", split, file, text_of))
        if short > UNUSUAL * median or median > UNUSUAL * short:
            text_of = f"{text}the median of the shorter sides is {median:.0f}."
            findings.append(Finding("unusual_size", split, file, text_of))
    return findings


def _one_long_shape(sizes: Sequence[tuple[int, int]]) -> tuple[list[Finding], float]:
    """That most images are about as elongated, if they are: the network may have their shape.

    Also gives their width by their height, or else 0.
    """
    ratio = statistics.median(width / height for height, width in sizes)
    alike = sum(_is_alike(size, ratio) for size in sizes)
    if max(ratio, 1 / ratio) <= ELONGATED or alike < MOST * len(sizes):
        return [], 0.0
    height, width = _sides(ratio, min(MAX_SIZE**2, statistics.median(h * w for h, w in sizes)))
    sides = "wide as high" if ratio > 1 else "high as wide"
    text = (
        f"{alike:,} of {len(sizes):,} images are about {max(ratio, 1 / ratio):.1f} times as "
        f"{sides}: --image_size={height},{width} (height, width) is of about this shape."
    )
    return [Finding("one_long_shape", "", "", text)], ratio


def _sides(ratio: float, pixels: float) -> tuple[int, int]:
    """Height and width that networks take, of a shape and about so many pixels."""
    short, largest = min(ratio, 1 / ratio), 2 * MAX_SIZE

    def miss(sides: tuple[int, int]) -> float:
        least, most = sorted(sides)
        of_pixels = abs(math.log(least * most / pixels))
        return 3 * abs(math.log(least / most / short)) + of_pixels

    steps = range(STRIDE, 4 * largest + 1, STRIDE)
    least, most = min(((a, b) for a in steps if a <= largest for b in steps if b >= a), key=miss)
    return (least, most) if ratio > 1 else (most, least)


def _is_alike(size: tuple[int, int], ratio: float) -> bool:
    return 1 / ALIKE <= size[1] / size[0] / (ratio or math.inf) <= ALIKE
