"""Scores averaged over a video's frames, on small arrays and on a video."""

import dataclasses
import threading

import cv2
import numpy as np
import pytest

from hierseg_jax.data.picture_labels import STEPS
from hierseg_jax.runtime.motion import agreement, grey_frame, motion
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.smoothing import CUT, MOST, USUAL, Smoother, check_weight, next_average
from hierseg_jax.runtime.stream import segment_source
from tests.commands import run_quickly
from tests.moving_scenes import moved_by, scene
from tests.test_runtime import deploy_file, reference_file

SIZE = (48, 64)


def planes(seed=0, size=SIZE):
    """Noise, all of it in play, within what may be averaged."""
    return np.random.default_rng(seed).integers(STEPS - 2500, STEPS, (3, *size), np.uint16)


def grey(seed=0, size=SIZE, **others):
    return cv2.cvtColor(scene(seed, size, **others), cv2.COLOR_RGB2GRAY)


def averages(weight, frames):
    """Of frames of (planes, grey), uint16, one after the other."""
    average = None
    for planes_chw, grey_hw in frames:
        average = next_average(average, planes_chw, grey_hw, weight)
        yield average.planes()


def last(weight, *frames):
    *_, found = averages(weight, frames)
    return found


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9, MOST])
def test_the_first_frame_and_scores_that_stay_come_out_as_they_are(weight):
    for found in averages(weight, [(planes(), grey())] * 4):
        np.testing.assert_array_equal(found, planes())


def test_without_weight_every_frame_comes_out_as_it_is():
    frames = [(planes(seed), grey()) for seed in range(4)]
    for found, (given, _) in zip(averages(0.0, frames), frames, strict=True):
        np.testing.assert_array_equal(found, given)


def test_a_frame_counts_what_the_ones_before_leave_it():
    frames = [(planes(seed), grey()) for seed in range(6)]
    expected = frames[0][0].astype(np.float64)
    for found, (given, _) in zip(averages(0.8, frames), frames, strict=True):
        expected = given + 0.8 * (expected - given)
        assert found.dtype == np.uint16
        # What is kept is not rounded: errors of a frame do not add up.
        np.testing.assert_allclose(found, expected, atol=0.52)


def test_a_frame_that_is_sure_is_believed_at_once():
    """What was before moves a score's logarithm by 1.2 at most."""
    nat = STEPS / 32
    low, high = np.full((2, 1, *SIZE), STEPS, np.uint16)
    low -= np.uint16(2 * nat)
    np.testing.assert_allclose(
        last(0.8, *[(low, grey())] * 9, (high, grey())), STEPS - 1.2 * nat, atol=1
    )
    np.testing.assert_allclose(
        last(0.8, *[(high, grey())] * 9, (low, grey())), low + 1.2 * nat, atol=1
    )


def test_an_average_and_its_frame_stay_as_they_are():
    given = planes(1)
    before = next_average(None, planes(0), grey(), 0.5)
    before = next_average(before, planes(2), grey(), 0.5)
    kept = {index: plane_hw.copy() for index, plane_hw in before.averaged.items()}
    next_average(before, given, grey(), 0.5).planes()
    assert len(kept) == 3
    for index, plane_hw in kept.items():
        np.testing.assert_array_equal(before.averaged[index], plane_hw)
    np.testing.assert_array_equal(given, planes(1))


def soft(seed, size=SIZE):
    """Scores as soft as a network's, all of them in play, and within what may be averaged."""
    return STEPS - 10 * (255 - scene(seed, size).transpose(2, 0, 1).astype(np.uint16))


@pytest.mark.parametrize("by", [(2, 0), (0, -3), (3, 4), (-5, 2)])
@pytest.mark.parametrize("times", [1, 2])
def test_scores_go_with_what_moves(by, times):
    """Planes that move with the picture are their own average; those that stay lag behind."""
    before = soft(1, (times * SIZE[0], times * SIZE[1]))
    now = np.stack([moved_by(plane, (times * by[0], times * by[1])) for plane in before])
    found = last(0.8, (before, grey()), (now, moved_by(grey(), by)))
    inside = slice(8 * times, -8 * times), slice(8 * times, -8 * times)
    lag = 0.8 * np.abs(before.astype(float) - now)[:, *inside].mean()
    assert np.abs(found.astype(float) - now)[:, *inside].mean() < lag / 4


