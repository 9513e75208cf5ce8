"""As many threads read as there are cores, and the batches are the same with any number."""

import itertools
import os
import threading

import numpy as np
import pytest

from hierseg_jax.data import batches as reading
from hierseg_jax.data.batches import read_options
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.pipeline import eval_batches, train_batches
from hierseg_jax.data.resize import Resize
from hierseg_jax.system.cores import available_cores

OPTIONS = {"size": (32, 32), "batch_size": 4}


class Together:
    """Every example waits until as many threads as there are cores read at once."""

    def __init__(self, threads):
        self.barrier = threading.Barrier(threads)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        # Fewer threads would wait for ever; the time out ends a failing test alone.
        self.barrier.wait(timeout=60)
        return {"image": np.zeros((8, 8, 3), np.uint8), "label": np.zeros((8, 8), np.uint8)}


@pytest.mark.parametrize("cores", [1, 4, 8])
def test_a_batch_is_read_on_every_core_at_once(monkeypatch, cores):
    monkeypatch.setattr(reading, "available_cores", lambda: cores)
    batches = eval_batches(Together(cores), size=(8, 8), batch_size=1)
    assert len(list(batches)) == 8


def test_threads_are_shared_by_workers_and_bounded():
    def threads(cores, workers):
        return read_options(cores, workers).num_threads

    assert [threads(cores, 0) for cores in (1, 2, 8, 16, 200)] == [1, 2, 8, 16, 16]
    assert [threads(8, workers) for workers in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    # No thread has to wait for room, and few batches are held.
    assert read_options(200, 0).prefetch_buffer_size == 18


def test_cores_are_those_that_the_process_may_use():
    assert available_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("training", [True, False])
def test_batches_are_the_same_whatever_the_number_of_threads(monkeypatch, training):
    source = FiguresSource("train", 32, 22)

    def read(cores):
        monkeypatch.setattr(reading, "available_cores", lambda: cores)
        if training:
            batches = train_batches(source, seed=1, augment=True, **OPTIONS)
        else:
            batches = eval_batches(source, keep_labels=True, **OPTIONS)
        taken = list(itertools.islice(batches, 9))
        batches.close()
        return taken

    one, *others = map(read, (1, 2, 7))
    for other in others:
        assert len(other) == len(one)
        for a, b in zip(one, other, strict=True):
            for key in ("image", "label", "valid"):
                np.testing.assert_array_equal(a[key], b[key])
            for x, y in zip(a.get("whole_label", ()), b.get("whole_label", ()), strict=True):
                np.testing.assert_array_equal(x, y)


def test_evaluation_in_worker_processes_keeps_labels_of_every_size():
    source = FiguresSource("val", 48, 5)
    options = {"keep_labels": True, "resize": Resize("letterbox"), **OPTIONS}
    here, elsewhere = (
        list(eval_batches(source, worker_count=count, **options)) for count in (0, 1)
    )
    for a, b in zip(here, elsewhere, strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])
        for x, y in zip(a["whole_label"], b["whole_label"], strict=True):
            np.testing.assert_array_equal(x, y)
