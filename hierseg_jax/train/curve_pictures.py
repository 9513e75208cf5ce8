"""Curves of a run over its epochs."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from hierseg_jax.settings.metric_choice import METRICS
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.system.fonts import find_fonts


def draw_loss(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Training and validation loss over epochs."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = [row["epoch"] for row in rows]
    for key, label in (("train_loss", "training"), ("val_loss", "validation")):
        axes.plot(epochs, [row[key] for row in rows], marker=".", label=label)
    axes.set_title("loss", fontsize=11)
    _finish(axes)
    axes.legend(frameon=False)
    _save(figure, file)


def draw_metrics(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """The metrics of the last row over epochs, a panel each, a line for every level."""
    levels = rows[-1]["levels"]
    metrics = tuple(next(iter(levels.values())))
    columns = min(3, len(metrics))
    lines = -(-len(metrics) // columns)
    figure = Figure(figsize=(max(8, 5 * columns), 3.8 * lines + 0.7))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    panels = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    epochs = [row["epoch"] for row in rows]
    for axes, metric in zip(panels, metrics, strict=False):
        for level in levels:
            # Rows of a run that had other metrics before lack some.
            values = [row["levels"].get(level, {}).get(metric) for row in rows]
            values = [float("nan") if value is None else value for value in values]
            axes.plot(epochs, values, marker=".", label=level)
        axes.set_ylim(0, 1)
        axes.set_title(f"{METRICS[metric].title}, validation", fontsize=11)
        _finish(axes)
    for axes in panels[len(metrics) :]:
        axes.set_axis_off()
    handles, names = panels[0].get_legend_handles_labels()
    columns = min(6, len(names))
    figure.legend(handles, names, loc="outside upper center", ncols=columns, frameon=False)
    _save(figure, file)


def _finish(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.locator_params("x", integer=True)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, file: Path) -> None:
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
        figure.savefig(data, dpi=100, format="png")
    write_atomically(file, data.getvalue())
