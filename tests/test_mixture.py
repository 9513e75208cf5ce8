"""Several data sets as one source, and what an epoch draws of each."""

import pickle

import grain
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.augment.choice import choose_augmentation
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.pipeline import epoch_length, eval_batches, train_batches
from hierseg_jax.data.read.members import Member, parse_members, spec_text
from hierseg_jax.data.read.mixture import Mixture, epoch_order
from hierseg_jax.data.resize import Resize
from tests.test_pipeline import Numbered, assert_equal, numbers, take


@pytest.mark.parametrize(
    ("spec", "members"),
    [
        ("a.yaml", [("a.yaml", 1)]),
        ("a b+c.yaml", [("a b+c.yaml", 1)]),
        (" a.yaml ", [(" a.yaml ", 1)]),
        ("/a*b/c.yaml", [("/a*b/c.yaml", 1)]),
        ("a.yaml + 0.5*b.yaml", [("a.yaml", 1), ("b.yaml", 0.5)]),
        ("2 * figures + tfds:x", [("figures", 2), ("tfds:x", 1)]),
        (["a.yaml", "1e-1*b.yaml + c.yaml"], [("a.yaml", 1), ("b.yaml", 0.1), ("c.yaml", 1)]),
        (("0.5*a.yaml",), [("a.yaml", 0.5)]),
    ],
)
def test_a_sum_or_a_list_names_data_sets_and_weights(spec, members):
    assert parse_members(spec) == tuple(Member(*member) for member in members)
    if len(members) > 1:
        assert parse_members(spec_text(spec)) == parse_members(spec)


def test_a_path_that_exists_is_one_data_set(tmp_path):
    file = tmp_path / "a + 2*b.yaml"
    assert len(parse_members(str(file))) == 2
    file.touch()
    assert parse_members(str(file)) == (Member(str(file)),)
    assert parse_members([str(file), "c.yaml"])[0] == Member(str(file))


COUNTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 20)), min_size=1, max_size=4)


@settings(max_examples=60)
@given(COUNTS, st.integers(0, 2**32 - 1))
def test_epochs_draw_all_before_any_again_and_spread_them_evenly(counts, seed):
    lengths, draws = zip(*counts, strict=True)
    ends = np.cumsum([0, *lengths])
    epochs = [epoch_order(lengths, draws, seed, epoch) for epoch in range(4)]
    np.testing.assert_array_equal(epochs[2], epoch_order(lengths, draws, seed, 2))
    of_epochs = []
    for epoch in epochs:
        of = np.searchsorted(ends, epoch, side="right") - 1
        assert np.bincount(of, minlength=len(lengths)).tolist() == list(draws)
        of_epochs.append(of)
        for part, count in enumerate(draws):
            drawn = np.cumsum(of == part)
            even = np.arange(1, len(of) + 1) * count / len(of)
            assert np.abs(drawn - even).max() <= 1 + len(draws)
    for part, length in enumerate(lengths):
        stream = np.concatenate(
            [epoch[of == part] for epoch, of in zip(epochs, of_epochs, strict=True)]
        )
        # Within an epoch the order is that of the shuffle.
        for start in range(0, len(stream) - length + 1, length):
            every = np.arange(ends[part], ends[part + 1])
            np.testing.assert_array_equal(np.sort(stream[start : start + length]), every)


def test_passes_are_shuffled_anew_and_seeds_differ():
    first, second = (epoch_order([40], [40], 0, epoch).tolist() for epoch in (0, 1))
    assert first != second
    assert first != epoch_order([40], [40], 1, 0).tolist()
    assert sorted(first) == sorted(second) == list(range(40))


def mixture(lengths=(6, 10), weights=(1, 0.5)):
    names = [f"{number}.yaml" for number in range(len(lengths))]
    return Mixture(names, [Numbered(count) for count in lengths], weights)


