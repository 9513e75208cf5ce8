"""Training pictures on the device, augmented there: the host's examples up to OpenCV's rounding."""

import functools
import sys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.augment.drawn import draw_modern
from hierseg_jax.data.augment.modern import (
    SCALES,
    Jitter,
    augment_modern,
    draw_jitter,
    draw_placement,
)
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.pipeline import drawn_batches, train_batches
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.resize import RESIZES, Resize
from hierseg_jax.data.sized_examples import most_pixels
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train import cache_choice
from hierseg_jax.train.cache_choice import choose_cache
from hierseg_jax.train.on_device import device_cache
from hierseg_jax.train.on_device.augmentation import augmented
from hierseg_jax.train.on_device.colour_jitter import hsv, jittered
from hierseg_jax.train.on_device.resampling import resampled, taps
from hierseg_jax.train.on_device.stored_pictures import store_pictures
from hierseg_jax.train.run import describe
from hierseg_jax.train.set_up import set_up
from tests.conftest import xla_flags
from tests.runs import assert_bit_identical, small_settings, train_here
from tests.runs import run as run_process
from tests.test_augment import example, generator
from tests.test_cache import assert_equal
from tests.test_pipeline import take

SIZE = (32, 48)
SWAP = np.arange(256, dtype=np.uint8)
SWAP[[2, 5]] = SWAP[[5, 2]]


def planes_of(image, label):
    return np.concatenate([np.moveaxis(image, -1, 0), label[None]])


def axis_taps(placement, points=(2, 2)):
    """Of rows and of columns."""
    seen, filled, size = placement.seen, placement.filled, placement.size
    rows = taps(
        (seen.top, seen.height), (filled.top, filled.height), jnp.arange(size[0]), points[0]
    )
    columns = taps(
        (seen.left, seen.width), (filled.left, filled.width), jnp.arange(size[1]), points[1]
    )
    return rows, columns


resample = jax.jit(lambda planes, rows, columns: resampled(planes, rows, columns))


@settings(max_examples=25)
@given(height=st.integers(8, 64), width=st.integers(8, 96), seed=st.integers(0, 10**6))
def test_pixels_are_taken_from_where_the_host_takes_them_to_a_hundredth_of_a_pixel(
    height, width, seed
):
    placement = draw_placement(generator(seed), (height, width), SIZE)
    for axis, of_axis in enumerate(axis_taps(placement)):
        # Where a pixel is the mean of two points, its centre lies between them.
        position = np.array(of_axis.low) + np.array(of_axis.weight) / 2048 + 0.5
        found = position.reshape(-1, 2).mean(1)
        centres = np.arange(SIZE[axis]) + 0.5
        expected = placement.to_picture(np.stack([centres, centres], 1))[:, axis]
        start, length = np.array([placement.seen.top, placement.seen.height])
        if axis:
            start, length = placement.seen.left, placement.seen.width
        # Beyond the centres of the outermost pixels there is nothing to go between.
        near_edge = (expected < start + 1) | (expected > start + length - 1)
        inside = np.array(of_axis.inside) & ~near_edge
        np.testing.assert_allclose(found[inside], expected[inside], atol=0.01)
        filled = placement.filled
        first, count = ((filled.top, filled.height), (filled.left, filled.width))[axis]
        np.testing.assert_array_equal(
            np.flatnonzero(np.array(of_axis.inside)), np.arange(first, first + count)
        )


