"""Geometric augmentation against its formulas, on image and label."""

import collections
import math
import types

import cv2
import numpy as np
import pytest

from hierseg_jax.data.augment.geometry import (
    flip,
    mask_dropout,
    optical_distortion,
    rotate,
    scale_down,
)
from tests.test_augment import SEEDS, assert_shares, example, generator


def test_rotation_by_a_right_angle_is_exact():
    image, label = example(40, 40, ignored=True)
    quarter = types.SimpleNamespace(uniform=lambda low, high: 90.0)
    new_image, new_label = rotate(quarter, image, label)
    np.testing.assert_array_equal(new_image, np.rot90(image))
    np.testing.assert_array_equal(new_label, np.rot90(label))


def test_rotation_turns_about_the_centre_by_the_drawn_angle_with_mirrored_edges():
    image, label = example(50, 37)
    height, width = label.shape
    angle = math.radians(generator(5).uniform(-60, 60))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    dx, dy = x - (width - 1) / 2, y - (height - 1) / 2
    # y points down, hence anticlockwise on the screen is this.
    source_x = (math.cos(angle) * dx - math.sin(angle) * dy + (width - 1) / 2).astype(np.float32)
    source_y = (math.sin(angle) * dx + math.cos(angle) * dy + (height - 1) / 2).astype(np.float32)
    new_image, new_label = rotate(generator(5), image, label)
    border = cv2.BORDER_REFLECT_101
    expected = cv2.remap(image, source_x, source_y, cv2.INTER_LINEAR, borderMode=border)
    assert np.abs(new_image.astype(int) - expected).mean() < 0.5
    expected = cv2.remap(label, source_x, source_y, cv2.INTER_NEAREST, borderMode=border)
    assert (new_label == expected).mean() > 0.98


def test_rotation_angles_reach_60_degrees_either_way():
    limits = []
    rng = types.SimpleNamespace(uniform=lambda low, high: limits.append((low, high)) or 0.0)
    image, label = example(16, 16)
    new_image, new_label = rotate(rng, image, label)
    assert limits == [(-60.0, 60.0)]
    np.testing.assert_array_equal(new_image, image)
    np.testing.assert_array_equal(new_label, label)


