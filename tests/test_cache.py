"""Pictures that stay in memory: the same batches, and nothing decoded twice."""

import collections
import itertools

import numpy as np
import pytest

from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.picture_cache import CachedSource, Room, byte_count, cached
from hierseg_jax.data.pipeline import eval_batches, train_batches
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.resize import RESIZES, Resize
from hierseg_jax.data.sized_examples import (
    bounded_example,
    bounded_shape,
    fitted_example,
    resized_source,
)
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train import cache_choice
from hierseg_jax.train.cache_choice import SHARE_OF_VALIDATION, choose_cache, keep_validation
from hierseg_jax.train.run import describe
from hierseg_jax.train.set_up import set_up
from tests.runs import small_settings
from tests.test_pipeline import take

AMPLE = 10**9


class Counting:
    """Figures of which it is counted how often each was read; some can't be."""

    def __init__(self, count, broken=()):
        self.source, self.broken = FiguresSource("train", 40, count), set(broken)
        self.reads = collections.Counter()

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        self.reads[index] += 1
        if index in self.broken:
            raise HiersegError(f"picture {index} can't be read")
        return self.source[index]

    def inventory(self):
        return self.source.inventory()


def batches_of(source, count=7, **options):
    given = {"size": (32, 32), "batch_size": 4, "seed": 1, "augment": "modern"} | options
    return take(train_batches(source, **given), count)


def assert_equal(a, b):
    for x, y in itertools.zip_longest(a, b):
        for key in x.keys() | y.keys():
            np.testing.assert_array_equal(x[key], y[key])


@pytest.mark.parametrize("sampling", ["exact", "reference"])
@pytest.mark.parametrize("augment", ["none", "reference", "modern"])
def test_cached_batches_are_the_same_bits(augment, sampling):
    source, resize = Counting(10), Resize("letterbox", sampling)
    options = {"augment": augment, "resize": resize, "size": (32, 48)}
    expected = batches_of(source, **options)
    assert_equal(batches_of(cached(source, Room(AMPLE)), **options), expected)
    if augment != "modern" or sampling == "reference":
        fitted = resized_source(source, fitted_example, (32, 48), resize)
        assert_equal(batches_of(cached(fitted, Room(AMPLE)), **options), expected)


def test_a_worker_with_a_cache_of_its_own_gives_the_same_batches():
    source = FiguresSource("train", 40, 10)
    kept = cached(source, Room(AMPLE))
    assert_equal(batches_of(kept, worker_count=1), batches_of(source))


def test_no_picture_is_read_twice():
    source = Counting(10)
    kept = cached(source, Room(AMPLE))
    for index in [*range(10), *range(10)]:
        assert_equal([kept[index]], [source.source[index]])
        np.testing.assert_array_equal(kept.label(index), source.source[index]["label"])
    assert set(source.reads.values()) == {1}
    assert sum(source.reads.values()) == 10


def test_what_finds_no_room_is_read_again():
    source = Counting(10)
    room = Room(4 * byte_count(source.source[0]) + 1)
    kept = cached(source, room)
    for _ in range(2):
        for index in range(10):
            assert_equal([kept[index]], [source.source[index]])
    assert sorted(source.reads.values()) == [1] * 4 + [2] * 6
    # Batches are the same whatever was kept.
    assert_equal(batches_of(kept), batches_of(source))


def test_a_picture_read_by_two_threads_at_once_takes_room_once():
    class Late:
        """The first question is answered after a second one was, as with two threads."""

        def __init__(self):
            self.source, self.kept = Counting(2), None

        def __len__(self):
            return 2

        def __getitem__(self, index):
            if index == 0 and not self.source.reads[0]:
                self.source.reads[0] += 1
                self.kept[0]
            return self.source[index]

    late = Late()
    room = Room(2 * byte_count(late.source.source[0]))
    late.kept = cached(late, room)
    for _ in range(2):
        for index in range(2):
            assert_equal([late.kept[index]], [late.source.source[index]])
    assert late.source.reads[1] == 1, "it found no room: the other one took it twice"


def test_several_data_sets_share_the_room():
    sources = Counting(3), Counting(5)
    mixture = Mixture(["a", "b"], sources, [1.0, 2.0])
    kept = cached(mixture, Room(4 * byte_count(sources[0].source[0])))
    assert isinstance(kept, Mixture)
    assert kept.draws == mixture.draws
    for index in [*range(8), *range(8)]:
        assert_equal([kept[index]], [mixture[index]])
    reads = [count - 2 for source in sources for count in source.reads.values()]
    assert sorted(reads) == [1] * 4 + [2] * 4
    assert_equal(batches_of(kept), batches_of(mixture))