@pytest.mark.parametrize("by", [(6, 0), (-6, 0), (0, 6), (0, -6)])
def test_a_class_is_followed_out_of_the_place_where_it_was(by):
    """Its score falls a little as it moves: all of it is averaged, none stays where it was."""
    before = np.full((2, *SIZE), 50000, np.uint16)
    before[0, 20:28, 28:36] = 64000
    now = np.full((2, *SIZE), 50000, np.uint16)
    now[0, 20 + by[0] : 28 + by[0], 28 + by[1] : 36 + by[1]] = 63000
    found = last(0.8, (before, grey()), (now, moved_by(grey(), by)))[0].astype(int)
    middle = found[22 + by[0] : 26 + by[0], 30 + by[1] : 34 + by[1]]
    np.testing.assert_allclose(middle, 63800, atol=40)
    assert found[20:28, 28:36][now[0, 20:28, 28:36] == 50000].max() < 60000


@pytest.mark.parametrize("edge", ["left", "right", "top", "bottom"])
def test_what_the_frame_before_did_not_show_is_the_new_frame_s_own(edge):
    wide = grey(size=(64, 80))
    first, second = {
        "left": (wide[8:56, 8:72], wide[8:56, 2:66]),
        "right": (wide[8:56, 8:72], wide[8:56, 14:78]),
        "top": (wide[8:56, 8:72], wide[2:50, 8:72]),
        "bottom": (wide[8:56, 8:72], wide[14:62, 8:72]),
    }[edge]
    own = last(0.9, (soft(0), first), (soft(1), second)) == soft(1)
    shares = {"left": own[:, :, 0], "right": own[:, :, -1], "top": own[:, 0], "bottom": own[:, -1]}
    assert shares.pop(edge).mean() > 0.9
    assert all(share.mean() < 0.5 for share in shares.values())


def test_a_thing_that_appears_is_not_averaged_away():
    """A bright square on an even floor, its scores unlike those of the floor."""
    floor, thing = np.full(SIZE, 90, np.uint8), np.full(SIZE, 90, np.uint8)
    floor[::6] = thing[::6] = 110  # something to see, so that no cut is made of it
    thing[20:32, 24:40] = 220
    low, high = np.full((2, 1, *SIZE), 61000, np.uint16)
    high[:, 20:32, 24:40] = 63000
    found = last(0.9, *[(low, floor)] * 5, (high, thing))
    assert found[0, 22:30, 26:38].min() > 62990
    np.testing.assert_array_equal(found[0, :16], low[0, :16])


def test_classes_that_are_not_in_play_are_left_as_they_are():
    """Of four, one is sure, one is in a corner, one is nowhere, and one was in play before."""
    first, second = (np.full((4, *SIZE), 40000, np.uint16) for _ in range(2))
    first[0] = second[0] = STEPS
    first[1, :8, :8], second[1, :8, :8] = 60000, 58000
    second[2] = 42000
    first[3, 20:30, 30:40], second[3, 20:30, 30:40] = 60000, 56000
    found = last(0.8, (first, grey()), (second, grey()))
    np.testing.assert_allclose(found[1, 2:6, 2:6], 59600, rtol=1e-3)
    np.testing.assert_array_equal(found[1, 30:], second[1, 30:])
    np.testing.assert_array_equal(found[2], second[2])
    pulled = 56000 + 0.8 * 1.5 * STEPS / 32
    np.testing.assert_allclose(found[3, 22:28, 32:38], pulled, rtol=1e-3)


def test_a_class_that_appears_is_held_back_as_any_other():
    """By what the network said of it before, though it was nowhere in play."""
    first, second = np.full((2, 3, *SIZE), 30000, np.uint16)
    first[0] = second[0] = STEPS
    second[1, 20:30, 30:40] = STEPS
    found = last(0.8, (first, grey()), (second, grey()))
    np.testing.assert_allclose(found[1, 22:28, 32:38], STEPS - 1.2 * STEPS / 32, atol=1)


def test_what_is_in_play_is_reckoned_by_how_many_classes_there_are():
    """A twentieth of an even share of 3 is not one of 60."""
    for classes, in_play in ((3, False), (60, True)):
        first, second = np.full((2, classes, *SIZE), 54000, np.uint16)
        second[:] = 53000
        found = last(0.8, (first, grey()), (second, grey()))
        assert (found > second).all() == in_play == (found != second).any()


