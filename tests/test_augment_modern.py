"""The modern augmentation: what moves, what is exchanged, which colours change, how often."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.data.augment.choice import augmentation_name, choose_augmentation
from hierseg_jax.data.augment.classic import augment
from hierseg_jax.data.augment.modern import (
    augment_modern,
    check_scales,
    jitter_colours,
    mirror,
    scale_and_crop,
)
from hierseg_jax.data.pipeline import train_batches
from hierseg_jax.data.resize import RESIZES, Resize
from hierseg_jax.data.sampling import SAMPLINGS
from tests.test_augment import assert_shares, example

SWAP = np.arange(256, dtype=np.uint8)
SWAP[[2, 5]] = 5, 2


def generator(seed):
    return np.random.default_rng(seed)


@given(
    height=st.integers(8, 70),
    width=st.integers(8, 70),
    seed=st.integers(0, 99),
    ignored=st.booleans(),
)
def test_any_size_is_taken_and_nothing_is_written_to(height, width, seed, ignored):
    image, label = example(height, width, seed, ignored)
    image.flags.writeable = label.flags.writeable = False
    new_image, new_label = augment_modern(generator(seed), image, label, SWAP)
    again = augment_modern(generator(seed), image, label, SWAP)
    np.testing.assert_array_equal(new_image, again[0])
    np.testing.assert_array_equal(new_label, again[1])
    assert new_image.shape == image.shape
    assert new_label.shape == label.shape
    assert new_image.dtype == new_label.dtype == np.uint8
    assert set(np.unique(new_label)) <= {255, 2, 5, *np.unique(label)}


def test_a_shrunken_picture_lies_in_a_black_frame_that_is_ignored():
    image, label = np.full((40, 60, 3), 200, np.uint8), np.full((40, 60), 3, np.uint8)
    places = set()
    for seed in range(8):
        new_image, new_label = scale_and_crop(
            generator(seed), image, label, label.shape, (0.5, 0.5)
        )
        assert (new_label == 3).sum() == 20 * 30
        assert (new_label == 255).sum() == 40 * 60 - 20 * 30
        np.testing.assert_array_equal(new_image[new_label == 3], 200)
        np.testing.assert_array_equal(new_image[new_label == 255], 0)
        places.add(tuple(np.argwhere(new_label == 3)[0]))
    assert len(places) > 4


def test_an_enlarged_picture_is_a_part_of_the_whole():
    """Twice as large: every pixel becomes a block of four, whatever the part."""
    label = np.arange(20 * 12, dtype=np.uint8).reshape(20, 12)
    image = np.repeat(label[..., None], 3, axis=-1)
    places = set()
    for seed in range(8):
        new_image, new_label = scale_and_crop(generator(seed), image, label, label.shape, (2, 2))
        top, left = divmod(int(new_label[0, 0]), 12)
        expected = label[top : top + 10, left : left + 6].repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(new_label, expected)
        assert new_image.shape == image.shape
        places.add((top, left))
    assert len(places) > 4


@pytest.mark.parametrize("size", [(96, 96), (96, 131), (75, 50)])
def test_image_and_label_move_together(size):
    _, label = example(*size, seed=3)
    image = np.zeros((*size, 3), np.uint8)
    image[..., 0] = label * 30
    kernel = np.ones((5, 5), np.uint8)
    compared = 0
    for seed in range(10):
        new_image, new_label = scale_and_crop(generator(seed), image, label, label.shape)
        new_image, new_label = mirror(new_image, new_label)
        inside = cv2.erode(new_label, kernel) == cv2.dilate(new_label, kernel)
        inside &= new_label != 255
        compared += inside.mean()
        red = new_image[..., 0].astype(int)
        assert np.abs(red - new_label.astype(int) * 30)[inside].max(initial=0) <= 1
    assert compared > 2


@pytest.mark.parametrize("rule", RESIZES)
@pytest.mark.parametrize("augment", ["none", "modern"])
def test_what_lies_beside_a_picture_is_labelled_as_the_rule_says(augment, rule):
    """Bars and the free part of the frame; pixels and other labels are as without."""
    size, differing = (32, 48), 0
    ignoring, labelling = (
        choose_augmentation(augment, size, Resize(rule, beside=beside)) for beside in (255, 9)
    )
    for seed in range(20):
        image, label = example(80, 40 + 5 * seed, seed)
        expected_image, expected = ignoring(generator(seed), image, label)
        found_image, found = labelling(generator(seed), image, label)
        np.testing.assert_array_equal(found_image, expected_image)
        np.testing.assert_array_equal(found[expected != 255], expected[expected != 255])
        assert (found[expected == 255] == 9).all()
        differing += (expected == 255).any()
    assert (differing > 5) == (augment == "modern" or rule == "letterbox")


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("rule", RESIZES)
def test_every_rule_and_sampling_gives_pictures_of_the_size(rule, sampling):
    transform = choose_augmentation("modern", (32, 48), Resize(rule, sampling))
    for seed in range(20):
        shape = 20 + 7 * seed, 150 - 6 * seed
        image, label = example(*shape, seed)
        new_image, new_label = transform(generator(seed), image, label)
        assert new_image.shape == (32, 48, 3)
        assert new_label.shape == (32, 48)
        assert set(np.unique(new_label)) <= {255, *np.unique(label)}


@given(
    height=st.integers(8, 200),
    width=st.integers(8, 200),
    side=st.integers(8, 96),
    rule=st.sampled_from(RESIZES),
)
def test_a_framed_picture_stretched_is_where_its_rule_puts_it(height, width, side, rule):
    """To a pixel of the picture, for its bars are whole ones of these."""
    placement = Resize(rule).place((height, width), (side, 64))
    image, label = example(height, width, seed=0)
    image, label = placement.framed(image, label)
    inside = np.argwhere(label != 255)
    scale = np.array(placement.size) / label.shape
    filled = placement.filled
    corners = (filled.top, filled.left), (filled.top + filled.height, filled.left + filled.width)
    found = inside.min(0) * scale, (inside.max(0) + 1) * scale
    np.testing.assert_allclose(found, corners, atol=scale.max() + 1)


def test_what_is_enlarged_is_seen_in_the_picture_s_own_pixels():
    """A part of half its sides, of a picture twice the size: as it is, not shrunk and enlarged."""
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    label = np.random.default_rng(1).integers(0, 9, (96, 128), np.uint8)
    new_image, new_label = scale_and_crop(generator(3), image, label, (48, 64), (2, 2))
    places = [
        (top, left)
        for top in range(49)
        for left in range(65)
        if (image[top : top + 48, left : left + 64] == new_image).all()
    ]
    assert len(places) == 1
    top, left = places[0]
    np.testing.assert_array_equal(new_label, label[top : top + 48, left : left + 64])


def test_scales_halve_as_often_as_they_double():
    label = np.zeros((64, 64), np.uint8)
    image = np.zeros((64, 64, 3), np.uint8)
    rng, draws = generator(0), 2000
    shrunk = [(scale_and_crop(rng, image, label, (64, 64))[1] != 255).mean() for _ in range(draws)]
    assert_shares({"shrunk": sum(part < 1 for part in shrunk)}, {"shrunk": 0.49}, draws)
    assert min(shrunk) < 0.26
    assert min(shrunk) >= 0.25


def test_scales_are_those_of_the_config():
    """From 0.8 to 3.2 two thirds of all enlarge, and the largest shows a tenth of the picture."""
    rows = np.repeat(np.arange(128, dtype=np.uint8)[:, None], 128, 1)
    image = np.zeros((128, 128, 3), np.uint8)
    resize, draws, counts = Resize(), 1000, {}
    transform = choose_augmentation("modern", (64, 64), resize, scales=(0.8, 3.2))
    rng = generator(0)
    labels = [transform(rng, image, rows)[1] for _ in range(draws)]
    counts["shrunk"] = sum((of == 255).any() for of in labels)
    assert_shares(counts, {"shrunk": np.log(1 / 0.8) / np.log(4) - 0.01}, draws)
    assert min((of != 255).mean() for of in labels) == pytest.approx(0.8**2, abs=0.03)
    assert min(len(np.unique(of)) for of in labels) == 128 / 3.2


@pytest.mark.parametrize("given", [(), (1.0,), (2.0, 0.5), (0.05, 1), (1, 5), ("a", 2)])
def test_scales_that_can_t_be_are_refused(given):
    with pytest.raises(ValueError, match=r"must be two numbers, .*, from 0\.1 to 4\."):
        check_scales(given)


def test_a_mirror_exchanges_left_and_right():
    image, label = example(40, 30, seed=1)
    label[3, 4], label[7, 9], label[0, 0] = 2, 5, 255
    new_image, new_label = mirror(image, label, SWAP)
    np.testing.assert_array_equal(new_image, image[:, ::-1])
    flipped = label[:, ::-1]
    for before, after in ((2, 5), (5, 2), (255, 255), (0, 0), (1, 1)):
        np.testing.assert_array_equal(new_label[flipped == before], after)
    np.testing.assert_array_equal(mirror(*mirror(image, label, SWAP), SWAP)[1], label)
    np.testing.assert_array_equal(mirror(image, label)[1], flipped)


def test_half_of_the_examples_are_mirrored_with_their_classes():
    label = np.full((8, 8), 2, np.uint8)
    label[:, :4] = 0
    image = np.zeros((8, 8, 3), np.uint8)
    rng, draws, count = generator(0), 1000, 0
    for _ in range(draws):
        new_label = augment_modern(rng, image, label, SWAP, scales=(1, 1))[1]
        flipped = new_label[0, 0] != 0
        np.testing.assert_array_equal(new_label, SWAP[label[:, ::-1]] if flipped else label)
        count += flipped
    assert_shares({"mirrored": count}, {"mirrored": 0.5}, draws)


class Fixed:
    """A generator that applies the changes named, all of them to the same extent."""

    def __init__(self, applied, extent):
        self.applied, self.extent = list(applied), extent

    def random(self):
        return 0.0 if self.applied.pop(0) else 1.0

    def uniform(self, least, most):
        return least + (most - least) * self.extent


def jitter(image, applied, extent):
    label = np.zeros(image.shape[:2], np.uint8)
    new_image, new_label = jitter_colours(Fixed(applied, extent), image, label)
    assert new_label is label
    return new_image


def test_every_colour_changes_as_it_says():
    image = np.random.RandomState(0).randint(0, 256, (30, 40, 3), dtype=np.uint8)
    plain = image.astype(float)
    np.testing.assert_array_equal(jitter(image, [0, 0, 0, 0], 1.0), image)
    brighter = jitter(image, [1, 0, 0, 0], 1.0)
    np.testing.assert_array_equal(brighter, np.minimum(plain + 32, 255))
    flatter = jitter(image, [0, 1, 0, 0], 0.0)
    np.testing.assert_array_equal(flatter, np.rint(plain * 0.5))

    def hsv(x):
        return cv2.cvtColor(x.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)

    strong = (hsv(image)[..., 1] > 0.3) & (hsv(image)[..., 2] > 0.3)
    paler = jitter(image, [0, 0, 1, 0], 0.0)
    np.testing.assert_allclose(hsv(paler)[strong][:, 1], hsv(image)[strong][:, 1] / 2, atol=0.02)
    np.testing.assert_allclose(hsv(paler)[strong][:, 2], hsv(image)[strong][:, 2], atol=0.01)
    turned = jitter(image, [0, 0, 0, 1], 1.0)
    turn = (hsv(turned)[strong][:, 0] - hsv(image)[strong][:, 0]) % 360
    np.testing.assert_allclose(turn, 18, atol=5)


def test_each_of_the_four_changes_is_made_half_of_the_time():
    image, label = example(8, 8)
    rng, draws = generator(0), 4000
    same = sum(np.array_equal(jitter_colours(rng, image, label)[0], image) for _ in range(draws))
    # A draw may round to no change; that of the hue does in 1 of 18.
    assert abs(same / draws - 1 / 16) < 0.02 + 4.5 * math.sqrt(1 / 16 / draws)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (True, "reference"),
        (False, "none"),
        ("true", "reference"),
        ("none", "none"),
        ("reference", "reference"),
        ("modern", "modern"),
    ],
)
def test_an_augmentation_goes_by_name(value, name):
    assert augmentation_name(value) == name
    transform = choose_augmentation(value, (64, 64), Resize())
    image, label = example(64, 64, seed=0)
    given = {"none": lambda rng, *pair: pair, "reference": augment, "modern": augment_modern}[name]
    for seed in range(20):
        expected = given(generator(seed), image, label)
        for new, old in zip(transform(generator(seed), image, label), expected, strict=True):
            np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("value", ["moderne", "", None, 2, 0.5])
def test_another_augmentation_is_refused(value):
    with pytest.raises(ValueError, match="must be none, reference or modern"):
        augmentation_name(value)


class TwoSides:
    """The left half is class 2, the right one background; red left, blue right."""

    def __len__(self):
        return 16

    def __getitem__(self, index):
        image, label = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
        image[:, :8, 0], image[:, 8:, 2], label[:, :8] = 255, 255, 2
        return {"image": image, "label": label}


@pytest.mark.parametrize("workers", [0, 1])
def test_the_pipeline_exchanges_classes_too(workers):
    batches = train_batches(
        TwoSides(),
        size=(16, 16),
        batch_size=16,
        seed=0,
        augment="modern",
        mirrored=SWAP,
        worker_count=workers,
    )
    labels = next(batches)["label"]
    batches.close()
    found = {label for label in labels.ravel().tolist() if label not in (0, 255)}
    assert found == {2, 5}
    for label in labels:
        columns = np.flatnonzero(((label == 2) | (label == 5)).any(0))
        background = np.flatnonzero((label == 0).any(0))
        if len(columns) and len(background):
            assert (columns.mean() < background.mean()) == (2 in label)