def test_what_cannot_be_read_is_tried_again_and_named_once(capsys):
    source = Counting(6, broken={2})
    kept = cached(SkippingSource(source, replace=True), Room(AMPLE))
    for _ in range(2):
        assert_equal([kept[2]], [source.source[3]])
    assert source.reads[2] == 2
    assert source.reads[3] == 1
    assert capsys.readouterr().err.count("picture 2 can't be read") == 1
    source.broken.clear()
    assert_equal([kept[2]], [source.source[2]])


def test_kept_pictures_cannot_be_written_into_and_the_source_s_own_can():
    class Own(Counting):
        example = FiguresSource("train", 40, 1)[0]

        def __getitem__(self, index):
            return self.example

    kept = cached(Own(1), Room(AMPLE))
    with pytest.raises(ValueError, match="read-only"):
        kept[0]["image"][0] = 0
    assert Own.example["image"].flags.writeable


def choose(monkeypatch, memory, source=None, sizes=((32, 32),), **changes):
    monkeypatch.setattr(cache_choice, "machine_memory", lambda: memory)
    settings = small_settings(**{"augment": "modern"} | changes)
    source = source or FiguresSource("train", 32, 33)
    resize = settings.data.training_resizing(0)
    return choose_cache(settings, source, sizes, all_devices(), np.arange(256), resize)


def is_kept(cache):
    return isinstance(cache.source, CachedSource)


def test_auto_keeps_what_a_quarter_of_the_memory_holds(monkeypatch):
    needed = 33 * 32 * 32 * 4
    cache = choose(monkeypatch, 4 * needed)
    assert is_kept(cache)
    assert "kept in memory once decoded: 33 training pictures, about 0.00014 GB" in cache.said
    cache = choose(monkeypatch, 4 * needed - 4)
    assert not is_kept(cache)
    assert "every epoch decodes its pictures anew" in cache.said
    cache = choose(monkeypatch, 4 * needed, data__worker_count=2)
    assert not is_kept(cache)
    cache = choose(monkeypatch, 4 * needed, data__cache="none")
    assert (is_kept(cache), cache.said) == (False, "")


def test_host_by_name_is_refused_where_there_is_no_memory_for_it(monkeypatch):
    needed = 33 * 32 * 32 * 4
    cache = choose(monkeypatch, 2 * needed, data__cache="host")
    assert is_kept(cache)
    with pytest.raises(HiersegError, match=r"data\.cache is host, and 33 training pictures"):
        choose(monkeypatch, needed, data__cache="host")
    # Where the system does not tell, it is believed.
    cache = choose(monkeypatch, 0, data__cache="host")
    assert is_kept(cache)


def test_pictures_are_kept_at_the_network_s_size_where_that_comes_first(monkeypatch):
    large = FiguresSource("train", 64, 5)
    for changes, side in (
        ({"augment": "modern"}, 64),
        ({"augment": "reference"}, 32),
        ({"augment": "reference", "sizes": ((16, 16), (32, 32))}, 64),
        ({"augment": "modern", "data__sampling": "reference"}, 32),
    ):
        cache = choose(monkeypatch, AMPLE, large, **changes)
        assert cache.source[0]["label"].shape == (side, side)


@pytest.mark.parametrize("cache", ["none", "host"])
@pytest.mark.parametrize("rule", RESIZES)
def test_large_pictures_are_trained_on_in_four_times_the_network_s_size(monkeypatch, rule, cache):
    large, resize = FiguresSource("train", 512, 5), Resize(rule, beside=0)
    given = {"data__resize": rule, "data__cache": cache, "data__image_size": (32, 64)}
    cache = choose(monkeypatch, AMPLE, large, ((32, 64),), **given)
    assert cache.source[0]["label"].shape == bounded_shape((512, 512), (32, 64), resize)
    assert bounded_shape((512, 512), (32, 64), resize) == (128, 256)
    assert cache.resize == Resize(beside=0)
    assert_equal([cache.source[0]], [bounded_example(large[0], (32, 64), resize)])
    # What an example shows in them is what it shows in the picture's own pixels.
    of_own, of_fewer = (
        batches_of(source, size=(32, 64), resize=of, augment="modern", count=3)
        for source, of in ((large, resize), (cache.source, cache.resize))
    )
    for a, b in zip(of_own, of_fewer, strict=True):
        assert (a["label"] != b["label"]).mean() < 0.02
        assert np.abs(a["image"].astype(int) - b["image"]).mean() < 3