def test_a_mixture_is_a_source_over_its_parts():
    whole = mixture()
    assert len(whole) == 16
    assert epoch_length(whole) == 6 + 5
    assert whole.parts == (("0.yaml", 0, 6), ("1.yaml", 6, 16))
    for copy in (whole, pickle.loads(pickle.dumps(whole))):
        for index, own in ((0, 0), (5, 5), (6, 0), (np.int64(15), 9)):
            np.testing.assert_array_equal(copy[index]["image"], Numbered(10)[own]["image"])
            np.testing.assert_array_equal(copy.label(index), Numbered(10)[own]["label"])
    for index in (-1, 16):
        with pytest.raises(IndexError, match="A mixture of 16 examples has none"):
            whole[index]
    assert mixture((3, 4), (0.5, 2.5)).draws == (2, 10)


OPTIONS = {"size": (32, 32), "batch_size": 4, "seed": 1, "augment": True}


def drawn_figures():
    sources = [FiguresSource("train", 32, 9), FiguresSource("val", 32, 5)]
    return Mixture(["train", "val"], sources, [1, 0.6])


def test_batches_of_a_mixture_depend_on_the_seed_alone_and_can_be_passed_over():
    a = take(train_batches(drawn_figures(), **OPTIONS), 7)
    assert_equal(a, take(train_batches(drawn_figures(), **OPTIONS, worker_count=1), 7))
    assert_equal(a[4:], take(train_batches(drawn_figures(), **OPTIONS, start_step=4), 3))
    assert_equal(a[5:], take(train_batches(drawn_figures(), **OPTIONS, start_step=5), 2))
    b = take(train_batches(drawn_figures(), **OPTIONS | {"seed": 2}), 7)
    assert any(np.any(x["image"] != y["image"]) for x, y in zip(a, b, strict=True))


def test_processes_share_the_batches_of_a_mixture():
    whole = take(train_batches(drawn_figures(), **OPTIONS), 5)
    shares = [
        take(train_batches(drawn_figures(), **OPTIONS, process_index=i, process_count=2), 5)
        for i in (0, 1)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        for key, value in batch.items():
            np.testing.assert_array_equal(value[0::2], parts[0][key])
            np.testing.assert_array_equal(value[1::2], parts[1][key])


class Later(Numbered):
    """Numbered from 100."""

    def __getitem__(self, index):
        return super().__getitem__(index + 100)


def test_an_epoch_of_batches_has_what_the_weights_say():
    """Of 6 pictures and half of 16: 14 in an epoch, 2 batches of 7."""
    both = Mixture(["a", "b"], [Numbered(6), Later(16)], [1, 0.5])
    options = {"size": (16, 16), "batch_size": 7, "seed": 0, "augment": False}
    batches = take(train_batches(both, **options), 4)
    epochs = [numbers(one) + numbers(two) for one, two in (batches[:2], batches[2:])]
    for drawn in epochs:
        assert len(set(drawn)) == 14
        assert {number for number in drawn if number < 100} == set(range(6))
    assert {n for drawn in epochs for n in drawn if n >= 100} == set(range(100, 116))


def test_one_data_set_is_drawn_as_ever():
    """Bit for bit: the order of grain's operations decides about its random numbers."""
    source = FiguresSource("train", 32, 11)
    transform = choose_augmentation(True, (32, 32), Resize())

    def augmented(example, rng):
        image, label_hw = transform(rng, example["image"], example["label"])
        return {"image": image, "label": label_hw, "valid": np.array(True)}

    dataset = grain.MapDataset.source(source).seed(1).shuffle()[:8].repeat().map(lambda x: x)
    dataset = dataset.random_map(augmented).batch(4, drop_remainder=True)
    assert_equal(take(train_batches(source, **OPTIONS), 5), [dataset[i] for i in range(5)])


def test_evaluation_sees_every_part_once_and_in_order():
    batches = eval_batches(mixture(), size=(16, 16), batch_size=5)
    valid = [n for b in batches for n, ok in zip(numbers(b), b["valid"], strict=True) if ok]
    assert valid == [*range(6), *range(10)]
