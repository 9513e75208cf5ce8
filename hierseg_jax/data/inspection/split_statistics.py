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
      the share of 255; `levels`: level -> class -> {`pixels`, `pixel_share` of those not
      ignored, `images`, `image_share`}.
    """
    return {
        split: _of_split(inspection, split, sum(e.pair.split == split for e in inspection.examples))
        for split in inspection.spec.splits
    }


def _of_split(inspection: Inspection, split: str, pairs: int) -> dict[str, Any]:
    usable, hierarchy = inspection.usable(split), inspection.spec.hierarchy
    counts_nc = np.zeros((len(usable), hierarchy.num_classes + 1), np.int64)
    for row, example in zip(counts_nc, usable, strict=True):
        row[:] = example.counts_c
    leaf_nc, ignored = counts_nc[:, :-1], int(counts_nc[:, -1].sum())
    return {
        "pairs": pairs,
        "usable": len(usable),
        "height": _spread([example.size[0] for example in usable]),
        "width": _spread([example.size[1] for example in usable]),
        "ignored_pixels": ignored / max(int(counts_nc.sum()), 1),
        "levels": class_shares(leaf_nc, hierarchy),
    }


def _spread(sides: list[int]) -> list[float] | None:
    return [min(sides), statistics.median(sides), max(sides)] if sides else None
