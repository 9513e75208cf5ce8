"""The pictures that were segmented best and worst: truth, prediction, and what is wrong."""

from collections.abc import Sequence

import cv2
import numpy as np

from hierseg_jax.evaluation.extremes import ScoredPicture
from hierseg_jax.reports.document import escaped
from hierseg_jax.reports.inline_pictures import (
    data_uri,
    legend,
    overlay,
    picture,
    shrink_image,
    shrink_labels,
)
from hierseg_jax.tree.colors import class_colors
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Level

_WRONG = (229, 30, 80)


def extreme_pictures(
    best: Sequence[ScoredPicture], worst: Sequence[ScoredPicture], level: Level, processes: int
) -> str:
    """Both kinds, and what the colours mean.

    Args:
      best, worst: the most extreme first.
      level: the finest, whose classes are the labels'.
      processes: that shared the evaluation; each saw only its part.
    """
    if not best and not worst:
        return '<p class="card">No picture has labelled pixels other than background.</p>'
    share = (
        f" They are of the share that one of {processes} processes evaluated."
        if processes > 1
        else ""
    )
    parts = [
        f"<p>By the mean IoU over the classes of level {escaped(level.name)} that a picture has, "
        f"background left out; pictures of background alone do not count.{share} Wrong pixels "
        f"are {_swatch(_WRONG)}red; ignored ones, the bars of a letterbox among them, are "
        f"{_swatch(class_colors(256)[IGNORE_LABEL].tolist())}pale in truth and prediction.</p>",
        legend(level),
    ]
    for title, pictures in (("Worst", worst), ("Best", best)):
        if pictures:
            parts.append(f"<h3>{title}</h3>")
            parts += [_figure(scored, level) for scored in pictures]
    return "\n".join(parts)


def wrong_pixels(label_hw: np.ndarray, prediction_hw: np.ndarray) -> np.ndarray:
    """Where the prediction is not the truth, ignored pixels left out: bool [H, W]."""
    return (label_hw != prediction_hw) & (label_hw != IGNORE_LABEL)


def _swatch(color: Sequence[int]) -> str:
    return '<span class="swatch" style="background:#{:02x}{:02x}{:02x}"></span>'.format(*color)


def _figure(scored: ScoredPicture, level: Level) -> str:
    image = shrink_image(scored.image)
    # What a network makes of a letterbox's bars is of no interest.
    counted_prediction = np.where(
        scored.label == IGNORE_LABEL, np.uint8(IGNORE_LABEL), scored.prediction
    )
    label, prediction = shrink_labels(scored.label), shrink_labels(counted_prediction)
    counted = (scored.label != IGNORE_LABEL).sum()
    share = wrong_pixels(scored.label, scored.prediction).sum() / max(1, counted)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2 + 64
    wrong = np.where(wrong_pixels(label, prediction)[..., None], np.uint8(_WRONG), grey)
    name = scored.name or f"picture {scored.index}"
    pictures = [
        picture(data_uri(image), f"Photograph {name}", "photograph"),
        picture(
            data_uri(overlay(image, label, level)),
            f"Truth of {name}: {_classes(scored.label, level)}",
            "truth",
        ),
        picture(
            data_uri(overlay(image, prediction, level)),
            f"Prediction for {name}: {_classes(counted_prediction, level)}",
            "prediction",
        ),
        picture(
            data_uri(wrong.astype(np.uint8)),
            f"Wrong pixels of {name}: {share:.1%}",
            f"wrong: {share:.1%}",
        ),
    ]
    return (
        f'<figure class="card"><figcaption><span class="file">{escaped(name)}</span>: mean IoU '
        f'{scored.score:.4f}</figcaption><div class="pictures">{"".join(pictures)}</div></figure>'
    )


def _classes(label_hw: np.ndarray, level: Level) -> str:
    """Names of the classes in a map, without the background."""
    present = np.unique(label_hw)
    names = [level.class_names[i] for i in present.tolist() if 0 < i < level.num_classes]
    return ", ".join(names) or "background alone"
