"""What a data set holds: sizes of its images, and shares of its classes at every level."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hierseg_jax.system.wording import columns, counted, padded, printable, spanned
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy


def count_labels(label_hw: np.ndarray) -> np.ndarray:
    """Pixels of every label of a uint8 mask: uint32 [256]."""
    return np.bincount(label_hw.ravel(), minlength=256).astype(np.uint32)


def count_levels(
    label_nl: np.ndarray, hierarchy: Hierarchy
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pixels of every class, and images with it, at every level.

    Args:
      label_nl: whole numbers [N, L], pixels of every label in every image.
      hierarchy: of the L labels.

    Returns:
      By level name, coarse to fine: pixels int64 [K], images int64 [K] of its K classes; pixels
      whose class is unknown at a level are not counted there.
    """
    counts = {}
    for level, class_l in zip(hierarchy.levels, hierarchy.labels.classes_kl, strict=True):
        known_l = class_l != IGNORE_LABEL
        level_nk = np.zeros((len(label_nl), level.num_classes), np.int64)
        np.add.at(level_nk.T, class_l[known_l], label_nl.T[known_l].astype(np.int64))
        counts[level.name] = level_nk.sum(0), (level_nk > 0).sum(0)
    return counts


def class_shares(
    label_nl: np.ndarray, hierarchy: Hierarchy
) -> dict[str, dict[str, dict[str, Any]]]:
    """What images have of every class, ready for JSON.

    Args:
      label_nl: whole numbers [N, L], pixels of every label in every image.
      hierarchy: of the L labels.

    Returns:
      Level -> class -> `pixels` and `images` with it, and their shares: `pixel_share` of the
      pixels whose class is known at the level, `image_share` of all images.
    """
    counted = count_levels(label_nl, hierarchy)
    return {
        level.name: {
            name: {
                "pixels": int(pixels),
                "pixel_share": int(pixels) / max(int(counted[level.name][0].sum()), 1),
                "images": int(images),
                "image_share": int(images) / max(len(label_nl), 1),
            }
            for name, pixels, images in zip(level.class_names, *counted[level.name], strict=True)
        }
        for level in hierarchy.levels
    }


def summarize_split(
    sizes: Sequence[tuple[int, int]], counts: Sequence[np.ndarray], hierarchy: Hierarchy
) -> dict[str, Any]:
    """Statistics of one split, ready for JSON.

    Args:
      sizes: (height, width) of every image; at least one.
      counts: of every image, from `count_labels`.
      hierarchy: the tree of the labels.

    Returns:
      `images`, the number; `height` and `width`, [least, largest]; `ignored_pixels`, the
      share of 255 among all pixels; `levels`: level -> class -> {`pixels`: share of the
      pixels whose class is known there, `images`: share of the images with the class}.
    """
    counts_nc = np.stack(counts).astype(np.int64)
    shares = class_shares(counts_nc[:, : len(hierarchy.labels.names)], hierarchy)
    levels = {
        level: {
            name: {"pixels": of["pixel_share"], "images": of["image_share"]}
            for name, of in classes.items()
        }
        for level, classes in shares.items()
    }
    heights, widths = zip(*sizes, strict=True)
    return {
        "images": len(sizes),
        "height": [min(heights), max(heights)],
        "width": [min(widths), max(widths)],
        "ignored_pixels": int(counts_nc[:, IGNORE_LABEL].sum()) / int(counts_nc.sum()),
        "levels": levels,
    }


def format_statistics(splits: Mapping[str, Mapping[str, Any]], hierarchy: Hierarchy) -> str:
    """A line for each split, and a table of the tree with two columns a split."""
    lines = [
        f"{split}: {counted(s['images'], 'image')}, {spanned('height', *s['height'])}, "
        f"{spanned('width', *s['width'])}, "
        f"{s['ignored_pixels']:.1%} of the pixels ignored"
        for split, s in splits.items()
    ]
    head = "".join(f"{split + ': pixels':>16}{'images':>8}" for split in splits)

    def cells(level: str, name: str) -> str:
        shares = [s["levels"][level][name] for s in splits.values()]
        return "".join(f"{of['pixels']:>16.2%}{of['images']:>8.1%}" for of in shares)

    return "\n".join([*lines, "", *tree_table(hierarchy, head, cells)])


def tree_table(hierarchy: Hierarchy, head: str, cells: Callable[[str, str], str]) -> Iterator[str]:
    """Lines of a table of all classes and groups, each further in than the group that holds it.

    Args:
      hierarchy: of the classes.
      head: of the columns behind the names.
      cells: of a level and the name of a class of it; as wide as the head.
    """
    names = ["  " * node.depth + printable(node.name) for node in hierarchy.nodes]
    wide = max(len("class"), *map(columns, names))
    if hierarchy.num_levels > 1:
        yield f"The levels, coarse to fine: {', '.join(map(printable, hierarchy.level_names))}"
    yield f"{'class':{wide}}{head}".rstrip()
    for name, node in zip(names, hierarchy.nodes, strict=True):
        yield (padded(name, wide) + cells(hierarchy.level_names[node.depth], node.name)).rstrip()
    if hierarchy.inner_labels:
        yield "Shares of pixels are of those whose class is known at the level of the row."
