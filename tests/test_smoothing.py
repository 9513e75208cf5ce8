"""Scores averaged over a video's frames, on small arrays and on a video."""

import sys

import cv2
import numpy as np
import pytest

from hierseg_jax.data.picture_labels import STEPS
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.smoothing import (
    CUT,
    MOST,
    Smoother,
    check_weight,
    distance,
    next_average,
    small_frame,
)
from hierseg_jax.runtime.stream import segment_source
from tests.runs import run
from tests.test_runtime import deploy_file, reference_file


def planes(seed=0):
    return np.random.default_rng(seed).integers(0, STEPS, (3, 8, 9), np.uint16, endpoint=True)


def scene(seed=0, size=(72, 96), noise=0.0, frame=0):
    """Large soft patches of colour, and noise of a sensor that is another in every frame."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    noisy = smooth + np.random.default_rng(frame).normal(0, noise, smooth.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9, MOST])
def test_the_first_frame_and_scores_that_stay_come_out_as_they_are(weight):
    smoother = Smoother(weight)
    for _ in range(4):
        np.testing.assert_array_equal(smoother(planes(), scene()), planes())


def test_without_weight_every_frame_comes_out_as_it_is():
    smoother = Smoother(0.0)
    for seed in range(4):
        np.testing.assert_array_equal(smoother(planes(seed), scene()), planes(seed))


def test_a_frame_counts_what_the_ones_before_leave_it():
    smoother, expected = Smoother(0.8), planes(0).astype(np.float64)
    smoother(planes(0), scene())
    for seed in range(1, 6):
        expected = 0.8 * expected + 0.2 * planes(seed)
        found = smoother(planes(seed), scene())
        assert found.dtype == np.uint16
        # What is kept is not rounded: errors of a frame do not add up.
        np.testing.assert_allclose(found, expected, atol=0.52)


def test_an_average_and_its_frame_stay_as_they_are():
    given = planes(1)
    before = next_average(None, planes(0), scene(), 0.5)
    kept = before.planes_chw.copy()
    next_average(before, given, scene(), 0.5)
    np.testing.assert_array_equal(before.planes_chw, kept)
    np.testing.assert_array_equal(given, planes(1))


def test_after_a_cut_and_in_another_size_scores_begin_anew():
    for other in (scene(1), scene(0, (96, 72)), scene(0, (144, 192))):
        smoother = Smoother(0.9)
        smoother(planes(0), scene(0))
        np.testing.assert_array_equal(smoother(planes(1), other), planes(1))


def test_a_soft_cut_is_one_and_a_slight_change_none():
    """Of scenes that are little more, and little less, apart than a cut has to be."""
    blended = [cv2.addWeighted(scene(0), 1 - share, scene(1), share, 0) for share in (0.5, 0.2)]
    soft, slight = (distance(small_frame(scene(0)), small_frame(each)) for each in blended)
    assert slight < CUT < soft < 2 * CUT
    for frame, is_cut in zip(blended, (True, False), strict=True):
        smoother = Smoother(0.9)
        smoother(planes(0), scene(0))
        assert (smoother(planes(1), frame) == planes(1)).all() == is_cut


def test_noise_a_slow_pan_and_exposure_make_no_cut():
    still = small_frame(scene())
    assert distance(still, still) == pytest.approx(0, abs=1e-3)
    assert distance(still, small_frame(scene(noise=10))) < CUT / 2
    wide = scene(size=(72, 120))
    ahead = (small_frame(wide[:, start : start + 96]) for start in (0, 3))
    assert distance(*ahead) < CUT
    brighter = cv2.convertScaleAbs(scene(), alpha=1.05)
    assert distance(still, small_frame(brighter)) < CUT
    assert CUT < distance(still, small_frame(scene(1))) <= 1
    dark, light = (np.full((9, 7, 3), value, np.uint8) for value in (0, 255))
    assert distance(small_frame(dark), small_frame(light)) == 1


@pytest.mark.parametrize("sides", [((0, 0), (70, 70)), ((40, 40), (0, 0)), ((10, 30), (60, 20))])
@pytest.mark.parametrize("grey", [0, 16, 128, 255])
def test_bars_hide_no_cut_and_make_none(sides, grey):
    """An upright clip in a wide frame, and a wide one in an upright frame."""
    before, noisy, after = (
        small_frame(np.pad(of, (*sides, (0, 0)), constant_values=grey))
        for of in (scene(), scene(noise=10), scene(1))
    )
    assert distance(before, after) > CUT
    assert distance(before, noisy) < CUT / 2


@pytest.mark.parametrize("weight", [-0.1, 0.96, 1.0, float("nan")])
def test_weights_that_would_not_average_are_refused(weight):
    with pytest.raises(ValueError, match=r"--smooth is .*; it is 0, which is off, to 0\.95"):
        check_weight(weight)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Eight noisy frames of one scene, then four of another."""
    file = tmp_path_factory.mktemp("video") / "v.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 12, (96, 72))
    for frame in range(12):
        writer.write(scene(int(frame >= 8), noise=12, frame=frame))
    writer.release()
    return file


def masks_of(folder):
    files = sorted((folder / "v_masks" / "part").iterdir())
    return np.array([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files])


def test_a_smoothed_video_flickers_less_and_starts_anew_after_its_cut(video, tmp_path):
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    plain, off, smooth = tmp_path / "plain", tmp_path / "off", tmp_path / "smooth"
    segment_source(segmenter, str(video), str(plain / "v.avi"), masks=True)
    segment_source(segmenter, str(video), str(off / "v.avi"), masks=True, smooth=0.0)
    segment_source(segmenter, str(video), str(smooth / "v.avi"), masks=True, smooth=0.9)
    frames, smoothed = masks_of(plain), masks_of(smooth)
    np.testing.assert_array_equal(masks_of(off), frames)
    for first in (0, 8):
        np.testing.assert_array_equal(smoothed[first], frames[first])
    changes = [(np.diff(each[:8].astype(int), axis=0) != 0).sum() for each in (smoothed, frames)]
    assert changes[0] < changes[1] / 2


def test_what_can_not_be_averaged_is_refused_before_anything_is_written(video, tmp_path):
    out = tmp_path / "out"
    maps_alone = Segmenter(deploy_file(tmp_path / "d.onnx"))
    with pytest.raises(ValueError, match="gives label maps alone; export it again without --plain"):
        segment_source(maps_alone, str(video), str(out / "v.avi"), smooth=0.5)
    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), scene())
    file = reference_file(tmp_path / "r.onnx", contract="reference")
    with pytest.raises(ValueError, match=r"a\.png is images; leave it out"):
        segment_source(Segmenter(file), str(photo), str(out), smooth=0.5)
    command = [sys.executable, "launch/infer.py", f"--onnx_file={file}", f"--source={video}"]
    result = run([*command, f"--output={out / 'v.avi'}", "--smooth=0.97"])
    assert result.returncode == 1
    assert "--smooth is 0.97; it is 0, which is off, to 0.95" in result.stderr
    assert not out.exists()
