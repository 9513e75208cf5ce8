"""Where pixels were in the frame before, on drawn frames whose motion is known."""

import cv2
import numpy as np
import pytest

from hierseg_jax.runtime.motion import agreement, grey_frame, motion, moved
from hierseg_jax.runtime.smoothing import CUT
from tests.moving_scenes import moved_by, scene

SIZE = (54, 96)
INSIDE = slice(10, -10), slice(10, -10)


def grey(seed=0, size=SIZE, **others):
    return cv2.cvtColor(scene(seed, size, **others), cv2.COLOR_RGB2GRAY)


def agreeing(before_hw, now_hw):
    return agreement(now_hw, motion(before_hw, now_hw).trust_hw)


@pytest.mark.parametrize("by", [(0, 0), (1, 0), (0, -2), (3, 4), (-5, 6)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel(by):
    found = motion(grey(), moved_by(grey(), by))
    back = np.median(found.back_hw2[INSIDE], (0, 1))
    np.testing.assert_allclose(back, [-by[1], -by[0]], atol=0.1)
    assert found.trust_hw[INSIDE].mean() > 0.95


def test_the_frame_before_comes_to_lie_on_this_one():
    now = moved_by(grey(), (2, -3))
    followed = moved(grey(), *motion(grey(), now).places())
    there, still = (np.abs(each.astype(float) - now)[INSIDE].mean() for each in (followed, grey()))
    assert there < still / 10


def test_motion_of_small_frames_is_that_of_larger_ones():
    larger = 2 * SIZE[0], 3 * SIZE[1]
    found = motion(grey(), moved_by(grey(), (2, -3))).of_size(larger)
    assert found.trust_hw.shape == larger
    np.testing.assert_allclose(np.median(found.back_hw2[INSIDE], (0, 1)), [9, -4], atol=0.3)
    assert found.of_size(larger) is found


def test_what_came_in_at_the_edge_has_no_trust():
    wide = grey(size=(54, 120))
    trust_hw = motion(wide[:, :96], wide[:, 8:104]).trust_hw
    assert (trust_hw[:, -6:] == 0).all()
    assert trust_hw[INSIDE].mean() > 0.9


@pytest.mark.parametrize(
    "size", [(1, 1), (3, 40), (11, 11), (12, 12), (12, 200), (15, 40), (16, 45), (16, 46)]
)
@pytest.mark.parametrize("value", [0, 255])
def test_frames_of_any_size_and_even_ones_have_a_motion(size, value):
    even = np.full(size, value, np.uint8)
    found = motion(even, even)
    np.testing.assert_array_equal(found.trust_hw, np.ones(size))
    np.testing.assert_array_equal(moved(even, *found.places()), even)
    assert agreement(even, found.trust_hw) == 1
    assert (motion(255 - even, even).trust_hw < 1e-6).all()


def test_trust_falls_with_what_differs():
    """To 1/e at 12 steps of 255."""
    even = np.full(SIZE, 90, np.uint8)
    for steps, trust in ((3, np.exp(-1 / 16)), (12, np.exp(-1)), (24, np.exp(-4))):
        np.testing.assert_allclose(motion(even, even + np.uint8(steps)).trust_hw, trust, atol=1e-4)


@pytest.mark.parametrize(("step", "counts"), [(8, False), (9, True)])
def test_what_is_even_but_for_little_has_no_part_in_the_agreement(step, counts):
    frame = np.full(SIZE, 90, np.uint8)
    frame[:, 40:] += np.uint8(step)
    trust_hw = np.ones(SIZE, np.float32)
    trust_hw[:, 30:50] = 0.25
    assert agreement(frame, trust_hw) == (0.25 if counts else 1)


def test_a_cut_is_one_and_noise_a_slow_pan_and_little_light_more_are_none():
    assert agreeing(grey(), grey()) == pytest.approx(1, abs=1e-3)
    assert agreeing(grey(), grey(noise=10, frame=1)) > 2 * CUT
    wide = grey(size=(54, 120))
    assert agreeing(wide[:, :96], wide[:, 3:99]) > 2 * CUT
    assert agreeing(grey(), cv2.convertScaleAbs(grey(), alpha=1.03)) > 2 * CUT
    assert agreeing(grey(), grey(1)) < CUT


@pytest.mark.parametrize("sides", [((0, 0), (70, 70)), ((40, 40), (0, 0)), ((10, 30), (60, 20))])
@pytest.mark.parametrize("shade", [0, 16, 128, 255])
def test_bars_hide_no_cut_and_make_none(sides, shade):
    """An upright clip in a wide frame, and a wide one in an upright frame."""
    before, noisy, after = (
        np.pad(of, sides, constant_values=shade)
        for of in (grey(), grey(noise=10, frame=1), grey(1))
    )
    assert agreeing(before, after) < CUT
    assert agreeing(before, noisy) > 2 * CUT


def test_both_kinds_of_input_have_the_same_grey():
    picture = scene(size=(32, 64))
    floats = (picture.transpose(2, 0, 1) / np.float32(255)).astype(np.float32)
    for scores, size in (((16, 32), (16, 32)), ((8, 16), (8, 16)), ((32, 64), (16, 32))):
        bytes_hw, floats_hw = (grey_frame(each[None], scores) for each in (picture, floats))
        assert bytes_hw.dtype == floats_hw.dtype == np.uint8
        assert bytes_hw.shape == floats_hw.shape == size
        np.testing.assert_allclose(bytes_hw.astype(int), floats_hw, atol=1)
        assert abs(bytes_hw.mean() - cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).mean()) < 1