def test_after_a_cut_and_in_another_size_scores_begin_anew():
    other = (64, 48)
    frames = [(soft(0), grey(0)), (soft(1), grey(1)), (soft(2, other), grey(1, other))]
    for found, (given, _) in zip(averages(0.9, frames), frames, strict=True):
        np.testing.assert_array_equal(found, given)


@pytest.mark.parametrize(("kept", "is_cut"), [(12, True), (24, False)])
def test_a_cut_is_where_less_than_three_tenths_agree(kept, is_cut):
    """Scenes of which so many columns of 64 stay, and little else agrees."""
    now = grey(1)
    now[:, :kept] = grey(0)[:, :kept]
    agreeing = agreement(now, motion(grey(0), now).trust_hw)
    assert abs(agreeing - CUT) < 0.15
    assert (last(0.9, (soft(0), grey(0)), (soft(1), now)) == soft(1)).all() == is_cut


def test_greys_of_another_size_begin_anew():
    """As where two networks have scores of one size, and inputs of others."""
    frames = [(soft(0), grey()), (soft(1), grey(size=(24, 32)))]
    for found, (given, _) in zip(averages(0.9, frames), frames, strict=True):
        np.testing.assert_array_equal(found, given)


def test_a_smoother_averages_what_was_scored(tmp_path):
    """By the usual weight, a frame's own scores apart; another network's are refused."""
    assert USUAL == 0.8
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    scored = [segmenter.score(scene(noise=12, frame=frame)) for frame in range(3)]
    frames = [(of.planes, grey_frame(of.given, of.planes.shape[1:])) for of in scored]
    usual, told = Smoother(), Smoother(0.8)
    for of, expected in zip(scored, averages(0.8, frames), strict=True):
        np.testing.assert_array_equal(usual(of).planes, expected)
        np.testing.assert_array_equal(told(of).planes, expected)
        assert (of.output.planes == of.planes).all()
    assert (expected != scored[-1].planes).any()
    with pytest.raises(ValueError, match="Scores of 2 classes follow on others of 7"):
        usual(dataclasses.replace(scored[0], planes=scored[0].planes[:2]))


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


def test_frames_are_averaged_in_their_order_however_many_are_in_the_network(
    video, tmp_path, monkeypatch
):
    file = reference_file(tmp_path / "a.onnx", contract="reference")
    one = segmented(Segmenter(file, threads=1), video, tmp_path / "one")
    score, entered, second_done = Segmenter.score, threading.Lock(), threading.Event()

    def late(segmenter, image_hwc, **options):
        """The first frame stays in the network until another has left it."""
        if entered.acquire(blocking=False):
            assert second_done.wait(120)
            return score(segmenter, image_hwc, **options)
        scored = score(segmenter, image_hwc, **options)
        second_done.set()
        return scored

    monkeypatch.setattr(Segmenter, "score", late)
    several = segmented(Segmenter(file, threads=4), video, tmp_path / "several")
    np.testing.assert_array_equal(one, several)


def test_pictures_are_no_frames_of_a_video(tmp_path):
    """Not even those of a folder that would pass for one."""
    for frame in range(4):
        cv2.imwrite(str(tmp_path / f"{frame}.png"), scene(noise=12, frame=frame))
    segmenter = Segmenter(reference_file(tmp_path / "a.onnx", contract="reference"))
    out = tmp_path / "out"
    segment_source(segmenter, str(tmp_path), str(out), masks=True, refine=False)
    for frame in range(4):
        mask = cv2.imread(str(out / "masks" / "part" / f"{frame}.png"), cv2.IMREAD_UNCHANGED)
        alone = segmenter(scene(noise=12, frame=frame), bgr=True).levels["part"]
        np.testing.assert_array_equal(mask, alone)


def test_a_file_of_label_maps_alone_segments_videos_frame_by_frame(video, tmp_path):
    segmenter = Segmenter(deploy_file(tmp_path / "d.onnx"))
    usual = segmented(segmenter, video, tmp_path / "usual")
    np.testing.assert_array_equal(usual, segmented(segmenter, video, tmp_path / "off", smooth=0.0))
    alone, smoothed = segmenter(scene()), segmenter(scene(), smooth=Smoother())
    np.testing.assert_array_equal(alone.levels["part"], smoothed.levels["part"])


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
    flags = [f"--onnx_file={file}", f"--source={video}", f"--output={out / 'v.avi'}"]
    result = run_quickly("predict", *flags, "--smooth=0.97")
    assert result.returncode == 1
    assert "--smooth is 0.97; it is 0, which is off, to 0.95" in result.stderr
    assert not out.exists()