@pytest.mark.parametrize("picture", [(40, 50), (64, 96), (20, 90)])
def test_noise_becomes_the_host_s_pixels_to_a_rounding_and_labels_become_its_labels(picture):
    """Neighbours in noise differ by up to 255 steps: two steps are less than 0.01 of a pixel."""
    differing = []
    for seed in range(25):
        rng = generator(seed)
        placement = draw_placement(rng, picture, SIZE)
        image = rng.integers(0, 256, (*picture, 3), np.uint8)
        label = cv2.resize(
            rng.integers(0, 5, (6, 7), np.uint8), picture[::-1], interpolation=cv2.INTER_NEAREST
        )
        label[rng.random(picture) < 0.03] = 255
        found, found_label = resample(planes_of(image, label), *axis_taps(placement))
        expected = placement.fit_image(image, bars=0).astype(int)
        # One where OpenCV's weights are floating, and one more in the mean of two points.
        difference = np.abs(np.moveaxis(found, 0, -1) - expected)
        assert difference.max() <= 2
        assert (difference > 1).mean() < 1e-3
        differing.append((np.array(found_label) != placement.fit_labels(label)).mean())
    # Shares of a pixel that differ by a step of 255 may be told apart otherwise.
    assert np.mean(differing) < 5e-4


def test_colours_are_the_host_s_to_a_step_of_rounding():
    image = np.random.RandomState(0).randint(0, 256, (200, 300, 3), dtype=np.uint8)
    planes = jnp.moveaxis(image, -1, 0).astype(jnp.int32)
    in_hsv = np.stack(hsv(planes), -1)
    np.testing.assert_array_equal(in_hsv, cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    jitter_on_device = jax.jit(jittered)
    given_jitters = [Jitter(), Jitter(32, 1.5), Jitter(-32, 0.5), Jitter(0, 1, 1.0, 0)]
    for jitter in [*given_jitters, *(draw_jitter(generator(seed)) for seed in range(40))]:
        tables = jitter.values, jitter.saturations
        coloured = jitter.saturation is not None
        found = np.moveaxis(jitter_on_device(planes, *tables, jitter.hue, coloured), 0, -1)
        difference = np.abs(found - jitter.of(image).astype(int))
        assert difference.max() <= (1 if coloured else 0)


augment_batch = jax.jit(
    functools.partial(augmented, mirrored=SWAP, size=SIZE), static_argnames=("scales", "beside")
)


def device_examples(pictures, batch, scales=SCALES, beside=255):
    """As NumPy arrays; one program is compiled for all tests of the same scales."""
    count, _, *sides = pictures.planes_n4hw.shape
    height, width = most_pixels(SIZE, scales[1])
    missing = 10 - count, 0, height - sides[0], width - sides[1]
    planes = np.pad(pictures.planes_n4hw, [(0, of) for of in missing])
    return jax.device_get(augment_batch(planes, batch, scales=scales, beside=beside))


class Various:
    """Pictures of various shapes, by default within what the device keeps of them."""

    def __init__(self, count=10, most=(64, 96)):
        self.count, self.most = count, most

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = generator(index)
        height, width = (int(rng.integers(most // 2, most + 1)) for most in self.most)
        image, label = example(height, width, seed=index)
        # Photographs are smooth: what differs by a step before HSV then differs by few after it.
        return {"image": cv2.GaussianBlur(image, (5, 5), 0), "label": label}


@pytest.mark.parametrize(
    ("rule", "scales", "beside"),
    [
        *((rule, SCALES, 255) for rule in RESIZES),
        *(("stretch", scales, 255) for scales in ((1.0, 3.0), (0.5, 3.0), (0.3, 1.5))),
        ("letterbox", SCALES, 0),
    ],
)
def test_the_device_makes_the_examples_that_the_host_makes(rule, scales, beside):
    """Of the same draws, batch by batch: the same pictures, the same parts, the same colours."""
    resize, source = Resize(rule, beside=beside), Various(most=most_pixels(SIZE, scales[1]))
    pictures = store_pictures(source, SIZE, resize, scales[1])
    assert (pictures.shapes_n2 <= most_pixels(SIZE, scales[1])).all()
    assert (pictures.shapes_n2 > most_pixels(SIZE)).any() == (scales[1] > SCALES[1])
    options = {"size": SIZE, "batch_size": 5, "seed": 3, "scales": scales}
    drawn = take(drawn_batches(pictures.shapes_n2, **options), 4)
    host = take(train_batches(source, resize=resize, augment="modern", mirrored=SWAP, **options), 4)
    for batch, expected in zip(drawn, host, strict=True):
        found = device_examples(pictures, batch, scales, beside)
        assert set(found) == {"image", "label", "valid"}
        assert found["image"].dtype == found["label"].dtype == np.uint8
        difference = np.abs(found["image"].astype(int) - expected["image"])
        assert difference.mean() < 0.3
        assert (difference > 12).mean() < 1e-3
        assert (found["label"] != expected["label"]).mean() < 1e-3
        np.testing.assert_array_equal(found["valid"], expected["valid"])
        labels = [source[index]["label"] for index in batch["index"]]
        shown = np.unique(np.concatenate([of.ravel() for of in labels]))
        assert pictures.labels_in(batch)[shown].all()


def test_a_large_picture_is_kept_in_as_many_pixels_as_the_largest_scale_shows():
    source = Various(5, (300, 180))
    pictures = store_pictures(source, SIZE, Resize())
    assert most_pixels(SIZE) == (64, 96)
    for index, (height, width) in enumerate(pictures.shapes_n2.tolist()):
        kept = np.moveaxis(pictures.planes_n4hw[index, :3, :height, :width], 0, -1)
        shape = source[index]["label"].shape
        assert (height, width) == (min(64, shape[0]), min(96, shape[1]))
        placement = Resize().place(shape, (height, width))
        np.testing.assert_array_equal(kept, placement.fit_image(source[index]["image"]))


def test_draws_are_the_host_s_own():
    for seed in range(30):
        image, label = example(50, 70, seed=seed)
        drawn = draw_modern(
            SIZE, SCALES, {"index": 0, "shape": np.array([50, 70])}, generator(seed)
        )
        expected = augment_modern(generator(seed), image, label, None, SIZE)
        placement = draw_placement(generator(seed), (50, 70), SIZE)
        assert drawn["seen"].tolist() == list(vars(placement.seen).values())
        assert drawn["filled"].tolist() == list(vars(placement.filled).values())
        flip = slice(None, None, -1 if drawn["mirrored"] else 1)
        np.testing.assert_array_equal(placement.fit_labels(label)[:, flip], expected[1])


def test_examples_are_the_same_bits_however_a_batch_is_spread():
    pictures = store_pictures(Various(), SIZE, Resize())
    options = {"size": SIZE, "batch_size": 10, "seed": 7}
    whole = take(drawn_batches(pictures.shapes_n2, **options), 4)
    later = take(drawn_batches(pictures.shapes_n2, start_step=3, **options), 1)
    assert_equal(later, whole[3:])
    examples = device_examples(pictures, whole[3])
    for index in range(2):
        share = {"process_index": index, "process_count": 2}
        part = take(drawn_batches(pictures.shapes_n2, **options, **share), 4)[3]
        for key, value in device_examples(pictures, part).items():
            np.testing.assert_array_equal(value, examples[key][index::2])


def choose(source=None, sizes=((32, 32),), **changes):
    given = {"augment": "modern", "data__cache": "device"} | changes
    source = source or FiguresSource("train", 32, 33)
    settings = small_settings(**given)
    resize = settings.data.training_resizing(0)
    return choose_cache(settings, source, sizes, all_devices(), SWAP, resize)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"augment": "reference"}, "the device makes augment=modern alone"),
        (
            {"augment_scales": (0.25, 2)},
            "the largest is 6 times the least at most; here .* 0.25, 2;",
        ),
        ({"data__sampling": "reference"}, r"with data\.sampling=exact"),
        ({"sizes": ((16, 16), (32, 32))}, r"this run has several \(progressive\)"),
        ({"data__spec": "my:pictures"}, "my:pictures is code"),
        ({"teacher": "somewhere"}, "a teacher's word"),
        (
            {"source": Mixture(["a", "b"], [FiguresSource("train", 32, 9)] * 2, [1.0, 0.5])},
            "pictures of several data sets, or of folders beside one, are drawn",
        ),
    ],
)
def test_what_the_device_cannot_do_is_refused(changes, why):
    with pytest.raises(HiersegError, match=rf"data\.cache is device, and .*{why}"):
        choose(**changes)