def test_flip_is_one_of_three_equally_often():
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = np.stack([label, label + 50, label + 100], axis=-1)
    flips = {
        "left-right": (slice(None), slice(None, None, -1)),
        "upside down": (slice(None, None, -1), slice(None)),
        "both": (slice(None, None, -1), slice(None, None, -1)),
    }
    rng, counts, draws = generator(0), collections.Counter(), 3000
    for _ in range(draws):
        new_image, new_label = flip(rng, image, label)
        (name,) = [n for n, index in flips.items() if (label[index] == new_label).all()]
        np.testing.assert_array_equal(new_image, image[flips[name]])
        counts[name] += 1
    assert_shares(counts, dict.fromkeys(flips, 1 / 3), draws)


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_scale_down_halves_about_the_centre_on_black_background(size):
    height, width = size
    image, label = np.full((*size, 3), 200, np.uint8), np.full(size, 5, np.uint8)
    new_image, new_label = scale_down(generator(0), image, label)
    for new, value in ((new_image[..., 0], 200), (new_label, 5)):
        rows, columns = np.nonzero(new == value)
        assert abs(np.ptp(rows) + 1 - height / 2) <= 2
        assert abs(np.ptp(columns) + 1 - width / 2) <= 2
        assert abs(rows.mean() - (height - 1) / 2) <= 0.5
        assert abs(columns.mean() - (width - 1) / 2) <= 0.5
    assert set(np.unique(new_label)) == {0, 5}
    assert (new_image[: height // 4 - 1] == 0).all()


def test_scale_down_averages_pixel_pairs():
    image, label = example(32, 48)
    new_image, _ = scale_down(generator(0), image, label)
    expected = cv2.resize(image, (24, 16), interpolation=cv2.INTER_AREA)
    inner = (slice(1, -1), slice(1, -1))
    difference = new_image[8:24, 12:36][inner].astype(int) - expected[inner]
    assert np.abs(difference).max() <= 1


def parts_of(label):
    """Connected components of single classes as boolean masks, by flooding."""
    parts, seen = [], (label == 0) | (label == 255)
    for start in np.ndindex(label.shape):
        if seen[start]:
            continue
        part, queue = np.zeros(label.shape, bool), [start]
        seen[start] = True
        while queue:
            y, x = queue.pop()
            part[y, x] = True
            for v, u in ((y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                inside = 0 <= v < label.shape[0] and 0 <= u < label.shape[1]
                if inside and not seen[v, u] and label[v, u] == label[start]:
                    seen[v, u] = True
                    queue.append((v, u))
        parts.append(part)
    return parts


def test_mask_dropout_blots_out_whole_parts_one_to_five_equally_often():
    label = np.zeros((20, 24), np.uint8)
    label[2:18, 2:6], label[2:9, 6:10], label[9:18, 6:10] = 1, 2, 3  # three that touch
    label[2:6, 14:18], label[6:10, 18:22] = 2, 2  # one part, by its corner
    label[12:15, 14:17], label[12:15, 19:22], label[17, 12] = 4, 4, 6
    label[0, :] = 255
    parts = parts_of(label)
    assert len(parts) == 7
    image = np.full((20, 24, 3), 9, np.uint8)
    rng, counts, dropped, draws = generator(0), collections.Counter(), np.zeros(7), 2000
    for _ in range(draws):
        new_image, new_label = mask_dropout(rng, image, label)
        gone = new_label != label
        assert (new_image[gone] == 0).all()
        assert (new_image[~gone] == 9).all()
        assert (new_label[gone] == 0).all()
        whole = [bool(gone[part].all()) for part in parts]
        assert whole == [bool(gone[part].any()) for part in parts]
        counts[sum(whole)] += 1
        dropped += whole
    assert_shares(counts, dict.fromkeys(range(1, 6), 0.2), draws)
    np.testing.assert_allclose(dropped / draws, 3 / 7, atol=0.05)


def test_mask_dropout_of_few_parts_takes_at_most_all_and_never_the_ignored():
    label = np.full((12, 12), 255, np.uint8)
    label[:4], label[8:10] = 0, 2
    image = np.full((12, 12, 3), 9, np.uint8)
    for seed in SEEDS:
        new_image, new_label = mask_dropout(generator(seed), image, label)
        np.testing.assert_array_equal(new_label, np.where(label == 2, 0, label))
        np.testing.assert_array_equal(new_image[..., 0], np.where(label == 2, 0, 9))
    for seed in SEEDS:
        nothing = np.where(label == 2, 0, label)
        new_image, new_label = mask_dropout(generator(seed), image, nothing)
        np.testing.assert_array_equal(new_label, nothing)
        np.testing.assert_array_equal(new_image, image)


@pytest.mark.parametrize("k", [-0.05, 0.0, 0.05])
def test_optical_distortion_follows_its_formula(k):
    image, label = example(60, 91)
    height, width = label.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    u, v = (x - (width - 1) / 2) / width, (y - (height - 1) / 2) / height
    radial = 1 + k * (u**2 + v**2) + k * (u**2 + v**2) ** 2
    source_x = (u * radial * width + (width - 1) / 2).astype(np.float32)
    source_y = (v * radial * height + (height - 1) / 2).astype(np.float32)
    rng = types.SimpleNamespace(uniform=lambda low, high: k)
    new_image, new_label = optical_distortion(rng, image, label)
    border = cv2.BORDER_REFLECT_101
    expected = cv2.remap(image, source_x, source_y, cv2.INTER_LINEAR, borderMode=border)
    assert np.abs(new_image.astype(int) - expected).max() <= 3
    expected = cv2.remap(label, source_x, source_y, cv2.INTER_NEAREST, borderMode=border)
    assert (new_label == expected).mean() > 0.985
    if k == 0:
        np.testing.assert_array_equal(new_image, image)
        np.testing.assert_array_equal(new_label, label)
