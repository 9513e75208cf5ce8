"""Progressive resizing: phases, their batches, and runs that go on within them."""

import itertools
import shutil

import jax
import numpy as np
import pytest

from hierseg_jax.checkpoint import checkpoint_steps, find_checkpoint, load_checkpoint
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.models import NETWORKS
from hierseg_jax.settings import Settings, read_settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.phases import (
    Phase,
    batches_in_phases,
    describe_phases,
    plan_phases,
    seconds_left,
)
from hierseg_jax.train.same_run import check_same_run
from hierseg_jax.train.set_up import set_up
from tests.runs import assert_bit_identical, small_settings, train_here
from tests.tiny_network import TINY

# All that is drawn, averaged and computed anew takes part in a resumed run.
ALL = {
    "model__name": "tiny",
    "progressive": (0.5, 1.0),
    "mixing__cutmix": 0.3,
    "mixing__mosaic": 0.3,
    "mixing__backdrop": 0.3,
    "ema_decay": 0.9,
    "reestimate_statistics": 2,
    "epochs": 4,
    "keep_last": 4,
    "patience": 0,
}


def planned(shares, epochs, image_size=192, stride=32):
    values = {"progressive": shares, "epochs": epochs, "data.image_size": image_size}
    return [
        (phase.first, phase.end, phase.size)
        for phase in plan_phases(Settings().replace(values), stride)
    ]


def test_epochs_are_divided_evenly_and_sizes_rounded():
    assert planned((), 5) == [(0, 5, (192, 192))]
    thirds = [(0, 2, (96, 96)), (2, 4, (160, 160)), (4, 5, (192, 192))]
    assert planned((0.5, 0.8, 1), 5) == thirds
    assert planned((0.5, 1.0), 2, (64, 96), 8) == [(0, 1, (32, 48)), (1, 2, (64, 96))]
    # What rounding makes equal is one phase; no side is 0; the last may be below the whole size.
    assert planned((0.98, 1.0), 4) == [(0, 4, (192, 192))]
    assert planned((0.01, 0.7), 2) == [(0, 1, (32, 32)), (1, 2, (128, 128))]
    # Proportions come before the share.
    assert planned((0.8,), 3, (384, 256)) == [(0, 3, (288, 192))]


class Opened:
    """Batches that are numbers and sizes, and know whether they are closed."""

    def __init__(self, size, start_step):
        self.size, self.numbers, self.open = size, itertools.count(start_step), True

    def __iter__(self):
        return self

    def __next__(self):
        assert self.open
        return next(self.numbers), self.size

    def close(self):
        self.open = False


PHASES = (Phase(0, 1, (8, 8)), Phase(1, 3, (16, 16)), Phase(3, 4, (24, 24)))


@pytest.mark.parametrize("start", range(14))
def test_batches_go_on_anywhere_as_if_never_stopped(start):
    opened = []

    def open_batches(size, start_step):
        opened.append(Opened(size, start_step))
        return opened[-1]

    batches = batches_in_phases(open_batches, PHASES, 3, start_step=start)
    found = list(itertools.islice(batches, 16 - start))
    sizes = [(8, 8)] * 3 + [(16, 16)] * 6 + [(24, 24)] * 7
    assert found == list(enumerate(sizes))[start:]
    assert [of.open for of in opened] == [False] * (len(opened) - 1) + [True]
    batches.close()
    assert not any(of.open for of in opened)
    assert len(opened) == len({size for _, size in found})


