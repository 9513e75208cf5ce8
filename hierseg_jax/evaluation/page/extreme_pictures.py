"""The pictures that were segmented best and worst: truth, prediction, and what is wrong."""

from collections.abc import Collection, Sequence

import cv2
import numpy as np

from hierseg_jax.evaluation.extremes import ScoredPicture
from hierseg_jax.reports.drawing.overlay import overlaid
from hierseg_jax.reports.inline_pictures import Picture, data_uri
from hierseg_jax.reports.templates import render
from hierseg_jax.tree.colors import IGNORED, css_color
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy
from hierseg_jax.tree.labels import Labels

_WRONG = (229, 30, 80)


def extreme_pictures(
    best: Sequence[ScoredPicture],
    worst: Sequence[ScoredPicture],
    false_alarms: Sequence[ScoredPicture],
    hierarchy: Hierarchy,
    processes: int,
) -> str:
    """All kinds, and what the colours mean, as HTML.

    Args:
      best, worst, false_alarms: the most extreme first.
      hierarchy: of the labels; the classes of its finest level are predicted.
      processes: that shared the evaluation; each saw only its part.
    """
    shown = [*best, *worst, *false_alarms]
    drawn = set().union(*(np.unique(m).tolist() for s in shown for m in (s.label, s.prediction)))
    return render(
        "evaluation/page/extreme_pictures.html",
        worst=[_figure(scored, hierarchy) for scored in worst],
        best=[_figure(scored, hierarchy) for scored in best],
        false_alarms=[_figure(scored, hierarchy) for scored in false_alarms],
        level=hierarchy.levels[-1],
        present=drawn,
        inner_labels=hierarchy.inner_labels,
        groups=_groups(hierarchy.labels, drawn),
        processes=processes,
        wrong=css_color(_WRONG),
        ignored=css_color(IGNORED) if IGNORE_LABEL in drawn else "",
    )


def wrong_pixels(
    label_hw: np.ndarray, prediction_hw: np.ndarray, labels: Labels | None = None
) -> np.ndarray:
    """Where the prediction contradicts the truth; pixels that lack either are left out.

    Args:
      label_hw, prediction_hw: uint8 [H, W], labels and leaf classes.
      labels: where groups are among them.

    Returns:
      bool [H, W].
    """
    known_hw = (label_hw != IGNORE_LABEL) & (prediction_hw != IGNORE_LABEL)
    if labels is None:
        return known_hw & (label_hw != prediction_hw)
    wrong_hw = np.zeros_like(known_hw)
    wrong_hw[known_hw] = ~labels.leaves_lc[label_hw[known_hw], prediction_hw[known_hw]]
    return wrong_hw


def _groups(labels: Labels, drawn: Collection[int]) -> list[tuple[str, str]]:
    """Colour and name of those that are hatched in a picture."""
    colors = labels.colors.tolist()
    inner = np.flatnonzero(labels.are_inner_l).tolist()
    return [(css_color(colors[i]), labels.names[i]) for i in inner if i in drawn]


def _figure(scored: ScoredPicture, hierarchy: Hierarchy) -> tuple[str, float, list[Picture]]:
    """Name, score, and the picture in four ways."""
    labels, finest = hierarchy.labels, hierarchy.num_levels - 1
    image, label = scored.image, scored.label
    # What a network makes of pixels without a label is of no interest.
    prediction = np.where(label == IGNORE_LABEL, label, scored.prediction)
    wrong_hw = wrong_pixels(label, prediction, labels if hierarchy.inner_labels else None)
    share = wrong_hw.sum() / max(1, (prediction != IGNORE_LABEL).sum())
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2 + 64
    wrong = np.where(wrong_hw[..., None], np.array(_WRONG, np.uint8), grey)
    name = scored.name or f"picture {scored.index}"
    truth, predicted = (_classes(label_hw, hierarchy) for label_hw in (label, prediction))
    over_truth, over_prediction = (
        overlaid(image, label_hw, hierarchy, finest) for label_hw in (label, prediction)
    )
    drawn = (
        (image, f"Photograph {name}", "photograph"),
        (over_truth, f"Truth of {name}: {truth}", "truth"),
        (over_prediction, f"Prediction for {name}: {predicted}", "prediction"),
        (wrong, f"Wrong pixels of {name}: {share:.1%}", f"wrong: {share:.1%}"),
    )
    pictures = [Picture(data_uri(array), alt, caption) for array, alt, caption in drawn]
    return name, scored.score, pictures


def _classes(label_hw: np.ndarray, hierarchy: Hierarchy) -> str:
    """Names of the labels in a map, without a background."""
    names = hierarchy.labels.names
    shown = range(len(names))[hierarchy.foreground]
    present = [names[i] for i in np.unique(label_hw).tolist() if i in shown]
    return ", ".join(present) or ("none" if hierarchy.background is None else "background alone")
