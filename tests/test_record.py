"""A run's pictures take no more than a share of its time, and are there at its end."""

import cv2
import numpy as np
import pytest

from hierseg_jax.settings import Settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.record import Pace, Recorder
from hierseg_jax.tree.hierarchy import Hierarchy

TREE = Hierarchy.from_mapping([1, 2], ["background", "head", "legs"], ["body"])
PICTURES = ("loss.png", "metrics.png", "samples.png")


class Clock:
    """One that goes on by itself whenever it is looked at, or stands still."""

    def __init__(self, tick=0.0):
        self.now, self._tick = 100.0, tick

    def __call__(self):
        self.now += self._tick
        return self.now


def test_what_is_done_at_a_pace_takes_a_tenth_of_the_time():
    clock = Clock()
    pace = Pace(1 / 10, clock)
    times = 0
    for _ in range(1000):
        if pace.is_due():
            with pace:
                clock.now += 2
            times += 1
        clock.now += 1
    assert 0.09 < 2 * times / (clock.now - 100) <= 0.102


def test_what_is_short_beside_the_rest_is_always_due():
    clock = Clock()
    pace = Pace(1 / 10, clock)
    for _ in range(20):
        assert pace.is_due()
        with pace:
            clock.now += 1
        clock.now += 10


def progress_of(epochs, stale=0):
    metrics = {"miou": 0.5}
    rows = tuple(
        {
            "epoch": epoch,
            "step": epoch,
            "train_loss": 1 / epoch,
            "val_loss": 1 / epoch,
            "levels": {"body": metrics, "part": metrics},
        }
        for epoch in range(1, epochs + 1)
    )
    return Progress(step=epochs, rows=rows, stale_epochs=stale)


def samples_of(value):
    """A grey picture, all legs."""
    return {
        "image": np.full((1, 16, 16, 3), value, np.uint8),
        "label": np.full((1, 16, 16), 2, np.uint8),
        "prediction": np.full((1, 16, 16), 2, np.uint8),
    }


def drawn(workdir):
    return {name: cv2.imread(str(workdir / name)) for name in PICTURES}


@pytest.fixture
def recorder(tmp_path):
    """Whose first epoch alone is due: a drawing takes a second, as everything else does."""
    clock = Clock(1.0)
    recorder = Recorder(tmp_path, Settings(tensorboard=False), TREE, 0)
    recorder._drawing = Pace(1 / 10, clock)
    recorder.write_epoch(progress_of(1), lambda: samples_of(10), last=False)
    return recorder


@pytest.mark.parametrize("ended_early", [False, True])
def test_pictures_that_were_not_due_are_drawn_at_the_end(recorder, tmp_path, ended_early):
    """Of the best epoch's weights, though those of the last are others."""
    first = drawn(tmp_path)
    assert all(picture is not None for picture in first.values())
    recorder.write_epoch(progress_of(2), lambda: samples_of(200), last=False)
    assert all(np.array_equal(drawn(tmp_path)[name], first[name]) for name in PICTURES)
    recorder.write_epoch(progress_of(3, stale=1), lambda: samples_of(90), last=not ended_early)
    if ended_early:
        recorder.draw_rest()
    last = drawn(tmp_path)
    assert not any(np.array_equal(last[name], first[name]) for name in PICTURES)
    recorder.write_epoch(progress_of(4), lambda: samples_of(200), last=True)
    np.testing.assert_array_equal(drawn(tmp_path)["samples.png"], last["samples.png"])


def test_tensorboard_s_pictures_are_of_their_time_and_read_once(tmp_path):
    """A look at samples takes ten seconds here, and all else nothing."""
    clock = Clock()
    looks = []

    def look():
        clock.now += 10
        looks.append(clock.now)
        return samples_of(10)

    recorder = Recorder(tmp_path, Settings(), TREE, 0)
    recorder._drawing = Pace(1 / 10, clock)
    for epoch in range(1, 202):
        recorder.write_epoch(progress_of(epoch), look, last=False)
        clock.now += 1
    recorder.close()
    assert looks == [110.0, 210.0, 310.0]
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_stop_is_not_replaced_by_what_a_drawing_meets(recorder):
    def look():
        raise HiersegError("a.png is damaged.")

    recorder.write_epoch(progress_of(2), look, last=False)
    recorder.draw_rest()


def test_history_is_written_after_every_epoch(recorder, tmp_path):
    recorder.write_epoch(progress_of(2), dict, last=False)
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3
    assert '"epoch": 2' in (tmp_path / "history.json").read_text()
