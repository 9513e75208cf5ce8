"""Which pictures are kept as best and worst."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.evaluation.extremes import Extremes, image_scores, painted_shares
from hierseg_jax.evaluation.shown_pictures import ShownPicture
from hierseg_jax.evaluation.tables import format_false_alarms


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
    valid = np.ones(len(scores), bool) if valid is None else np.array(valid)
    extremes.add(np.array(confusions), valid)


def pictures_of(scores):
    """Shows pictures that carry their scores, so that a mixed-up one would show."""

    def show(index):
        pixels = np.full((2, 2), scores[index] or 0, np.uint8)
        return ShownPicture(pixels[..., None].repeat(3, -1), pixels, pixels)

    return show


def test_best_and_worst_are_in_order_over_batches():
    extremes = Extremes(2, [f"file{i}" for i in range(8)])
    scores = [50, 90, None, 10], [20, 90, 99, 0]
    add(extremes, scores[0], [True, True, True, True])
    add(extremes, scores[1], [True, True, False, True])
    show = pictures_of(scores[0] + scores[1])
    best, worst = extremes.best(show), extremes.worst(show)
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
    show = pictures_of([None, 50, None, None, 20, None, None, 90])
    assert (extremes.best(show)[0].index, extremes.worst(show)[0].index) == (7, 4)
    assert extremes.best(show)[0].name == ""


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
    pictures = [of(pictures_of(scores)) for of in (extremes.best, extremes.worst)]
    best, worst = ([round(100 * p.score) for p in of_kind] for of_kind in pictures)
    assert len(best) == min(most, (len(scored) + 1) // 2)
    assert len(worst) == min(most, len(scored) // 2)
    assert best == scored[::-1][: len(best)]
    assert worst == scored[: len(worst)]
    assert len({p.index for p in pictures[0] + pictures[1]}) == len(best) + len(worst)


def test_false_alarms_are_pictures_of_background_alone_the_most_painted_first():
    bare = [[[10 - n, n, 0], [0, 0, 0], [0, 0, 0]] for n in (0, 3, 7, 1)]
    thing = [[[5, 5, 0], [0, 1, 0], [0, 0, 0]]]
    unlabelled = [[[0] * 3] * 3]
    confusions = np.array(bare + thing + unlabelled)
    shares = painted_shares(confusions, 0)
    np.testing.assert_allclose(shares, [0, 0.3, 0.7, 0.1, np.nan, np.nan])
    assert np.isnan(painted_shares(confusions, None)).all()
    extremes = Extremes(2, [f"file{i}" for i in range(6)])
    extremes.add(confusions, np.array([True, True, True, True, True, True]))
    found = extremes.false_alarms(pictures_of([0] * 6))
    assert [(p.name, p.score) for p in found] == [("file2", 0.7), ("file1", 0.3)]
    assert len(extremes.worst(pictures_of([0] * 6))) == 0
    told = format_false_alarms(shares)
    assert told.startswith("pictures of background alone: 4; something is painted in 3, on more")
    assert format_false_alarms(None) == format_false_alarms(np.array([np.nan])) == ""
