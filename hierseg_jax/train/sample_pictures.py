"""Sample segmentations of a run: photographs, truth and prediction at every level, on a page."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hierseg_jax.evaluation.shown_pictures import Samples
from hierseg_jax.reports.drawing.legend import INK, PAPER, SOFT, Canvas, Entry, Layout, draw_legend
from hierseg_jax.reports.drawing.overlay import overlaid
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.system.fonts import Fonts, find_fonts
from hierseg_jax.tree.colors import IGNORED
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

NARROWEST, WIDEST = 190, 380
"""Pixels of a column; between them it is as wide as the widest photograph."""
HIGHEST = 2**14
"""Pixels of the whole picture beyond which columns are no wider than they have to be."""
MAX_RATIO = 3.0
"""Of a sample's height to its width, on the page; taller ones are drawn smaller."""
LEGEND_ROWS = 12
# Of letters and of what lies between pictures, along a column.
_LETTERS, _GAPS = 11, 48


def draw_samples(samples: Samples, hierarchy: Hierarchy, file: Path) -> None:
    """A grid: a picture a row; the image, then truth and prediction at every level.

    All columns are equally wide, and every picture has its own proportions. Ignored pixels are
    pale in both; a group is hatched at the levels where its class is unknown.

    Args:
      samples: `image` uint8 RGB [H, W, 3], `label` and `prediction` uint8 [H, W], of each.
      hierarchy: of the labels.
      file: a .png.
    """
    sizes = [label_hw.shape for label_hw in samples["label"]]
    width = min(WIDEST, max(NARROWEST, *(w for _, w in sizes)))
    if sum(_cell(size, width)[0] for size in sizes) > HIGHEST:
        width = NARROWEST
    shown, rows = without_ignored(samples), []
    for image, *labels in zip(
        *(shown[key] for key in ("image", "label", "prediction")), strict=True
    ):
        size = _cell(image.shape, width)
        image = _resized(image, size, cv2.INTER_AREA if size[0] < len(image) else cv2.INTER_CUBIC)
        labels = [_resized(label, size, cv2.INTER_NEAREST) for label in labels]
        levels = range(hierarchy.num_levels)
        row = [image, *(overlaid(image, label, hierarchy, k) for k in levels for label in labels)]
        rows.append([_centred(cell, width) for cell in row])
    data = cv2.imencode(".png", _page(rows, width, shown, hierarchy)[..., ::-1])[1]
    write_atomically(file, data.tobytes())


def without_ignored(samples: Samples) -> dict[str, Sequence[np.ndarray]]:
    """Samples whose predictions are IGNORE_LABEL wherever their labels are."""
    pairs = zip(samples["label"], samples["prediction"], strict=True)
    shown = [np.where(label == IGNORE_LABEL, label, prediction) for label, prediction in pairs]
    return dict(samples) | {"prediction": shown}


def _cell(size: tuple[int, ...], width: int) -> tuple[int, int]:
    """(height, width) on the page of a picture of (height, width) in a column."""
    scale = min(width / size[1], MAX_RATIO * width / size[0])
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def _resized(array: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    return cv2.resize(array, size[::-1], interpolation=interpolation)


def _centred(cell: np.ndarray, width: int) -> np.ndarray:
    left = (width - cell.shape[1]) // 2
    right = width - cell.shape[1] - left
    return cv2.copyMakeBorder(cell, 0, 0, left, right, cv2.BORDER_CONSTANT, value=PAPER)


def _page(
    rows: Sequence[Sequence[np.ndarray]],
    width: int,
    shown: Samples,
    hierarchy: Hierarchy,
) -> np.ndarray:
    """Titles, rows of cells, and a legend below every level: uint8 RGB."""
    em, gap = round(width / _LETTERS), max(2, round(width / _GAPS))
    step, head = width + gap, round(3.4 * em)
    fonts = find_fonts((*hierarchy.level_names, *hierarchy.node_names))
    legends = [
        _legend(k, shown, hierarchy, 2 * width + gap, em, fonts)
        for k in range(hierarchy.num_levels)
    ]
    height = head + sum(len(row[0]) + gap for row in rows) + max(map(len, legends))
    canvas = Canvas(height, len(rows[0]) * step - gap, fonts)
    below, left_of = round(2.8 * em), em // 3
    canvas.write("image", em, left_of, below, width - em, SOFT)
    for k, (name, legend) in enumerate(zip(hierarchy.level_names, legends, strict=True)):
        left = (1 + 2 * k) * step
        canvas.write(name, em, left + left_of, round(1.4 * em), 2 * width - em, INK)
        for offset, kind in ((0, "truth"), (step, "prediction")):
            canvas.write(kind, em, left + offset + left_of, below, width - em, SOFT)
        canvas.rgb_hw3[height - max(map(len, legends)) :][
            : len(legend), left : left + legend.shape[1]
        ] = legend
    top = head
    for row in rows:
        for column, cell in enumerate(row):
            left = column * step
            canvas.rgb_hw3[top : top + len(cell), left : left + width] = cell
        top += len(row[0]) + gap
    return canvas.rgb_hw3


def _legend(
    k: int, shown: Samples, hierarchy: Hierarchy, width: int, em: int, fonts: Fonts
) -> np.ndarray:
    entries = _entries(k, shown, hierarchy)
    layout = Layout.of("", [entry.name for entry in entries], width, em, fonts, LEGEND_ROWS)
    rows = min(LEGEND_ROWS, layout.rows(len(entries)))
    return draw_legend(layout, "", entries, rows, fonts)


def _entries(k: int, shown: Samples, hierarchy: Hierarchy) -> list[Entry]:
    """Of a level's classes that are there, and of the groups that have none at it."""
    level, labels = hierarchy.levels[k], hierarchy.labels
    maps = (*shown["label"], *shown["prediction"])
    present_l = np.isin(np.arange(len(labels.names)), np.concatenate([np.unique(m) for m in maps]))
    classes = set(labels.classes_kl[k][present_l].tolist())
    groups = np.flatnonzero(present_l & (labels.classes_kl[k] == IGNORE_LABEL)).tolist()
    entries = [
        Entry(level.class_names[i], tuple(level.colors[i].tolist()))
        for i in level.in_tree_order
        if i in classes and i != level.background
    ]
    colors = labels.colors.tolist()
    entries += [Entry(labels.names[i], tuple(colors[i]), hatched=True) for i in groups]
    if any((label_hw == IGNORE_LABEL).any() for label_hw in shown["label"]):
        entries.append(Entry("ignored", IGNORED))
    return entries
