"""Tables of an evaluation: levels, classes, and confusion matrices as heat."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hierseg_jax.reports.document import breakable, escaped
from hierseg_jax.reports.inline_pictures import class_name, css_colors
from hierseg_jax.settings.metric_choice import METRICS
from hierseg_jax.tree.hierarchy import Level

# Classes of a confusion matrix that still can be read.
MOST_CLASSES = 30


def level_table(levels: Mapping[str, Mapping[str, Any]], shown: Sequence[str]) -> str:
    """Means of every level.

    Args:
      levels: as in metrics.json.
      shown: of `metric_choice.METRICS`.
    """
    columns = [METRICS[metric] for metric in shown]
    rows = [
        (breakable(name), [number(of[column.mean]) for column in columns])
        for name, of in levels.items()
    ]
    return _table("Levels", "level", [column.title for column in columns], rows)


def class_table(
    level: Level, metrics: Mapping[str, Any], confusion_ll: np.ndarray, shown: Sequence[str]
) -> str:
    """Every class of a level.

    Args:
      level: of the tree.
      metrics: of the level, as in metrics.json.
      confusion_ll: integer [L, L], rows true; for the share of labelled pixels.
      shown: of `metric_choice.METRICS`; those without numbers of classes are left out.
    """
    columns = [METRICS[metric] for metric in shown if METRICS[metric].classes]
    labelled_l = confusion_ll.sum(1)
    share_l = labelled_l / max(1, labelled_l.sum())
    rows = [
        (
            class_name(color, name),
            [number(metrics[column.classes][name]) for column in columns] + [f"{share:.2%}"],
        )
        for color, name, share in zip(
            css_colors(level.num_classes), level.class_names, share_l.tolist(), strict=True
        )
    ]
    titles = ["IoU" if column.classes == "iou" else column.title for column in columns]
    return _table(f"Classes of level {level.name}", "class", [*titles, "pixels"], rows)


def confusion_table(level: Level, confusion_ll: np.ndarray) -> str:
    """What becomes of the pixels of every class, in percent.

    Args:
      level: of the tree.
      confusion_ll: integer [L, L], rows true.
    """
    shown = shown_classes(confusion_ll)
    labelled_l = confusion_ll.sum(1)
    names = level.class_names
    body = []
    for true in shown:
        cells = []
        for predicted in shown:
            if labelled_l[true] == 0:
                cells.append("<td>–</td>")
                continue
            share = 100 * confusion_ll[true, predicted] / labelled_l[true]
            right = ' class="right"' if true == predicted else ""
            text = f"{share:.1f}" if confusion_ll[true, predicted] else "0"
            cells.append(f'<td{right} style="--share:{share:.1f}%">{text}</td>')
        body.append(f'<tr><th scope="row">{breakable(names[true])}</th>{"".join(cells)}</tr>')
    head = "".join(f'<th scope="col"><span>{escaped(names[i])}</span></th>' for i in shown)
    left_out = level.num_classes - len(shown)
    note = (
        f'<p class="soft">Of {level.num_classes} classes the {MOST_CLASSES} with the most labelled '
        f"pixels are shown; pixels predicted as one of the other {left_out} are missing from the "
        "rows, which then sum to less than 100.</p>"
        if left_out
        else ""
    )
    label = escaped(f"Confusion matrix of level {level.name}")
    return (
        f'<div class="card"><h3>Level {escaped(level.name)}</h3>{note}'
        f'{_scroll(f"Level {level.name}")}<table class="heat" aria-label="{label}">'
        f'<thead><tr><th scope="col">true</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div></div>"
    )


def shown_classes(confusion_ll: np.ndarray) -> list[int]:
    """In order, all classes, or the background and those with the most labelled pixels."""
    labelled_l = confusion_ll.sum(1).tolist()
    frequent = sorted(range(1, len(labelled_l)), key=lambda i: (-labelled_l[i], i))
    return sorted([0, *frequent[: MOST_CLASSES - 1]])


def settings_list(values: Mapping[str, Any]) -> str:
    """Keys, which may be dotted, and values."""
    rows = "".join(
        f'<div><dt class="file">{breakable(key)}</dt>'
        f'<dd class="file">{breakable(str(value)) if value != "" else "–"}</dd></div>'
        for key, value in sorted(values.items())
    )
    return f'<dl class="settings">{rows}</dl>'


def number(value: float | None) -> str:
    """As the table for the screen shows it; what is undefined is a dash."""
    return "–" if value is None else f"{value:.4f}"


def _table(
    caption: str, first: str, columns: Sequence[str], rows: Sequence[tuple[str, list[str]]]
) -> str:
    """A table of numbers that scrolls in its own box; the rows' names are HTML."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    return (
        f'<div class="card">{_scroll(caption)}<table class="numbers">'
        f"<caption>{escaped(caption)}</caption>"
        f'<thead><tr><th scope="col">{first}</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></div>"
    )


def _scroll(label: str) -> str:
    """Opens a box that a wide table moves in; the keyboard reaches it."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(label)}">'
