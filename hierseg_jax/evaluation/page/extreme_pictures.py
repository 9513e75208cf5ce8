"""The pictures that were segmented best and worst: truth, prediction, and what is wrong."""

from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.evaluation.extremes import ScoredPicture
from hierseg_jax.reports.inline_pictures import Picture, data_uri, overlaid
from hierseg_jax.reports.templates import render
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Level

_WRONG = (229, 30, 80)


def extreme_pictures(
    best: Sequence[ScoredPicture], worst: Sequence[ScoredPicture], level: Level, processes: int
) -> str:
    """Both kinds, and what the colours mean, as HTML.

    Args:
      best, worst: the most extreme first.
      level: the finest, whose classes are the labels'.
      processes: that shared the evaluation; each saw only its part.
    """
    return render(
        "evaluation/page/extreme_pictures.html",
        worst=[_figure(scored, level) for scored in worst],
        best=[_figure(scored, level) for scored in best],
        level=level,
        processes=processes,
        wrong="#{:02x}{:02x}{:02x}".format(*_WRONG),
    )


def wrong_pixels(label_hw: np.ndarray, prediction_hw: np.ndarray) -> np.ndarray:
    """Where the prediction is not the truth; pixels that lack either are left out: bool [H, W]."""
    known_hw = (label_hw != IGNORE_LABEL) & (prediction_hw != IGNORE_LABEL)
    return known_hw & (label_hw != prediction_hw)


def _figure(scored: ScoredPicture, level: Level) -> tuple[str, float, list[Picture]]:
    """Name, score, and the picture in four ways."""
    image, label = scored.image, scored.label
    # What a network makes of pixels without a label is of no interest.
    prediction = np.where(label == IGNORE_LABEL, label, scored.prediction)
    wrong_hw = wrong_pixels(label, prediction)
    share = wrong_hw.sum() / max(1, (prediction != IGNORE_LABEL).sum())
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2 + 64
    wrong = np.where(wrong_hw[..., None], np.array(_WRONG, np.uint8), grey)
    name = scored.name or f"picture {scored.index}"
    truth, predicted = _classes(label, level), _classes(prediction, level)
    drawn = (
        (image, f"Photograph {name}", "photograph"),
        (overlaid(image, label, level), f"Truth of {name}: {truth}", "truth"),
        (overlaid(image, prediction, level), f"Prediction for {name}: {predicted}", "prediction"),
        (wrong, f"Wrong pixels of {name}: {share:.1%}", f"wrong: {share:.1%}"),
    )
    pictures = [Picture(data_uri(array), alt, caption) for array, alt, caption in drawn]
    return name, scored.score, pictures


def _classes(label_hw: np.ndarray, level: Level) -> str:
    """Names of the classes in a map, without the background."""
    present = np.unique(label_hw)
    names = [level.class_names[i] for i in present.tolist() if 0 < i < level.num_classes]
    return ", ".join(names) or "background alone"