def test_a_split_too_large_for_the_device_is_refused(monkeypatch):
    monkeypatch.setattr(device_cache, "_device_memory", lambda parallel: 200_000)
    with pytest.raises(HiersegError, match=r"take about 0\.00014 GB, more than 25%"):
        choose()
    monkeypatch.setattr(device_cache, "_device_memory", lambda parallel: 2_000_000)
    assert "kept on the device, which augments them" in choose().said


def test_a_gpu_augments_where_it_can_and_a_cpu_where_it_is_asked_to(monkeypatch):
    assert choose(data__cache="auto").batches is None
    monkeypatch.setattr(cache_choice, "outruns_the_host", lambda parallel: True)
    assert choose(data__cache="auto").batches is not None
    assert choose(data__cache="host").batches is None
    said = choose(data__cache="auto", augment="reference").said
    assert "kept in memory" in said
    assert "not on the device: the device makes augment=modern alone" in said
    # Of what nobody asked for by name, less.
    monkeypatch.setattr(device_cache, "_device_memory", lambda parallel: 8 * 33 * 4 * 32 * 32 - 8)
    assert "more than 12.5% of a device's" in choose(data__cache="auto").said
    assert choose(data__cache="device").batches is not None


@pytest.mark.parametrize(("share", "size"), [((), (32, 32)), ((0.5,), (16, 16))])
def test_a_run_has_batches_of_the_host_s_examples(tmp_path, share, size):
    """From its middle, too; also where all are smaller than the network will see."""
    changes = {"augment": "modern", "data__cache": "device", "progressive": share}
    run = set_up(small_settings(**changes), tmp_path)
    assert "on the device, which augments them: 33 training pictures" in describe(run)
    assert run.cache.labels_in.__self__.planes_n4hw.base is None  # no pictures stay on the host
    options = {"size": size, "batch_size": 8, "seed": 0, "mirrored": run.hierarchy.mirrored}
    # What is beside a picture is background here as there.
    options |= {"augment": "modern", "resize": run.settings.data.training_resizing(0)}
    for start_step in (0, 5):
        found = run.put_batch(next(run.train_batches(start_step=start_step)))
        host = train_batches(run.train_source, start_step=start_step, **options)
        expected = take(host, 1)[0]
        difference = np.abs(np.asarray(found["image"], int) - expected["image"])
        assert difference.mean() < 0.3
        assert (np.asarray(found["label"]) != expected["label"]).mean() < 1e-3


