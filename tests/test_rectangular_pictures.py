"""Samples and reports of pictures that are no squares, with the bars of a letterbox."""

import base64
import re

import cv2
import numpy as np
import pytest

from hierseg_jax.evaluation.extremes import ScoredPicture
from hierseg_jax.evaluation.page.extreme_pictures import extreme_pictures
from hierseg_jax.train.sample_pictures import draw_samples
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

LEVEL = PASCAL_PERSON_PART.levels[-1]


@pytest.mark.parametrize(("size", "high"), [((32, 96), 63), ((64, 64), 190), ((96, 48), 380)])
def test_a_row_of_samples_is_as_high_as_its_pictures(tmp_path, size, high):
    image = np.zeros((3, *size, 3), np.uint8)
    label = np.zeros((3, *size), np.uint8)
    samples = {"image": image, "label": label, "prediction": label}
    draw_samples(samples, PASCAL_PERSON_PART, tmp_path / "a.png")
    drawn = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE)
    # Hardly anything but narrow gaps is paper between the titles and the legends.
    black = np.flatnonzero((drawn == 0).mean(1) > 0.9)
    assert len(black) == 3 * high
    assert black[-1] - black[0] + 1 <= 3 * high + 2 * 4
    assert drawn.shape[0] < 3 * high + 160


def images_of(html):
    """By the first word of their alternative texts."""
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)" alt="(\w+)', html)
    return {
        word: cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        for data, word in found
    }


def test_a_report_tells_bars_from_what_was_predicted():
    label, prediction = np.full((40, 96), 255, np.uint8), np.full((40, 96), 3, np.uint8)
    label[:, 24:72], prediction[:, 48:] = 2, 5
    image = np.full((40, 96, 3), 128, np.uint8)
    html = extreme_pictures(
        [], [ScoredPicture(0, "a", 0.5, image, label, prediction)], [], PASCAL_PERSON_PART, 1
    )
    images = images_of(html)
    assert {drawn.shape for drawn in images.values()} == {(40, 96, 3)}
    truth, predicted = images["Truth"].astype(int), images["Prediction"].astype(int)
    for bar in (np.s_[4:36, 4:16], np.s_[4:36, 80:92]):
        np.testing.assert_allclose(predicted[bar], truth[bar], atol=8)
        assert truth[bar].min() > 140
        np.testing.assert_allclose(images["Wrong"][bar], 128, atol=8)
    assert np.abs(predicted - truth)[4:36, 32:64].max(-1).min() > 30
    assert f"Prediction for a: {LEVEL.class_names[3]}, {LEVEL.class_names[5]}" in html
    assert "wrong: 100.0%" in html
