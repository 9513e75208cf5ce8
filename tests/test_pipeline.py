"""Batches: a function of the seed and the step, whatever reads them."""

import itertools
import multiprocessing

import cv2
import numpy as np
import pytest

from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.pipeline import eval_batches, steps_per_epoch, train_batches
from hierseg_jax.data.resize import Resize


class Numbered:
    """Examples of various sizes whose pixels are their numbers."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        shape = (20 + index % 3, 24 - index % 5)
        return {
            "image": np.full((*shape, 3), index, np.uint8),
            "label": np.full(shape, index % 7, np.uint8),
        }


def numbers(batch):
    return batch["image"][:, 0, 0, 0].tolist()


def take(batches, count):
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def assert_equal(a, b):
    for x, y in zip(a, b, strict=True):
        for key in ("image", "label", "valid"):
            np.testing.assert_array_equal(x[key], y[key])


SHUFFLED = {"size": (16, 16), "batch_size": 4, "seed": 3, "augment": False}


def test_batches_keep_the_contract():
    (batch,) = take(train_batches(Numbered(10), **SHUFFLED), 1)
    assert batch["image"].shape == (4, 16, 16, 3)
    assert batch["label"].shape == (4, 16, 16)
    assert batch["image"].dtype == batch["label"].dtype == np.uint8
    assert batch["valid"].dtype == bool
    assert batch["valid"].all()
    np.testing.assert_array_equal(batch["label"][:, 0, 0], batch["image"][:, 0, 0, 0] % 7)


def test_every_epoch_is_shuffled_anew_and_drops_another_remainder():
    batches = take(train_batches(Numbered(11), **SHUFFLED), 6)
    epochs = [numbers(batches[i]) + numbers(batches[i + 1]) for i in (0, 2, 4)]
    for epoch in epochs:
        assert len(set(epoch)) == 8
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len({frozenset(epoch) for epoch in epochs}) > 1


def test_batches_depend_on_the_seed_alone():
    options = {"size": (32, 32), "batch_size": 4, "augment": True}
    source = FiguresSource("train", 32, 12)
    a = take(train_batches(source, seed=1, **options), 6)
    assert_equal(a, take(train_batches(source, seed=1, **options), 6))
    assert_equal(a, take(train_batches(source, seed=1, worker_count=2, **options), 6))
    b = take(train_batches(source, seed=2, **options), 6)
    assert any(np.any(x["image"] != y["image"]) for x, y in zip(a, b, strict=True))


def test_a_later_start_passes_over_batches():
    options = {"size": (32, 32), "batch_size": 4, "seed": 1, "augment": True}
    source = FiguresSource("train", 32, 12)
    a = take(train_batches(source, **options), 6)
    assert_equal(a[4:], take(train_batches(source, start_step=4, **options), 2))
    assert_equal(a[4:], take(train_batches(source, start_step=4, worker_count=1, **options), 2))


def test_workers_end_by_themselves():
    # One that is killed may hold a lock that closing waits for.
    source = FiguresSource("train", 32, 12)
    options = {"size": (32, 32), "batch_size": 4, "seed": 1, "augment": True}
    before = set(multiprocessing.active_children())
    batches = train_batches(source, worker_count=2, **options)
    next(batches)
    workers = set(multiprocessing.active_children()) - before
    batches.close()
    assert [worker.exitcode for worker in workers] == [1, 1]


def test_augmentation_is_part_of_training_alone():
    options = {"size": (32, 32), "batch_size": 12, "seed": 1}
    source = FiguresSource("train", 32, 12)
    (plain,) = take(train_batches(source, augment=False, **options), 1)
    (augmented,) = take(train_batches(source, augment=True, **options), 1)
    changed = (plain["image"] != augmented["image"]).any((1, 2, 3))
    assert 0 < changed.sum() < 12


@pytest.mark.parametrize("augment", [False, True])
def test_processes_share_the_batches_of_one(augment):
    options = {"size": (32, 32), "batch_size": 4, "seed": 1, "augment": augment}
    source = FiguresSource("train", 32, 12)
    whole = take(train_batches(source, **options), 5)
    shares = [
        take(train_batches(source, process_index=i, process_count=2, **options), 5) for i in (0, 1)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        for key, value in batch.items():
            np.testing.assert_array_equal(value[0::2], parts[0][key])
            np.testing.assert_array_equal(value[1::2], parts[1][key])


@pytest.mark.parametrize("worker_count", [0, 1])
def test_evaluation_sees_every_example_once_in_order(worker_count):
    batches = list(
        eval_batches(Numbered(10), size=(16, 16), batch_size=4, worker_count=worker_count)
    )
    assert [len(batch["valid"]) for batch in batches] == [4, 4, 4]
    seen = [n for b in batches for n, valid in zip(numbers(b), b["valid"], strict=True) if valid]
    assert seen == list(range(10))
    assert (batches[-1]["label"][2:] == 255).all()


def test_processes_evaluate_every_example_once():
    shares = [
        list(
            eval_batches(
                Numbered(10), size=(16, 16), batch_size=4, process_index=i, process_count=2
            )
        )
        for i in (0, 1)
    ]
    seen = [
        n
        for share in shares
        for batch in share
        for n, valid in zip(numbers(batch), batch["valid"], strict=True)
        if valid
    ]
    assert sorted(seen) == list(range(10))


class Photograph:
    def __init__(self):
        rng = np.random.RandomState(0)
        self.image = rng.randint(0, 256, (37, 53, 3), dtype=np.uint8)
        self.label = rng.randint(0, 7, (37, 53), dtype=np.uint8)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {"image": self.image, "label": self.label}


def test_images_are_stretched_as_the_reference_does():
    source = Photograph()
    how = Resize("stretch", "reference")
    (batch,) = eval_batches(source, size=(24, 24), resize=how, batch_size=1)
    image = cv2.resize(source.image, (24, 24))
    label = cv2.resize(source.label, (24, 24), interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(batch["image"][0], image)
    np.testing.assert_array_equal(batch["label"][0], label)


def test_splits_too_small_are_refused():
    with pytest.raises(ValueError, match="has 3 examples, fewer than a batch of 4"):
        steps_per_epoch(3, 4)
    with pytest.raises(ValueError, match="The split is empty"):
        eval_batches(Numbered(0), size=(16, 16), batch_size=4)