@pytest.mark.slow
def test_a_run_on_the_device_goes_on_to_the_same_bits(tmp_path):
    changes = {"augment": "modern", "data__cache": "device"}
    changes |= {"ema_decay": 0.9, "reestimate_statistics": 1}
    train_here(tmp_path / "whole", **changes)
    train_here(tmp_path / "cut", **changes | {"epochs": 1})
    train_here(tmp_path / "cut", **changes)
    assert_bit_identical(tmp_path / "cut", tmp_path / "whole")


SEVERAL = """
import jax, numpy as np
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.train.cache_choice import choose_cache
from tests.runs import small_settings

source = FiguresSource("train", 48, 33)
settings = small_settings(augment="modern", data__cache="device")
found = []
everything = tuple(jax.devices())
for devices, way in ((everything[:1], "pmap"), (everything, "pmap"), (everything, "jit")):
    parallel = Parallel(devices, devices, way)
    as_they_are, resize = np.arange(256, dtype=np.uint8), settings.data.resizing
    cache = choose_cache(settings, source, [(32, 32)], parallel, as_they_are, resize)
    batch = cache.put_batch(next(cache.batches()))
    found.append(batch)
assert len(jax.devices()) == 4
for key, of_one in found[0].items():
    for of_four in found[1:]:
        np.testing.assert_array_equal(np.asarray(of_four[key]).reshape(of_one.shape), of_one)
"""


@pytest.mark.slow
def test_four_devices_augment_to_the_bits_of_one():
    flags = xla_flags("--xla_force_host_platform_device_count=4")
    done = run_process([sys.executable, "-c", SEVERAL], XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stderr