def test_a_size_changes_neither_examples_nor_their_order(tmp_path):
    run, whole = (
        set_up(small_settings(progressive=shares, augment=False), tmp_path / str(len(shares)))
        for shares in ((0.5, 1.0), ())
    )
    assert describe_phases(whole.phases, (32, 32)) == ""
    expected = "training at 16 pixels from epoch 1, 32 pixels from epoch 2\n"
    assert describe_phases(run.phases, (32, 32)) == expected
    whole_size = (Phase(0, 9, (288, 192)),)
    assert describe_phases(whole_size, (288, 192), (1.0,)) == ""
    told = describe_phases(whole_size, (288, 192), (0.9,))
    assert (
        "all epochs train at 288x192 (height x width) pixels: of the sizes that the network" in told
    )
    one = (Phase(0, 9, (24, 32)),)
    assert describe_phases(one, (32, 32)) == (
        "training at 24x32 (height x width) pixels, validating at 32 (progressive)\n"
    )
    pairs = zip(run.train_batches(start_step=2), whole.train_batches(start_step=2), strict=False)
    for step, (found, large) in enumerate(itertools.islice(pairs, 4), start=2):
        assert found["image"].shape[1:3] == ((16, 16) if step < 4 else (32, 32))
        means = [batch["image"].mean((1, 2)) for batch in (found, large)]
        np.testing.assert_allclose(*means, atol=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two phases that nobody stopped; nobody changes it."""
    NETWORKS["tiny"] = TINY
    workdir = tmp_path_factory.mktemp("phases") / "run"
    yield workdir, train_here(workdir, **ALL)
    del NETWORKS["tiny"]


@pytest.mark.parametrize("epochs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_goes_on_bit_identically_within_a_phase_and_between(finished, tmp_path, epochs):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    for step in checkpoint_steps(workdir):
        if step > 4 * epochs:
            shutil.rmtree(workdir / "checkpoints" / str(step))
    progress = train_here(workdir, **ALL)
    assert_bit_identical(workdir, finished[0])
    assert [row["train_loss"] for row in progress.rows] == [
        row["train_loss"] for row in finished[1].rows
    ]


def test_statistics_computed_anew_are_validated_and_kept(finished):
    workdir, progress = finished
    evaluation, _ = evaluate_checkpoint(workdir, task="val", which="last", batch_size=8)
    assert evaluation.loss == pytest.approx(progress.rows[-1]["val_loss"], rel=1e-5)
    assert progress.rows[-1]["step"] == 16
    statistics = load_checkpoint(find_checkpoint(workdir, "last")).variables["batch_stats"]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(statistics))


def test_epochs_belong_to_phases():
    with pytest.raises(HiersegError, match=r"epochs was 2, now 3\).*Progressive resizing \(prog"):
        check_same_run(
            small_settings(progressive=(0.5, 1.0)),
            small_settings(progressive=(0.5, 1.0), epochs=3),
            "run",
        )
    one = small_settings(progressive=(0.5,))
    check_same_run(one, one.replace({"epochs": 3}), "run")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"progressive": (0.5, 1.5)}, "The config's progressive is (0.5, 1.5); it must be shares"),
        ({"progressive": (0, 1)}, "each above 0 and at most 1."),
        ({"progressive": ("half",)}, "each above 0 and at most 1."),
        ({"progressive": 0.5}, "The config's progressive is 0.5; it must be a list."),
        ({"augment_scales": (0.5, 9)}, "augment_scales is (0.5, 9); it must be two numbers"),
        ({"augment_scales": (0.5, 3)}, "which only augment=modern takes, and augment is reference"),
        ({"progressive": (0.5, 1), "epochs": 1}, "has 2 sizes, one after another, and the run has"),
    ],
)
def test_wrong_values_are_named(values, sentence):
    with pytest.raises(HiersegError) as error:
        read_settings(Settings().replace(values))
    assert sentence in str(error.value)


def test_what_is_left_of_a_run_counts_the_pixels_of_its_phases():
    small, large = Phase(0, 3, (64, 32)), Phase(3, 5, (128, 64))
    assert seconds_left(10.0, 2, 5, (small, large)) == 10.0 + 2 * 40.0
    assert seconds_left(40.0, 4, 5, (small, large)) == 40.0
    assert seconds_left(40.0, 5, 5, (small, large)) == 0.0
    assert seconds_left(7.0, 1, 4, (Phase(0, 4, (64, 64)),)) == 21.0
    assert seconds_left(7.0, 6, 8, (small, large)) == 14.0  # of a run that was given more epochs
