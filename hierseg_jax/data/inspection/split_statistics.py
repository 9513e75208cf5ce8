"""Sizes of images, and pixels and images of every class at every level, by split."""

import statistics
from typing import Any

import numpy as np

from hierseg_jax.data.inspection.inspect_dataset import Inspection
from hierseg_jax.data.label_statistics import class_shares


def split_statistics(inspection: Inspection) -> dict[str, dict[str, Any]]:
    """Statistics ready for JSON.

    Returns:
      By split: `pairs`, of files; `usable`, those that training can read, of which all the
      rest tells: `height` and `width`, [least, median, largest] or None; `ignored_pixels`,
      the share of 255; `levels`: level -> class -> what `class_shares` gives;
      `unknown_pixels`: level -> share of those not ignored whose class is unknown there.
    """
    return {
        split: _of_split(inspection, split, sum(e.pair.split == split for e in inspection.examples))
        for split in inspection.spec.splits
    }


def _of_split(inspection: Inspection, split: str, pairs: int) -> dict[str, Any]:
    usable, hierarchy = inspection.usable(split), inspection.spec.hierarchy
    counts_nl = np.zeros((len(usable), len(hierarchy.labels.names) + 1), np.int64)
    for row, example in zip(counts_nl, usable, strict=True):
        row[:] = example.counts_l
    label_nl, ignored = counts_nl[:, :-1], int(counts_nl[:, -1].sum())
    labelled = int(label_nl.sum())
    levels = class_shares(label_nl, hierarchy)
    return {
        "pairs": pairs,
        "usable": len(usable),
        "height": _spread([example.size[0] for example in usable]),
        "width": _spread([example.size[1] for example in usable]),
        "ignored_pixels": ignored / max(int(counts_nl.sum()), 1),
        "levels": levels,
        "unknown_pixels": {
            level: (labelled - sum(of["pixels"] for of in classes.values())) / max(labelled, 1)
            for level, classes in levels.items()
        },
    }


def _spread(sides: list[int]) -> list[float] | None:
    return [min(sides), statistics.median(sides), max(sides)] if sides else None
