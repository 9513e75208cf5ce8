"""The page of an evaluated run."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from hierseg_jax.evaluation.evaluate import Evaluation
from hierseg_jax.evaluation.metrics import level_confusions
from hierseg_jax.evaluation.page.commands import evaluate_command, export_commands, run_name
from hierseg_jax.evaluation.page.curves import curves
from hierseg_jax.evaluation.page.extreme_pictures import extreme_pictures
from hierseg_jax.evaluation.page.history import History
from hierseg_jax.evaluation.page.page_tables import (
    class_table,
    confusion_table,
    level_table,
    number,
    settings_list,
)
from hierseg_jax.evaluation.tables import GENERATOR, describe_view, format_tree
from hierseg_jax.reports.document import breakable, escaped, format_document
from hierseg_jax.settings import Settings
from hierseg_jax.tree.hierarchy import Hierarchy

# Pictures of either kind.
EXTREMES = 4
_CONFUSION = (
    "<p>Of the pixels of a true class, a row, the percentage that is predicted as the class of "
    "a column. In bold: what is right.</p>"
)


@dataclasses.dataclass(frozen=True, eq=False)
class RunReport:
    """All that the page tells.

    Attributes:
      metrics: the content of metrics.json, which is the page's source of numbers.
      evaluation: with the confusion matrix, the best and the worst pictures.
      meta: of the checkpoint.
      settings: of its run.
      hierarchy: of its classes.
      history: of its run.
      output: the folder that the page goes to.
      processes: that shared the evaluation.
    """

    metrics: Mapping[str, Any]
    evaluation: Evaluation
    meta: Mapping[str, Any]
    settings: Settings
    hierarchy: Hierarchy
    history: History
    output: pathlib.Path
    processes: int = 1


def format_page(report: RunReport) -> str:
    """The page; every string of the user's is escaped in it."""
    metrics, evaluation, hierarchy = report.metrics, report.evaluation, report.hierarchy
    matrices = level_confusions(evaluation.confusion_cc, hierarchy)
    pairs = list(zip(hierarchy.levels, matrices, strict=True))
    finest = hierarchy.levels[-1]
    classes = "".join(
        class_table(level, metrics["levels"][level.name], matrix, metrics["metrics"])
        for level, matrix in pairs
    )
    sections = {
        "results": ("Results", _results(report)),
        "curves": ("Curves", _curves(report)),
        "classes": ("Classes", f'<div class="columns">{classes}</div>'),
        "confusion": ("Confusion", _CONFUSION + "".join(confusion_table(*pair) for pair in pairs)),
        "pictures": (
            "Worst and best pictures",
            extreme_pictures(evaluation.best, evaluation.worst, finest, report.processes),
        ),
        "commands": ("Commands", _commands(report)),
        "settings": ("Settings", _settings(report)),
    }
    title = f"Run report: {run_name(pathlib.Path(metrics['checkpoint']))}"
    return format_document(
        title, _head(report), sections, skip="Skip to the results", generator=GENERATOR
    )


def _curves(report: RunReport) -> str:
    metrics, levels = report.metrics, report.hierarchy.level_names
    return curves(report.history, levels, metrics["epoch"], metrics["metrics"])


def _head(report: RunReport) -> str:
    m = report.metrics
    epoch = f" of epoch {m['epoch']}" if m["epoch"] else ""
    head = "hierarchical" if m["hierarchical"] else "flat"
    numbers = "".join(
        f"<li><b>{number(of['miou'])}</b> mIoU, {escaped(name)}</li>"
        for name, of in m["levels"].items()
    )
    return (
        f"<p>{escaped(m['model'])}{epoch}, {head} head, on the split {escaped(m['task'])} of "
        f'<span class="file">{breakable(m["data"])}</span>: {m["images"]:,} '
        f"{escaped(describe_view(m))}</p>\n"
        f'<p class="file soft">{escaped(m["checkpoint"])}</p>\n'
        f'<ul class="figures">{numbers}</ul>'
    )


def _results(report: RunReport) -> str:
    lines = [f"loss: {number(report.metrics['loss'])}"]
    lines += format_tree(report.evaluation.tree).splitlines()
    items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    return (
        f"{level_table(report.metrics['levels'], report.metrics['metrics'])}"
        f'<div class="card"><ul class="items plain">{items}</ul><p class="soft">All means leave '
        "the background out, but for mean accuracy and the frequency-weighted IoU. mIoU is over "
        "the one confusion matrix of all images; the reference's averages over images and counts "
        "a class that an image lacks as 0. A dash is undefined.</p></div>"
    )


def _commands(report: RunReport) -> str:
    settings = report.settings
    blocks = [("Evaluate again", evaluate_command(report.metrics, settings, report.output))]
    reference, deploy = export_commands(report.metrics, settings)
    blocks += [
        ("Export to ONNX: probabilities of images in [0, 1]", reference),
        ("Export to ONNX: label maps of uint8 frames", deploy),
    ]
    return (
        '<div class="card">'
        + "".join(
            f"<h3>{escaped(title)}</h3><pre>{_lines(command)}</pre>" for title, command in blocks
        )
        + '<p class="soft">Relative paths are seen from where the evaluation ran.</p></div>'
    )


def _lines(command: list[str]) -> str:
    return " \\\n  ".join(map(escaped, command))


def _settings(report: RunReport) -> str:
    meta = report.meta
    facts = {
        key: meta[key] for key in ("step", "val_loss", "cpu_threads", "platform") if key in meta
    }
    facts |= {f"version of {name}": of for name, of in dict(meta.get("versions") or {}).items()}
    facts = {key: value for key, value in facts.items() if value is not None}
    return (
        f'<div class="card"><h3>Checkpoint</h3>{settings_list(facts)}</div>'
        '<div class="card"><details open><summary>Config of the run</summary>'
        f"{settings_list(report.settings.flat())}</details></div>"
    )
