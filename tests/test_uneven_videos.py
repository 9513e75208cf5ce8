"""Videos whose frames don't follow evenly, as phones and screen recorders write them."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from hierseg_jax.runtime.frames import open_frames
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.sink import Sink
from hierseg_jax.runtime.video import Video
from tests.conftest import GOLDEN
from tests.test_runtime import reference_file

# Frame i is grey 10 + 12 i. In the first the second ten take four times as long as the first; in
# the other the last three come every other second, and 58 frames are announced, of which 20 are.
MP4, MKV = GOLDEN / "uneven.mp4", GOLDEN / "uneven.mkv"
TIMES = {
    MP4: [*np.arange(11) * 0.1, 1.3, *(1.8 + np.arange(7) * 0.4), 4.5],
    MKV: [*np.arange(18) * 0.1, 3.7, 5.7],
}


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return Segmenter(reference_file(tmp_path_factory.mktemp("n") / "a.onnx", contract="reference"))


def write(segmenter, source, output):
    """The written video's rate, and the numbers of the frames that it shows; nothing is painted."""
    opened = open_frames(str(source))
    sink = Sink(segmenter, opened, str(source), str(output), [2], False, False, legend="none")
    for frame in opened:
        result = segmenter(frame.image_bgr, bgr=True)
        nothing = {name: np.zeros_like(label) for name, label in result.levels.items()}
        sink.take(frame, dataclasses.replace(result, levels=nothing))
    sink.close()
    written = Video(str(output))
    shown = [round((float(frame.image_bgr.mean()) - 10) / 12) for frame in written]
    return written.fps, shown


@pytest.mark.parametrize("file", [MP4, MKV], ids=["mp4", "mkv"])
def test_a_frame_is_shown_at_its_time(segmenter, tmp_path, file):
    fps, shown = write(segmenter, file, tmp_path / "out.avi")
    assert fps == pytest.approx(10)
    assert sorted(set(shown)) == list(range(20))
    for number, seconds in enumerate(TIMES[file]):
        assert shown.index(number) / fps == pytest.approx(seconds, abs=1.6 / fps)


@pytest.mark.parametrize("file", [MP4, MKV], ids=["mp4", "mkv"])
def test_a_whole_one_is_not_called_cut_off(file, capfd):
    frames = list(Video(str(file)))
    assert [frame.fault for frame in frames] == [""] * 20
    assert [frame.seconds for frame in frames] == pytest.approx(TIMES[file], abs=1e-3)
    assert "announces" not in capfd.readouterr().err


def test_one_that_is_cut_off_is_told_all_the_same(tmp_path):
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(MKV.read_bytes()[:-900])
    *frames, last = Video(str(cut))
    assert 0 < len(frames) < 18
    assert "is cut off: it announces 58 frames" in last.fault


class Times:
    """What `Video` asks of OpenCV's capture, with these times in milliseconds."""

    def __init__(self, times, announced=None):
        self._times, self._announced, self._next = times, announced or len(times), 0

    def isOpened(self):  # noqa: N802 (OpenCV's name)
        return True

    def get(self, what):
        known = {cv2.CAP_PROP_FRAME_WIDTH: 64, cv2.CAP_PROP_FRAME_HEIGHT: 48}
        known |= {cv2.CAP_PROP_FPS: 10, cv2.CAP_PROP_FRAME_COUNT: self._announced}
        if what == cv2.CAP_PROP_POS_MSEC:
            return self._times[self._next - 1]
        return known[what]

    def grab(self):
        self._next += 1
        return self._next <= len(self._times)

    def retrieve(self):
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self):
        pass


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([500, 600, 700, 700, 1500], [0, 0.1, 0.2, 0.2, 1.0]),  # two at one time
        ([0, 100, 3000, 0, 100], [0, 0.1, 3.0, 3.1, 3.2]),  # two recordings, joined
        ([0, 0, 0, 0], [0, 0.1, 0.2, 0.3]),  # none is told
    ],
)
def test_times_that_do_not_rise(monkeypatch, told, expected):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Times(told))
    assert [frame.seconds for frame in Video("a.mkv")] == pytest.approx(expected)


@pytest.mark.parametrize(("name", "faults"), [("a.mp4", 1), ("a.mkv", 0)])
def test_where_frames_are_counted_the_count_tells(monkeypatch, name, faults):
    """Others announce what would be there at an even rate: here 100 in ten seconds."""
    times = [*range(0, 9000, 1000), *range(9000, 9900, 50)]
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Times(times, announced=100))
    frames = list(Video(name))
    assert len([frame for frame in frames if frame.fault]) == faults


def test_frames_that_come_faster_are_left_out_and_counted(segmenter, tmp_path, monkeypatch):
    """The beginning tells of ten a second; then there are forty."""
    times = [*np.arange(31) * 100, *(3000 + np.arange(1, 41) * 25)]
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Times(times))
    opened = open_frames(str(MP4))
    file = tmp_path / "out.avi"
    sink = Sink(segmenter, opened, str(MP4), str(file), [2], False, False, legend="none")
    for frame in opened:
        sink.take(frame, segmenter(frame.image_bgr, bgr=True))
    monkeypatch.undo()
    sink.close()
    assert len(list(Video(str(file)))) == len(times) - sink.left_out
    assert 25 <= sink.left_out <= 31


@pytest.mark.parametrize("fps", [29.97, 12.0, 1000 / 33])
def test_frames_that_follow_evenly_are_written_one_for_one(segmenter, tmp_path, fps):
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), fps, (64, 48))
    for i in range(20):
        writer.write(np.full((48, 64, 3), 10 + 12 * i, np.uint8))
    writer.release()
    rate, shown = write(segmenter, clip, tmp_path / "out.avi")
    assert rate == pytest.approx(fps, rel=1e-3)
    assert shown == list(range(20))


def test_a_format_without_times_is_taken_to_be_even(tmp_path):
    raw = tmp_path / "clip.mjpeg"
    frames = [cv2.imencode(".jpg", np.full((48, 64, 3), 90 + i, np.uint8))[1] for i in range(5)]
    raw.write_bytes(b"".join(frame.tobytes() for frame in frames))
    video = Video(str(raw))
    seconds = [frame.seconds for frame in video]
    steps = [b - a for a, b in itertools.pairwise(seconds)]
    assert steps == pytest.approx([1 / video.fps] * 4)
