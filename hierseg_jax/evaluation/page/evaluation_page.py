"""The page of an evaluated run, or of an exported file."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hierseg_jax.evaluation.confusions import labelled_confusions
from hierseg_jax.evaluation.evaluation_files import GENERATOR
from hierseg_jax.evaluation.page.commands import (
    Command,
    evaluate_command,
    export_commands,
    file_commands,
    larger_command,
    run_name,
)
from hierseg_jax.evaluation.page.confusion import confusion_table
from hierseg_jax.evaluation.page.curves import LOSS, Points, curves, line_plot
from hierseg_jax.evaluation.page.extreme_pictures import extreme_pictures
from hierseg_jax.evaluation.page.history import History
from hierseg_jax.evaluation.result import Evaluation
from hierseg_jax.evaluation.tables import describe_view, lines_beside, unlabelled_levels
from hierseg_jax.reports.templates import render
from hierseg_jax.settings import Settings
from hierseg_jax.settings.metric_choice import METRICS
from hierseg_jax.tree.hierarchy import Hierarchy

# Pictures of either kind.
EXTREMES = 4
# The others are folded away.
_FIRST_PLOTS = 2
# Epochs in the table of all.
_MOST_ROWS = 200


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationReport:
    """All that the page tells.

    Attributes:
      metrics: the content of metrics.json, which is the page's source of numbers.
      evaluation: with the confusion matrix, the best and the worst pictures.
      meta: of the checkpoint; of a file the metrics themselves.
      settings: of its run; None of a file.
      hierarchy: of its classes.
      history: of its run; None of a file.
      output: the folder that the page goes to.
      processes: that shared the evaluation.
    """

    metrics: Mapping[str, Any]
    evaluation: Evaluation
    meta: Mapping[str, Any]
    settings: Settings | None
    hierarchy: Hierarchy
    history: History | None
    output: pathlib.Path
    processes: int = 1


def format_page(report: EvaluationReport) -> str:
    """The page; every string of the user's is escaped in it."""
    metrics, evaluation = report.metrics, report.evaluation
    hierarchy = dataclasses.replace(report.hierarchy, inner_labels=evaluation.inner_labels)
    matrices = labelled_confusions(evaluation.confusion_cc, hierarchy)
    pairs = list(zip(hierarchy.levels, matrices, strict=True))
    columns = [METRICS[metric] for metric in metrics["metrics"]]
    history = report.history or History(())
    drawn = curves(history, hierarchy.level_names, metrics["metrics"])
    plots = _plots(drawn, metrics)
    rows = history.rows[-_MOST_ROWS:]
    return render(
        "evaluation/page/evaluation_page.html",
        generator=GENERATOR,
        name=run_name(pathlib.Path(metrics["checkpoint"])),
        metrics=metrics,
        view=describe_view(metrics),
        columns=columns,
        class_titles=[
            "IoU" if column.classes == "iou" else column.title
            for column in columns
            if column.classes
        ],
        inner_labels=evaluation.inner_labels,
        background=hierarchy.background,
        data_sets=[
            (name, metrics["datasets"][name], unlabelled_levels(of, hierarchy.level_names))
            for name, of in evaluation.data_sets.items()
        ],
        lines=lines_beside(evaluation, hierarchy, metrics),
        plots=dict(plots[:_FIRST_PLOTS]),
        more_plots=dict(plots[_FIRST_PLOTS:]),
        epochs=[row["epoch"] for row in rows],
        epochs_left_out=len(history.rows) - len(rows),
        epoch_columns={
            f"{name} loss" if title == LOSS else f"{title}, {name}": dict(of)
            for title, series in drawn.items()
            for name, of in series.items()
        },
        of_run=report.settings is not None,
        no_curves=history.reason,
        pixel_shares=[(level, _pixel_shares(matrix)) for level, matrix in pairs],
        confusion_tables=[confusion_table(*pair) for pair in pairs],
        pictures=extreme_pictures(
            evaluation.best,
            evaluation.worst,
            evaluation.false_alarms,
            hierarchy,
            report.processes,
        ),
        commands=_commands(report),
        facts=_facts(report.meta),
        config=report.settings.flat() if report.settings else {},
    )


def _plots(
    drawn: Mapping[str, Mapping[str, Points]], metrics: Mapping[str, Any]
) -> list[tuple[str, tuple[Mapping[str, Points], str]]]:
    """(title, lines and plot): the first metric, the loss, and then the other metrics."""
    titles = [METRICS[metric].title for metric in metrics["metrics"]]
    ordered = [title for title in (*titles[:1], LOSS, *titles[1:]) if title in drawn]
    plots = []
    for title in ordered:
        name = title if title == LOSS else f"{title} on the validation split"
        plots.append((name, (drawn[title], line_plot(name, drawn[title], metrics["epoch"]))))
    return plots


def _pixel_shares(confusion_ll: np.ndarray) -> list[float]:
    """Of every class, a row, among all labelled pixels."""
    labelled_l = confusion_ll.sum(1)
    return (labelled_l / max(1, labelled_l.sum())).tolist()


def _commands(report: EvaluationReport) -> dict[str, Command]:
    settings = report.settings
    if settings is None:
        return file_commands(report.metrics, report.output)
    deploy, reference = export_commands(report.metrics, settings)
    larger = larger_command(report.metrics, settings)
    return {
        "Evaluate again": evaluate_command(report.metrics, settings, report.output),
        **({"Perhaps better, at a larger size": larger} if larger else {}),
        "Export to ONNX: label maps of uint8 frames": deploy,
        "Export to ONNX: probabilities of images in [0, 1]": reference,
    }


def _facts(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the checkpoint besides its settings."""
    keys = ("step", "val_loss", "cpu_threads", "platform", "contract", "precision")
    facts = {key: meta.get(key) for key in keys}
    facts |= {f"version of {name}": of for name, of in dict(meta.get("versions") or {}).items()}
    return {key: value for key, value in facts.items() if value is not None}
