"""When frames are due, on a clock that tests turn by hand; and a camera's newest frame."""

import threading

import numpy as np
import pytest

from hierseg_jax.runtime.pace import Rate, Stopwatch, frames_missing
from hierseg_jax.runtime.playing import Newest, in_real_time, newest_frames
from hierseg_jax.runtime.video import Frame
from hierseg_jax.system.errors import HiersegError


class Clock:
    now = 100.0

    def __call__(self):
        return self.now

    def pass_by(self, seconds):
        self.now += seconds
        return True


class Recording:
    """What `in_real_time` asks of a Video, at 10 frames a second or at other times."""

    fps = 10.0

    def __init__(self, frames, times=None):
        self._times = [i / 10 for i in range(frames)] if times is None else times
        self._next, self.closed = 0, False

    def advance(self):
        if self._next == len(self._times):
            return False
        self.seconds = self._times[self._next]
        self._next += 1
        return True

    def frame(self):
        return Frame(str(self._next - 1), np.zeros((1, 1, 3), np.uint8))

    def ending(self):
        return iter(())

    def close(self):
        self.closed = True


def play(frames, work, times=None):
    """(number, seconds at which it came) of frames, each taking `work` seconds."""
    clock = Clock()
    watch, shown, video = Stopwatch(clock), [], Recording(frames, times)
    for frame in in_real_time(video, watch, clock.pass_by):
        shown.append((int(frame.name), round(watch.elapsed(), 6)))
        clock.pass_by(work)
    assert video.closed
    return shown


def test_a_fast_network_waits_for_every_frame():
    assert play(5, work=0.01) == [(i, i / 10) for i in range(5)]


def test_a_slow_network_passes_over_what_would_be_late():
    shown = play(20, work=0.25)
    *shown, last = shown
    assert [number for number, _ in shown] == [0, 2, 5, 7, 10, 12, 15, 17]
    assert all(0 <= seconds - number / 10 < 0.1 for number, seconds in shown)
    assert last == (19, 2.0)  # nothing comes after it


def test_frames_that_do_not_follow_evenly_are_shown_when_it_is_their_time():
    times = [0.0, 0.1, 0.5, 0.9, 1.0]
    assert play(5, 0.01, times) == list(enumerate(times))
    # What is late is shown all the same where it stands until long after.
    times = [0, 0.1, 0.2, 0.3, 3.0, 3.1]
    assert play(6, 0.25, times) == [(0, 0), (2, 0.25), (3, 0.5), (4, 3.0), (5, 3.25)]


def test_who_ends_while_a_frame_is_awaited_gets_no_other():
    clock, video = Clock(), Recording(5)
    frames = in_real_time(video, Stopwatch(clock), lambda seconds: seconds == 0)
    assert [frame.name for frame in frames] == ["0"]
    assert video.closed


def test_a_pause_holds_the_time():
    clock = Clock()
    watch = Stopwatch(clock)
    assert watch.elapsed() == 0
    clock.pass_by(2)
    watch.pause(True)
    clock.pass_by(50)
    assert (watch.elapsed(), watch.paused) == (2, True)
    watch.pause(True)
    watch.pause(False)
    clock.pass_by(1)
    assert (watch.elapsed(), watch.paused) == (3, False)


def test_a_recording_of_a_slow_network_is_as_long_as_what_it_saw():
    for between, fps in ((0.25, 30.0), (1 / 30, 30.0), (1 / 60, 30.0)):
        written, taken = 0, int(20 / between)
        for number in range(taken):
            missing = frames_missing(written, number * between, fps)
            written += missing + 1 if missing >= 0 else 0
        assert written == pytest.approx(20 * fps, abs=8)


@pytest.mark.parametrize(
    ("written", "elapsed", "missing"),
    [(10, 1.0, 0), (11, 1.0, 0), (12, 1.0, -1), (8, 1.0, 2), (10, 1.04, 0), (10, 1.06, 1)],
)
def test_a_picture_is_left_out_only_where_the_video_is_two_frames_ahead(written, elapsed, missing):
    assert frames_missing(written, elapsed, 10.0) == missing


def test_the_rate_is_a_median_and_forgets():
    rate = Rate()
    for seconds in (0, 0.1):
        rate = rate.after(seconds)
        assert rate.fps is None
    rate = rate.after(0.2).after(5.0).after(5.1)  # a hiccup is no rate
    assert rate.fps == pytest.approx(10)
    for number in range(100):
        rate = rate.after(10 + number)
    assert rate.fps == 1


def test_whoever_comes_late_gets_the_newest_frame():
    read = threading.Event()

    def frames():
        for number in range(5):
            yield Frame(str(number), None)
        read.set()

    newest = Newest(frames())
    assert read.wait(60)
    assert newest.take(60).name == "4"
    assert newest.take(60) is None
    assert newest.ended
    newest.stop()


def test_what_ends_a_camera_is_told_after_its_last_frame():
    def frames():
        yield Frame("0", None)
        raise HiersegError("gone")

    found = newest_frames(frames(), lambda seconds: True)
    assert next(found).name == "0"
    with pytest.raises(HiersegError, match="gone"):
        next(found)
    # And a source that stalls does not hold a user who wants to end.
    stalled = threading.Event()

    def nothing():
        stalled.wait()
        yield from ()

    assert list(newest_frames(nothing(), lambda seconds: stalled.set() or False)) == []
