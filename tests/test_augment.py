"""Augmentation: what holds for every transform, and how often each is applied."""

import collections
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.augment import classic as augment_module
from hierseg_jax.data.augment.choice import AUGMENTATIONS, choose_augmentation
from hierseg_jax.data.augment.classic import GEOMETRIC, PHOTOMETRIC, augment
from hierseg_jax.data.augment.geometry import (
    flip,
    mask_dropout,
    optical_distortion,
    rotate,
    scale_down,
)
from hierseg_jax.data.resize import Resize

ALL = GEOMETRIC + PHOTOMETRIC
MOVING = (*GEOMETRIC, optical_distortion)
LABEL_KEEPING = tuple(t for t in PHOTOMETRIC if t is not optical_distortion)
SEEDS = range(6)


def by_name(transforms):
    return pytest.mark.parametrize("transform", transforms, ids=lambda t: t.__name__)


def generator(seed):
    return np.random.default_rng(seed)


def example(height, width, seed=0, ignored=False):
    """Smooth blobs of classes 0..6, and noise of a few scales as the picture."""
    rng = generator(seed)
    coarse = rng.random((4, 4), np.float32)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    label = np.clip(field * 8 - 1, 0, 6).astype(np.uint8)
    if ignored:
        label[: height // 4] = 255
    coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), label


MASKS = {
    "blobs": example(60, 44)[1],
    "with ignored": example(60, 44, ignored=True)[1],
    "one class": np.full((60, 44), 3, np.uint8),
    "background": np.zeros((60, 44), np.uint8),
    "ignored": np.full((60, 44), 255, np.uint8),
}


@pytest.mark.parametrize("mask", MASKS)
@by_name((*ALL, augment))
def test_transforms_are_pure_and_deterministic_and_invent_no_label(transform, mask):
    image, label = example(60, 44)[0], MASKS[mask].copy()
    image.flags.writeable = label.flags.writeable = False
    image_before, label_before = image.copy(), label.copy()
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    for seed in SEEDS:
        new_image, new_label = transform(generator(seed), image, label)
        again_image, again_label = transform(generator(seed), image, label)
        np.testing.assert_array_equal(new_image, again_image)
        np.testing.assert_array_equal(new_label, again_label)
        assert new_image.shape == image.shape
        assert new_label.shape == label.shape
        assert new_image.dtype == new_label.dtype == np.uint8
        assert set(np.unique(new_label)) <= {0, *np.unique(label)}
    np.testing.assert_array_equal(image, image_before)
    np.testing.assert_array_equal(label, label_before)
    np.testing.assert_array_equal(state, np.random.get_state()[1])


@by_name(ALL)
@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(8, 70),
    width=st.integers(8, 70),
    seed=st.integers(0, 99),
    ignored=st.booleans(),
)
def test_transforms_take_any_size_from_8(transform, height, width, seed, ignored):
    image, label = example(height, width, seed, ignored)
    new_image, new_label = transform(generator(seed), image, label)
    assert new_image.shape == (height, width, 3)
    assert new_label.shape == (height, width)
    assert new_image.dtype == new_label.dtype == np.uint8
    assert set(np.unique(new_label)) <= {0, *np.unique(label)}


@by_name(ALL)
@pytest.mark.parametrize("size", [(8, 400), (400, 8)])
def test_transforms_take_narrow_images(transform, size):
    new_image, _ = transform(generator(0), *example(*size))
    assert new_image.shape == (*size, 3)


@by_name(ALL)
def test_transforms_take_views(transform):
    image, label = example(40, 30)
    image, label = image[::-1, ::-1], label[::-1, ::-1]
    expected = transform(generator(1), image.copy(), label.copy())
    for new, old in zip(transform(generator(1), image, label), expected, strict=True):
        np.testing.assert_array_equal(new, old)


@by_name(LABEL_KEEPING)
def test_photometric_transforms_leave_the_label_and_change_the_image(transform):
    image, label = example(150, 130, ignored=True)
    for seed in SEEDS:
        new_image, new_label = transform(generator(seed), image, label)
        np.testing.assert_array_equal(new_label, label)
        assert (new_image != image).any()


