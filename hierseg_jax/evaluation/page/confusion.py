"""Confusion matrices as heat."""

import numpy as np

from hierseg_jax.reports.templates import render
from hierseg_jax.tree.background import foreground
from hierseg_jax.tree.level import Level

# Classes of a confusion matrix that still can be read.
MOST_CLASSES = 30


def confusion_table(level: Level, confusion_ll: np.ndarray) -> str:
    """What becomes of the pixels of every class, in percent, as HTML.

    Args:
      level: of the tree.
      confusion_ll: integer [L, L], rows true.
    """
    shown = sorted(shown_classes(confusion_ll, level.background), key=level.in_tree_order.index)
    labelled_l = confusion_ll.sum(1)
    rows = []
    for true in shown:
        counts = confusion_ll[true, shown].tolist()
        total = int(labelled_l[true])
        rows.append((level.class_names[true], [100 * n / total if total else None for n in counts]))
    return render(
        "evaluation/page/confusion.html",
        level=level,
        rows=rows,
        labelled=confusion_ll.any(),
        left_out=level.num_classes - len(shown),
    )


def shown_classes(confusion_ll: np.ndarray, background: int | None = 0) -> list[int]:
    """In order, all classes, or a background and those with the most labelled pixels."""
    labelled_l = confusion_ll.sum(1).tolist()
    outside = [] if background is None else [background]
    others = range(len(labelled_l))[foreground(background)]
    frequent = sorted(others, key=lambda i: (-labelled_l[i], i))
    return sorted([*outside, *frequent[: MOST_CLASSES - len(outside)]])
