"""Which pictures are kept as best and worst."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.evaluation.extremes import Extremes, image_scores


def confusion(*rows):
    return np.array([rows])


def test_a_score_is_the_mean_iou_of_the_classes_that_a_picture_has():
    # Class 1: 6 right, 2 missed, 1 of the background too many; class 2: none right;
    # class 3 is not there, and predicted once.
    score = image_scores(confusion([9, 1, 0, 0], [2, 6, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]))
    assert score == pytest.approx([(6 / 9 + 0) / 2])


def test_a_picture_of_background_alone_has_no_score():
    assert np.isnan(image_scores(confusion([8, 1], [0, 0]))).all()
    assert image_scores(np.zeros((0, 3, 3))).shape == (0,)


def add(extremes, scores, valid=None):
    """Pictures with these scores, in hundredths; None is one of background alone."""
    confusions = [[[5, 0], [0, 0]] if s is None else [[5, 0], [100 - s, s]] for s in scores]
    count = len(scores)
    # A picture carries its score, so that a mixed-up one would show.
    pixels = np.array([s or 0 for s in scores], np.uint8)[:, None, None] * np.ones((1, 2, 2))
    pixels = pixels.astype(np.uint8)
    valid = np.ones(count, bool) if valid is None else np.array(valid)
    extremes.add(np.array(confusions), pixels[..., None].repeat(3, -1), pixels, pixels, valid)


def test_best_and_worst_are_in_order_over_batches():
    extremes = Extremes(2, [f"file{i}" for i in range(8)])
    add(extremes, [50, 90, None, 10], [True, True, True, True])
    add(extremes, [20, 90, 99, 0], [True, True, False, True])
    best, worst = extremes.best(), extremes.worst()
    assert [(p.name, p.index, round(100 * p.score)) for p in best] == [
        ("file1", 1, 90),
        ("file5", 5, 90),
    ]
    assert [(p.name, p.index, round(100 * p.score)) for p in worst] == [
        ("file7", 7, 0),
        ("file3", 3, 10),
    ]
    for picture in best + worst:
        for array in (picture.image, picture.label, picture.prediction):
            assert (array == round(100 * picture.score)).all()


def test_a_process_counts_its_own_share():
    extremes = Extremes(1, first=1, stride=3)
    add(extremes, [50, 20, 90])
    assert (extremes.best()[0].index, extremes.worst()[0].index) == (7, 4)
    assert extremes.best()[0].name == ""


@given(
    scores=st.lists(st.none() | st.integers(0, 100), max_size=12),
    most=st.integers(1, 4),
    cut=st.integers(0, 12),
)
def test_few_are_kept_none_twice_and_none_left_is_more_extreme(scores, most, cut):
    extremes = Extremes(most)
    for part in (scores[:cut], scores[cut:]):
        if part:
            add(extremes, part)
    scored = sorted(s for s in scores if s is not None)
    best = [round(100 * p.score) for p in extremes.best()]
    worst = [round(100 * p.score) for p in extremes.worst()]
    assert len(best) == min(most, (len(scored) + 1) // 2)
    assert len(worst) == min(most, len(scored) // 2)
    assert best == scored[::-1][: len(best)]
    assert worst == scored[: len(worst)]
    assert len({p.index for p in extremes.best() + extremes.worst()}) == len(best) + len(worst)
