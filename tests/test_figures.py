"""The embedded data set: a pure function of its arguments, with masks that fit."""

import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hierseg_jax.data.figures.render import SPLITS, FiguresSource, draw_figures, render
from hierseg_jax.data.figures.scene import Finish, Scene
from hierseg_jax.data.figures.shapes import Cloth, Fill, Material, cover, ellipse, limb, patch
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

DIGEST = """
import hashlib
from hierseg_jax.data.figures.render import draw_figures
digest = hashlib.sha256()
for split in ("train", "val", "test"):
    for index in range(4):
        for array in draw_figures(3, split, index, 64):
            digest.update(array.tobytes())
print(digest.hexdigest())
"""


def draw_many(count, size=64):
    return [draw_figures(0, "train", index, size) for index in range(count)]


def render_fills(fills, size):
    """On black, smooth, as by a perfect camera."""
    backdrop, grain = np.zeros((2, 2, 3), np.float32), np.full((4, 4), 128, np.uint8)
    finish = Finish(gain=(1.0, 1.0, 1.0), gamma=1.0, blur=0.0, noise=0.0)
    return render(Scene(backdrop, grain, tuple(fills), finish), size, np.random.default_rng(0))


def test_a_picture_is_a_function_of_its_arguments():
    for split in SPLITS:
        first, again = (draw_figures(5, split, 7, 48) for _ in range(2))
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])


def test_two_processes_draw_the_same():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_drawing_leaves_the_global_random_numbers_alone():
    np.random.seed(0)
    expected = np.random.random(3)
    np.random.seed(0)
    draw_figures(0, "train", 0, 32)
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_another_seed_split_or_index_is_another_picture():
    arguments = [(0, "train", 0), (1, "train", 0), (0, "val", 0), (0, "test", 0), (0, "train", 1)]
    pictures = [draw_figures(*a, 48) for a in arguments]
    for k, (image, label) in enumerate(pictures):
        for other_image, other_label in pictures[:k]:
            assert (image != other_image).mean() > 0.5
            assert (label != other_label).any()


@pytest.mark.parametrize("size", [16, 33, 96])
def test_images_are_rgb_bytes_and_labels_classes_of_the_tree(size):
    for index in range(4):
        image, label = draw_figures(0, "val", index, size)
        assert image.shape == (size, size, 3)
        assert label.shape == (size, size)
        assert image.dtype == label.dtype == np.uint8
        assert label.max() < PASCAL_PERSON_PART.num_classes


def test_every_class_has_its_share_of_the_pixels():
    counts = sum(np.bincount(label.ravel(), minlength=7) for _, label in draw_many(50))
    shares = counts / counts.sum()
    assert len(shares) == PASCAL_PERSON_PART.num_classes
    assert shares.min() > 0.01
    assert 0.6 < shares[0] < 0.9


def test_nearly_every_picture_shows_people_of_several_parts():
    parts = [len(np.unique(label)) - 1 for _, label in draw_many(50)]
    assert min(parts) >= 1
    assert np.mean(np.array(parts) >= 4) > 0.9


def test_the_same_scene_appears_at_any_size():
    for index in range(12):
        small_image, small = draw_figures(0, "train", index, 64)
        large_image, large = draw_figures(0, "train", index, 128)
        assert (large[::2, ::2] == small).mean() > 0.95
        shrunk = cv2.resize(large_image, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(shrunk.astype(int) - small_image).mean() < 12


def test_three_times_the_size_shows_the_same_class_at_the_same_centers():
    """The mask is the geometry at pixels' centres: up to rounding, sizes agree exactly."""
    for index in range(6):
        small = draw_figures(0, "test", index, 48)[1]
        large = draw_figures(0, "test", index, 144)[1]
        assert (large[1::3, 1::3] == small).mean() > 0.97


@pytest.mark.parametrize("size", [16, 50, 97])
def test_image_and_mask_align_to_the_pixel(size):
    """Where a white thing covers most of a pixel it is bright, and of the thing's class."""
    white = Material((1.0, 1.0, 1.0), 2)
    shape = ellipse(0.2 + 0.3j, 0.8 + 0.7j, 0.2)
    image, label = render_fills([Fill((patch(shape),), white)], size)
    inside, outside = image[..., 0] == 255, image[..., 0] == 0
    assert (label[inside] == 2).all()
    assert (label[outside] == 0).all()
    center = np.argwhere(label == 2).mean(0)
    np.testing.assert_allclose((center + 0.5) / size, 0.5, atol=0.5 / size)
    area, true_area = (image[..., 0] / 255).mean(), np.pi * 0.2 * abs(0.3 + 0.2j)
    assert abs(area - true_area) < 0.6 / size


@pytest.mark.parametrize("pattern", ["plain", "stripes", "bars", "checks", "dots"])
def test_a_pattern_stays_on_its_surface_and_in_its_class(pattern):
    surface = limb(0.3 + 0.2j, 0.6 + 0.8j, (0.1, 0.12, 0.15))
    cloth = Cloth((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), pattern, 0.06)
    _, plain = render_fills(cover(surface, cloth._replace(pattern="plain"), 3), 96)
    _, dressed = render_fills(cover(surface, cloth, 3), 96)
    assert (plain != dressed).sum() <= 0.01 * (plain == 3).sum()
    assert len(cover(surface, cloth, 3)) == (1 if pattern == "plain" else 2)


def test_the_source_gives_what_draw_figures_draws():
    source = FiguresSource("val", 32, count=3, seed=4)
    assert len(source) == 3
    for index in (0, np.int64(2)):
        image, label = draw_figures(4, "val", int(index), 32)
        example = source[index]
        assert set(example) == {"image", "label"}
        np.testing.assert_array_equal(example["image"], image)
        np.testing.assert_array_equal(example["label"], label)


def test_the_source_can_be_iterated_and_ends():
    assert len(list(FiguresSource("test", 16, count=3))) == 3


def test_the_source_travels_to_other_processes():
    source = FiguresSource("train", 32, count=5, seed=1)
    copy = pickle.loads(pickle.dumps(source))
    assert copy == source
    np.testing.assert_array_equal(copy[4]["image"], source[4]["image"])


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_outside_of_the_source_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"3 pictures, numbered from 0.*{index}"):
        FiguresSource("train", 32, count=3)[index]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, "validation", 0, 64), "no split 'validation'; choose one of train, val, test"),
        ((0, "train", 0, 15), "16 pixels or more.*got 15"),
        ((0, "train", -1, 64), "numbered from 0; got index -1"),
        ((-2, "train", 0, 64), "seed must be 0 or more; got -2"),
    ],
)
def test_a_wrong_argument_is_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw_figures(*arguments)


def test_a_source_that_cannot_be_drawn_is_refused_when_made():
    with pytest.raises(ValueError, match="no split"):
        FiguresSource("all", 64, count=3)
    with pytest.raises(ValueError, match="pixels or more"):
        FiguresSource("train", 8, count=3)
    with pytest.raises(ValueError, match="count must be 0 or more; got -1"):
        FiguresSource("train", 64, count=-1)