def test_a_picture_is_shrunk_only_where_that_halves_its_pixels():
    assert bounded_shape((768, 1500), (192, 192), Resize()) == (768, 1500)
    assert bounded_shape((768, 1536), (192, 192), Resize()) == (768, 768)
    assert bounded_shape((500, 375), (192, 192), Resize()) == (500, 375)


def test_a_part_of_a_picture_does_not_keep_the_whole_in_memory():
    source = [{"image": np.zeros((40, 300, 3), np.uint8), "label": np.zeros((40, 300), np.uint8)}]
    example = bounded_example(source[0], (32, 32), Resize("crop"))
    assert example["label"].shape == (40, 40)
    assert not any(np.shares_memory(example[key], source[0][key]) for key in example)


def test_small_pictures_are_trained_on_to_the_bit_as_they_are(monkeypatch):
    source = FiguresSource("train", 60, 12)
    for rule in RESIZES:
        cache = choose(monkeypatch, AMPLE, source, data__resize=rule)
        found = batches_of(cache.source, resize=cache.resize)
        assert_equal(found, batches_of(source, resize=Resize(rule, beside=0)))


def test_a_teacher_is_asked_about_a_picture_s_own_pixels(monkeypatch):
    large = FiguresSource("train", 256, 5)
    cache = choose(monkeypatch, AMPLE, large, teacher="run")
    assert cache.source[0]["label"].shape == (256, 256)


def test_code_of_a_user_s_own_is_asked_anew(monkeypatch):
    cache = choose(monkeypatch, AMPLE, data__spec="my:pictures")
    assert not is_kept(cache)
    assert "code may change what it gives" in cache.said
    cache = choose(monkeypatch, AMPLE, data__spec="my:pictures", data__cache="host")
    assert is_kept(cache)


def test_a_run_trains_on_the_same_batches_and_says_what_it_keeps(tmp_path):
    taken = []
    for cache in ("none", "auto"):
        run = set_up(small_settings(data__cache=cache), tmp_path)
        assert ("kept in memory once decoded: 33 training" in describe(run)) == (cache != "none")
        taken.append(take(run.train_batches(start_step=2), 9))
    assert_equal(taken[0], taken[1])


@pytest.mark.parametrize("sampling", ["exact", "reference"])
@pytest.mark.parametrize("rule", RESIZES)
def test_validation_pictures_are_read_once_and_their_batches_are_the_same_bits(rule, sampling):
    source = Counting(10, broken={3})
    settings = small_settings(data__resize=rule, data__sampling=sampling, data__image_size=(32, 48))
    options = {"size": (32, 48), "resize": settings.data.resizing, "batch_size": 4}
    kept = SkippingSource(source, replace=False)
    expected = list(eval_batches(kept, **options))
    source.reads.clear()
    kept = keep_validation(settings, SkippingSource(source, replace=False))
    for _ in range(3):
        assert_equal(eval_batches(kept, **options), expected)
    # What can't be read is tried again.
    assert source.reads == dict.fromkeys(range(10), 1) | {3: 3}


def test_as_many_validation_pictures_are_kept_as_there_is_room_for(monkeypatch):
    def reads(memory, **changes):
        monkeypatch.setattr(cache_choice, "machine_memory", lambda: memory)
        source = Counting(10)
        kept = keep_validation(small_settings(**changes), source)
        for _ in range(2):
            for batch in eval_batches(kept, size=(32, 32), batch_size=2):
                assert batch["valid"].all()
        return sum(source.reads.values())

    for_four = int(4 * 32 * 32 * 4 / SHARE_OF_VALIDATION)
    assert reads(for_four) == 16
    assert reads(AMPLE) == 10
    assert reads(AMPLE, data__cache="none") == 20
    assert reads(AMPLE, data__spec="my:pictures") == 20
    assert reads(AMPLE, data__spec="my:pictures", data__cache="host") == 10
    assert reads(AMPLE, data__worker_count=1) == 20
