"""The pictures that were segmented best and worst: truth, prediction, and what is wrong."""

from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.evaluation.extremes import ScoredPicture
from hierseg_jax.reports.inline_pictures import Picture, data_uri, overlaid
from hierseg_jax.reports.templates import render
from hierseg_jax.tree.colors import css_colors
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Level
from hierseg_jax.tree.labels import Labels

_WRONG = (229, 30, 80)


def extreme_pictures(
    best: Sequence[ScoredPicture],
    worst: Sequence[ScoredPicture],
    level: Level,
    processes: int,
    labels: Labels | None = None,
) -> str:
    """Both kinds, and what the colours mean, as HTML.

    Args:
      best, worst: the most extreme first.
      level: the finest, whose classes are predicted.
      processes: that shared the evaluation; each saw only its part.
      labels: where groups are among them.
    """
    return render(
        "evaluation/page/extreme_pictures.html",
        worst=[_figure(scored, level, labels) for scored in worst],
        best=[_figure(scored, level, labels) for scored in best],
        level=level,
        inner_labels=labels is not None,
        groups=[] if labels is None else _groups(labels, [*best, *worst], level.background),
        processes=processes,
        wrong="#{:02x}{:02x}{:02x}".format(*_WRONG),
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


def _groups(
    labels: Labels, shown: Sequence[ScoredPicture], background: int | None
) -> list[tuple[str, str]]:
    """Colour and name of those that are hatched in a picture."""
    present = set().union(*(np.unique(scored.label).tolist() for scored in shown))
    colors = css_colors(256, background)
    inner = np.flatnonzero(labels.are_inner_l).tolist()
    return [(colors[i], labels.names[i]) for i in inner if i in present]


def _figure(
    scored: ScoredPicture, level: Level, labels: Labels | None
) -> tuple[str, float, list[Picture]]:
    """Name, score, and the picture in four ways."""
    image, label = scored.image, scored.label
    # What a network makes of pixels without a label is of no interest.
    prediction = np.where(label == IGNORE_LABEL, label, scored.prediction)
    wrong_hw = wrong_pixels(label, prediction, labels)
    share = wrong_hw.sum() / max(1, (prediction != IGNORE_LABEL).sum())
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2 + 64
    wrong = np.where(wrong_hw[..., None], np.array(_WRONG, np.uint8), grey)
    name = scored.name or f"picture {scored.index}"
    names = level.class_names if labels is None else labels.names
    classes_l = None if labels is None else labels.classes_kl[-1]
    truth, predicted = _classes(label, names, level), _classes(prediction, names, level)
    drawn = (
        (image, f"Photograph {name}", "photograph"),
        (overlaid(image, label, level, classes_l), f"Truth of {name}: {truth}", "truth"),
        (overlaid(image, prediction, level), f"Prediction for {name}: {predicted}", "prediction"),
        (wrong, f"Wrong pixels of {name}: {share:.1%}", f"wrong: {share:.1%}"),
    )
    pictures = [Picture(data_uri(array), alt, caption) for array, alt, caption in drawn]
    return name, scored.score, pictures


def _classes(label_hw: np.ndarray, names: Sequence[str], level: Level) -> str:
    """Names of the labels in a map, without a background."""
    shown = range(len(names))[level.foreground]
    present = [names[i] for i in np.unique(label_hw).tolist() if i in shown]
    return ", ".join(present) or ("none" if level.background is None else "background alone")
