"""Pictures of a run: curves and sample segmentations."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from hierseg_jax.evaluation.shown_pictures import Samples
from hierseg_jax.reports.overlay import hatch, label_colors, overlay
from hierseg_jax.settings.metric_choice import METRICS
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.system.fonts import find_fonts
from hierseg_jax.tree.colors import class_colors
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

PHOTO_SHARE = 0.3
COLUMN = 1.9
"""Inches; at 100 pixels an inch."""
FINEST = 2.0
"""How many times as many pixels an inch gets, for photographs that have them."""
HIGHEST = 2**14
"""Pixels of the whole picture beyond which it gets no more of them."""
LONGEST_NAME = 18  # of a legend of two columns, in letters
MAX_RATIO = 3.0
"""Of a sample's height to its width, on the page; taller ones are drawn smaller."""


def draw_loss(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Training and validation loss over epochs."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = [row["epoch"] for row in rows]
    for key, label in (("train_loss", "training"), ("val_loss", "validation")):
        axes.plot(epochs, [row[key] for row in rows], marker=".", label=label)
    _finish(axes, "loss")
    _save(figure, file)


def draw_metrics(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Every metric of the last row over epochs, a panel each, a line for every level."""
    levels = rows[-1]["levels"]
    metrics = list(next(iter(levels.values())))
    columns = min(3, len(metrics))
    lines = -(-len(metrics) // columns)
    figure = Figure(figsize=(max(8, 4.5 * columns), max(4.5, 3.4 * lines)), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    epochs = [row["epoch"] for row in rows]
    for axes, metric in zip(panels, metrics, strict=False):
        for level in levels:
            # Rows of a run that had other metrics before lack some.
            values = [row["levels"].get(level, {}).get(metric) for row in rows]
            values = [float("nan") if value is None else value for value in values]
            axes.plot(epochs, values, marker=".", label=level)
        axes.set_ylim(0, 1)
        _finish(axes, f"{METRICS[metric].title}, validation")
    for axes in panels[len(metrics) :]:
        axes.set_axis_off()
    _save(figure, file)


def draw_samples(samples: Samples, hierarchy: Hierarchy, file: Path) -> None:
    """A grid: a picture a row; the image, then truth and prediction at every level.

    The longer sides of all pictures are drawn equally long. Ignored pixels are white in both; a
    group is hatched at the levels where its class is unknown.

    Args:
      samples: `image` uint8 RGB [H, W, 3], `label` and `prediction` uint8 [H, W], of each.
      hierarchy: of the labels.
      file: a .png.
    """
    count = len(samples["image"])
    columns = 1 + 2 * hierarchy.num_levels
    sizes = [label_hw.shape for label_hw in samples["label"]]
    # Inches: a line of titles above the pictures, the legends below.
    rows = _row_heights(sizes)
    width, height = COLUMN * columns, 0.4 + sum(rows) + 1.2
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(count, columns, squeeze=False, height_ratios=rows)
    figure.subplots_adjust(
        left=0.005,
        right=0.995,
        bottom=1.2 / height,
        top=1 - 0.4 / height,
        wspace=0.03,
        hspace=0.03,
    )
    for axes in grid.flat:
        axes.set_axis_off()
    grid[0, 0].set_title("image", fontsize=10)
    shown = without_ignored(samples)
    for row in range(count):
        image = shown["image"][row]
        grid[row, 0].imshow(image)
        for k, level in enumerate(hierarchy.levels):
            for offset, kind in ((1, "label"), (2, "prediction")):
                axes = grid[row, 2 * k + offset]
                axes.imshow(overlaid(image, shown[kind][row], hierarchy, k))
                if row == 0:
                    title = "truth" if kind == "label" else "prediction"
                    axes.set_title(f"{level.name}: {title}", fontsize=10)
    present = np.unique(np.concatenate([np.unique(label) for label in samples["label"]]))
    for k in range(hierarchy.num_levels):
        _legend(figure, hierarchy, k, present)
    finest = min(FINEST, HIGHEST / (100 * height), max(w for _, w in sizes) / (100 * COLUMN))
    _save(figure, file, dpi=100 * max(1.0, finest))


def _row_heights(sizes: Sequence[tuple[int, ...]]) -> list[float]:
    """Inches, for pictures of (height, width) whose longer sides are equal on the page."""
    longest = COLUMN / max(width / max(height, width) for height, width in sizes)
    heights = (longest * height / max(height, width) for height, width in sizes)
    return [min(height, MAX_RATIO * COLUMN) for height in heights]


def without_ignored(samples: Samples) -> dict[str, Sequence[np.ndarray]]:
    """Samples whose predictions are IGNORE_LABEL wherever their labels are."""
    pairs = zip(samples["label"], samples["prediction"], strict=True)
    shown = [np.where(label == IGNORE_LABEL, label, prediction) for label, prediction in pairs]
    return dict(samples) | {"prediction": shown}


def overlaid(
    image_hwc: np.ndarray, label_hw: np.ndarray, hierarchy: Hierarchy, k: int
) -> np.ndarray:
    """Labels in a level's colours over the image, a background dark, ignored pixels white.

    Args:
      image_hwc: uint8 RGB [H, W, 3].
      label_hw: uint8 [H, W].
      hierarchy: of the labels.
      k: the level's number, whose colours they are.

    Returns:
      uint8 RGB [H, W, 3].
    """
    classes_l = hierarchy.labels.classes_kl[k]
    drawn = overlay(image_hwc, label_hw, label_colors(classes_l, hierarchy.background), PHOTO_SHARE)
    drawn[label_hw == IGNORE_LABEL] = 255
    if hierarchy.inner_labels:
        hatch(drawn, image_hwc, label_hw, classes_l)
    return drawn


def _legend(figure: Figure, hierarchy: Hierarchy, k: int, present: np.ndarray) -> None:
    """What a level's colours mean, and those of the groups among the labels that are present."""
    level, labels = hierarchy.levels[k], hierarchy.labels
    colors = class_colors(256, hierarchy.background) / 255
    groups = [
        Patch(facecolor="none", edgecolor=colors[label], hatch="////", label=_short(name))
        for label, name in enumerate(labels.names)
        if labels.classes_kl[k, label] == IGNORE_LABEL and label in present
    ][:6]
    handles = [
        Patch(facecolor=color, label=_short(name))
        for color, name in zip(
            colors[level.foreground], level.class_names[level.foreground], strict=False
        )
    ]
    handles = handles[: 12 - len(groups)] + groups
    center = (0.5 + k) / hierarchy.num_levels
    figure.legend(
        handles=handles,
        title=_short(level.name),
        loc="lower center",
        bbox_to_anchor=(center, 0),
        ncols=2 if len(handles) > 3 else 1,
        fontsize=8,
        title_fontsize=9,
        frameon=False,
    )


def _short(name: str) -> str:
    """So that legends stay beside one another."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _finish(axes: Axes, ylabel: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.locator_params("x", integer=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _save(figure: Figure, file: Path, dpi: float = 100) -> None:
    """Under a temporary name first, so that a viewer never meets half a picture."""
    texts = figure.findobj(Text)
    fonts = find_fonts(text.get_text() for text in texts)
    for text in texts:
        text.set_parse_math(False)  # a name with dollar signs is no formula
        font = fonts.file_for(text.get_text())
        if font != fonts.files[0]:
            properties = text.get_fontproperties().copy()
            properties.set_file(font)
            text.set_fontproperties(properties)
    data = io.BytesIO()
    with warnings.catch_warnings():
        # A line for every letter and size; `Recorder` has said it once.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(data, dpi=dpi, format="png")
    write_atomically(file, data.getvalue())