@by_name(MOVING)
@pytest.mark.parametrize("size", [(96, 96), (96, 131), (75, 50)])
def test_image_and_label_move_together(transform, size):
    _, label = example(*size, seed=3)
    image = np.zeros((*size, 3), np.uint8)
    image[..., 0] = label * 30
    kernel = np.ones((5, 5), np.uint8)
    moved = 0
    for seed in SEEDS:
        new_image, new_label = transform(generator(seed), image, label)
        moved += (new_label != label).any()
        # Linear and nearest sampling differ near edges between classes, and at the
        # frame such an edge may lie just outside.
        inside = cv2.erode(new_label, kernel) == cv2.dilate(new_label, kernel)
        inside[:3] = inside[-3:] = inside[:, :3] = inside[:, -3:] = False
        assert inside.mean() > 0.2
        red = new_image[..., 0].astype(int)
        assert np.abs(red - new_label.astype(int) * 30)[inside].max() <= 1
    assert moved


def test_ignored_pixels_move_with_the_rest():
    image, label = example(64, 64, ignored=True)
    for transform in (rotate, flip, scale_down, optical_distortion):
        assert (transform(generator(0), image, label)[1] == 255).any()


def assert_shares(counts, shares, draws):
    """Counts agree with probabilities to 4.5 standard deviations."""
    assert set(counts) <= set(shares)
    for key, p in shares.items():
        assert abs(counts[key] - p * draws) <= 4.5 * math.sqrt(draws * p * (1 - p)), key


def test_composition_has_the_stated_probabilities(monkeypatch):
    applied = []

    def recorder(transform):
        def record(rng, image, label):
            applied.append(transform.__name__)
            return image, label

        return record

    geometric, photometric = ([t.__name__ for t in g] for g in (GEOMETRIC, PHOTOMETRIC))
    monkeypatch.setattr(augment_module, "GEOMETRIC", tuple(map(recorder, GEOMETRIC)))
    monkeypatch.setattr(augment_module, "PHOTOMETRIC", tuple(map(recorder, PHOTOMETRIC)))
    image, label = example(8, 8)
    rng, counts, draws = generator(0), collections.Counter(), 40_000
    for _ in range(draws):
        applied.clear()
        augment(rng, image, label)
        counts[tuple(applied)] += 1
    one_group, both = 0.5 * 0.5 * 0.5, 0.5 * 0.5 * 0.5
    shares = {(): 1 - 0.5 * (1 - 0.25)}
    shares |= {(g,): one_group / 4 for g in geometric}
    shares |= {(p,): one_group / 8 for p in photometric}
    shares |= {(g, p): both / 32 for g in geometric for p in photometric}
    assert math.isclose(sum(shares.values()), 1)
    assert_shares(counts, shares, draws)


def test_groups_are_the_reference_s():
    assert (rotate, flip, scale_down, mask_dropout) == GEOMETRIC
    assert [t.__name__ for t in PHOTOMETRIC] == [
        "motion_blur",
        "optical_distortion",
        "iso_noise",
        "gaussian_noise",
        "fog",
        "rain",
        "shadow",
        "brightness_contrast",
    ]


def test_augment_returns_most_examples_as_they_are():
    image, label = example(16, 16)
    rng, draws = generator(0), 1500
    same = sum(augment(rng, image, label)[0] is image for _ in range(draws))
    assert_shares({"same": same}, {"same": 0.625}, draws)


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "none"])
def test_sets_keep_a_rectangle_s_shape_and_its_labels_on_their_pixels(name):
    size = 48, 80
    label = np.zeros(size, np.uint8)
    cv2.circle(label, (24, 20), 14, 3, cv2.FILLED)
    label[30:44, 50:74] = 5
    image = np.where(label > 0, np.uint8(235), np.uint8(10))[..., None].repeat(3, -1)
    transform, shares, moved = choose_augmentation(name, size, Resize()), [], 0
    for seed in range(200):
        new_image, new_label = transform(generator(seed), image, label)
        assert new_image.shape == (*size, 3)
        assert new_label.shape == size
        # Bright is what is labelled, whatever fog, rain and noise do to it.
        counted = new_label != 255
        agree = (new_image.max(-1) > 75) == (new_label > 0)
        shares.append(agree[counted].mean())
        moved += (new_label != label).any()
    assert moved > 20
    assert np.mean(np.array(shares) > 0.95) > 0.98
