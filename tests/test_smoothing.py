"""Scores averaged over a video's frames, on small arrays and on a video."""

import sys

import cv2
import numpy as np
import pytest

from hierseg_jax.data.picture_labels import STEPS
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.smoothing import CUT, MOST, USUAL, Smoother, check_weight, next_average
from hierseg_jax.runtime.stream import segment_source
from tests.moving_scenes import moved_by, scene
from tests.runs import run
from tests.test_runtime import deploy_file, reference_file

SIZE = (48, 64)


def planes(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(0, STEPS, (3, *size), np.uint16, endpoint=True)


def grey(seed=0, size=SIZE, **others):
    return cv2.cvtColor(scene(seed, size, **others), cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9, MOST])
def test_the_first_frame_and_scores_that_stay_come_out_as_they_are(weight):
    smoother = Smoother(weight)
    for _ in range(4):
        np.testing.assert_array_equal(smoother(planes(), grey()), planes())


def test_without_weight_every_frame_comes_out_as_it_is():
    smoother = Smoother(0.0)
    for seed in range(4):
        np.testing.assert_array_equal(smoother(planes(seed), grey()), planes(seed))


def test_a_frame_counts_what_the_ones_before_leave_it():
    smoother, expected = Smoother(0.8), planes(0).astype(np.float64)
    smoother(planes(0), grey())
    for seed in range(1, 6):
        expected = 0.8 * expected + 0.2 * planes(seed)
        found = smoother(planes(seed), grey())
        assert found.dtype == np.uint16
        # What is kept is not rounded: errors of a frame do not add up.
        np.testing.assert_allclose(found, expected, atol=0.52)


def test_an_average_and_its_frame_stay_as_they_are():
    given = planes(1)
    before = next_average(None, planes(0), grey(), 0.5)
    kept = before.planes_chw.copy()
    next_average(before, given, grey(), 0.5)
    np.testing.assert_array_equal(before.planes_chw, kept)
    np.testing.assert_array_equal(given, planes(1))


@pytest.mark.parametrize("by", [(2, 0), (0, -3), (3, 4), (-5, 2)])
def test_scores_go_with_what_moves(by):
    """Soft planes that move with the picture are their own average; those that stay lag behind."""
    soft = np.stack([grey(seed).astype(np.uint16) * 257 for seed in (1, 2, 3)])
    before = next_average(None, soft, grey(), 0.8)
    now = np.stack([moved_by(plane, by) for plane in soft])
    after = next_average(before, now, moved_by(grey(), by), 0.8)
    inside = slice(8, -8), slice(8, -8)
    found, wanted = after.planes_chw[:, *inside], now[:, *inside]
    lag = np.abs(0.8 * (soft[:, *inside] - wanted.astype(float))).mean()
    assert np.abs(found - wanted).mean() < lag / 4


def test_what_the_frame_before_did_not_show_is_the_new_frame_s_own():
    wide = grey(size=(48, 80))
    before = next_average(None, planes(0), wide[:, :64], 0.9)
    after = next_average(before, planes(1), wide[:, 6:70], 0.9)
    own = np.abs(after.planes_chw - planes(1)).max((0, 1))
    assert (own[-5:] == 0).all()  # came in at the right
    assert (own[:50] > 0).all()


def test_a_thing_that_appears_is_not_averaged_away():
    """A bright square on an even floor, its scores unlike those of the floor."""
    floor, thing = np.full(SIZE, 90, np.uint8), np.full(SIZE, 90, np.uint8)
    floor[::6] = thing[::6] = 110  # something to see, so that no cut is made of it
    thing[20:32, 24:40] = 220
    low, high = np.zeros((1, *SIZE), np.uint16), np.zeros((1, *SIZE), np.uint16)
    high[:, 20:32, 24:40] = STEPS
    smoother = Smoother(0.9)
    for _ in range(5):
        smoother(low, floor)
    found = smoother(high, thing)
    assert found[0, 22:30, 26:38].min() > 0.99 * STEPS
    assert (found[0, :16] == 0).all()


def test_classes_that_have_no_say_are_left_as_they_are():
    """Of four, one is sure, one is in a corner, one is nowhere, and one went out of the frame."""
    first, second = (np.zeros((4, *SIZE), np.uint16) for _ in range(2))
    first[0] = second[0] = STEPS
    first[1, :8, :8], second[1, :8, :8] = 60000, 50000
    second[2] = 50000
    first[3, 20:30, 30:40] = 60000
    after = next_average(next_average(None, first, grey(), 0.8), second, grey(), 0.8).planes_chw
    np.testing.assert_allclose(after[1, 2:6, 2:6], 58000, rtol=1e-3)
    np.testing.assert_array_equal(after[1, 30:], second[1, 30:])
    np.testing.assert_array_equal(after[2], second[2])
    np.testing.assert_allclose(after[3, 22:28, 32:38], 48000, rtol=1e-3)


def test_after_a_cut_and_in_another_size_scores_begin_anew():
    smoother = Smoother(0.9)
    smoother(planes(0), grey(0))
    np.testing.assert_array_equal(smoother(planes(1), grey(1)), planes(1))
    other = (64, 48)
    np.testing.assert_array_equal(smoother(planes(2, other), grey(1, other)), planes(2, other))


def test_a_smoother_has_the_usual_weight_unless_it_is_told():
    usual, told = Smoother(), Smoother(USUAL)
    for seed in range(3):
        given = planes(seed), grey()
        np.testing.assert_array_equal(usual(*given), told(*given))
    assert 0 < CUT < USUAL < MOST


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


def segmented(segmenter, video, folder, **options):
    segment_source(segmenter, str(video), str(folder / "v.avi"), masks=True, **options)
    return masks_of(folder)


def test_a_video_flickers_less_and_starts_anew_after_its_cut(video, tmp_path):
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    frames = segmented(segmenter, video, tmp_path / "off", smooth=0.0)
    for name, options in (("usual", {}), ("most", {"smooth": 0.9})):
        smoothed = segmented(segmenter, video, tmp_path / name, **options)
        for first in (0, 8):
            np.testing.assert_array_equal(smoothed[first], frames[first])
        changes = [
            (np.diff(each[:8].astype(int), axis=0) != 0).sum() for each in (smoothed, frames)
        ]
        assert changes[0] < changes[1] / 2


def test_frames_are_averaged_in_their_order_however_many_are_in_the_network(video, tmp_path):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    one, several = (
        segmented(Segmenter(file, threads=threads), video, tmp_path / str(threads))
        for threads in (1, 4)
    )
    np.testing.assert_array_equal(one, several)


def test_a_file_of_label_maps_alone_segments_videos_frame_by_frame(video, tmp_path):
    segmenter = Segmenter(deploy_file(tmp_path / "d.onnx"))
    usual = segmented(segmenter, video, tmp_path / "usual")
    np.testing.assert_array_equal(usual, segmented(segmenter, video, tmp_path / "off", smooth=0.0))


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
