"""What a teacher said of a picture comes to lie where the picture's pixels and labels lie."""

import contextlib
import functools
import pathlib

import numpy as np
import pytest

from hierseg_jax.data.augment import modern
from hierseg_jax.data.augment.choice import choose_augmentation
from hierseg_jax.data.augment.modern import SCALES
from hierseg_jax.data.pipeline import train_batches
from hierseg_jax.data.resize import RESIZES, Resize
from hierseg_jax.data.taught import CELL, KeptScores, Teaching, mean_scores
from hierseg_jax.train.teacher import mean_of

SWAP = np.arange(256, dtype=np.uint8)
SWAP[[1, 2]] = 2, 1
CHANNELS = np.array([0, 1, 3, 2])


def picture(shape):
    """Red grows downwards and green to the right; labels are quarters; positions, float [H, W]."""
    at_yhw = np.indices(shape) + 0.5
    share_yhw = at_yhw / np.reshape(shape, (2, 1, 1))
    image = np.stack([*np.rint(250 * share_yhw), np.zeros(shape)], axis=-1).astype(np.uint8)
    return image, np.where(share_yhw[1] < 0.5, 1, 2).astype(np.uint8)


def scores_of(shape, size, rule):
    """A teacher's cells that say where in the picture they are, and then which side they are."""
    placement = rule.place(shape, size)
    cells = np.indices((size[0] // CELL, size[1] // CELL)).reshape(2, -1).T
    at_nyx = placement.to_picture((cells + 0.5) * CELL)
    left_n = at_nyx[:, 1] / shape[1]
    planes = np.column_stack([*at_nyx.T, left_n])
    # Channels 0 and 1 are the position, 2 and 3 the closeness to the left and the right side.
    planes = np.column_stack([planes[:, :2], 1 - left_n, left_n])
    return planes.reshape(size[0] // CELL, size[1] // CELL, 4).astype(np.float32)


def in_cells(array):
    height, width = (side // CELL for side in array.shape[:2])
    return array.reshape(height, CELL, width, CELL, -1).mean((1, 3))


@pytest.mark.parametrize(
    ("rule", "name", "sampling", "scales"),
    [
        *((rule, "none", "exact", SCALES) for rule in RESIZES),
        *((rule, "modern", "exact", SCALES) for rule in RESIZES),
        *((rule, "modern", "reference", SCALES) for rule in RESIZES),
        ("stretch", "modern", "exact", (0.7, 1.2)),
    ],
)
def test_scores_lie_where_pixels_and_labels_lie(monkeypatch, rule, name, sampling, scales):
    monkeypatch.setattr(modern, "JITTER_SHARE", 0.0)
    shape, size = (36, 48), (64, 48)
    image, label = picture(shape)
    resize, of_teacher = Resize(rule, sampling), Resize("stretch")
    kept = KeptScores(pathlib.Path(), (64, 96), of_teacher)
    teaching = Teaching(name, (kept,), CHANNELS, False, scales)
    transform = choose_augmentation(name, size, resize, SWAP, scales=scales)
    example = {"image": image, "label": label, "scores": (scores_of(shape, kept.size, of_teacher),)}
    moved = set()
    for seed in range(1 if name == "none" else 12):
        rng = np.random.default_rng(seed)
        found = teaching.of(rng, example, size, resize)
        new_image, new_label = transform(rng, image, label)
        assert found["taught"].shape == (32, 24)
        # A cell is taught if all of its pixels show the picture.
        np.testing.assert_array_equal(found["taught"], (in_cells(new_label == 255) == 0)[..., 0])
        position = found["teacher"].astype(np.float64)[..., :2]
        greys = in_cells(new_image)[..., :2] - position / shape * 250
        # Beyond the outermost centres, of the picture or of a part that was cut out, pixels repeat.
        inner = found["taught"] & ((position > 2) & (position < np.array(shape) - 2)).all(-1)
        inner[[0, 1, -2, -1]] = inner[:, [0, 1, -2, -1]] = False
        assert inner.sum() > 50
        # A pixel of an example is two greys at least; of pixels greys are rounded, once or twice.
        assert np.abs(greys)[inner].max() < 1.5
        assert np.abs(greys[inner].mean(0)).max() < 0.6
        mirrored = position[16, -1, 1] < position[16, 0, 1]
        moved.add(bool(mirrored))
        left = found["teacher"][..., 3 if mirrored else 2]
        np.testing.assert_allclose(left[inner], 1 - position[inner][:, 1] / 48, atol=2e-3)
        clear = inner & (np.abs(position[..., 1] - 24) > 2)
        first = (position[..., 1] < 24) != mirrored
        np.testing.assert_array_equal(
            in_cells(new_label == np.uint8(1))[..., 0][clear] > 0.5, first[clear]
        )
    assert moved == ({False} if name == "none" else {False, True})


def test_what_a_teacher_did_not_see_is_not_taught():
    shape, size = (60, 120), (32, 64)
    crop = Resize("crop")
    kept = KeptScores(pathlib.Path(), (32, 32), crop)
    teaching = Teaching("none", (kept,), CHANNELS, False)
    example = {"label": np.zeros(shape, np.uint8), "scores": (scores_of(shape, kept.size, crop),)}
    found = teaching.of(np.random.default_rng(0), example, size, Resize("stretch"))
    assert found["taught"][:, 8:24].all()
    assert not found["taught"][:, [*range(8), *range(24, 32)]].any()


def test_bars_of_the_teachers_letterbox_do_not_blend_in():
    shape, size, boxed = (60, 120), (32, 64), Resize("letterbox")
    kept = KeptScores(pathlib.Path(), (64, 64), boxed)
    scores = np.full((32, 32, 4), 1e4, np.float32)
    scores[8:24] = 1
    teaching = Teaching("none", (kept,), CHANNELS, False)
    example = {"label": np.zeros(shape, np.uint8), "scores": (scores,)}
    found = teaching.of(np.random.default_rng(0), example, size, Resize("stretch"))
    assert found["taught"].all()
    assert (found["teacher"] == 1).all()


def test_probabilities_of_several_teachers_are_averaged():
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(2, 3, 4)).astype(np.float32) for _ in range(3)]

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)

    found = np.exp(mean_scores(scores, hierarchical=False))
    np.testing.assert_allclose(found, np.mean([softmax(x) for x in scores], axis=0), rtol=1e-5)
    sigmoid = np.mean([1 / (1 + np.exp(-x)) for x in scores], axis=0)
    nodes = mean_scores(scores, hierarchical=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-nodes)), sigmoid, rtol=1e-5)
    # As in a step, on the device.
    for hierarchical in (False, True):
        here, there = mean_scores(scores, hierarchical), mean_of(scores, hierarchical)
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


def test_what_augmentation_leaves_free_is_no_label_of_a_picture_without_a_mask():
    class Unlabelled:
        def __len__(self):
            return 64

        def __getitem__(self, index):
            image = np.full((16, 16, 3), index, np.uint8)
            return {"image": image, "label": np.full((16, 16), 255, np.uint8)}

    teaching = Teaching("reference", (), CHANNELS, False)
    batches = train_batches(
        Unlabelled(), size=(16, 16), batch_size=64, seed=0, augment="reference", teaching=teaching
    )
    with contextlib.closing(batches):
        batch = next(batches)
    assert (batch["label"] == 255).all()
    assert (batch["image"] == 0).all(-1).sum((1, 2)).max() > 100  # some are surrounded by nothing


def test_the_reference_augmentation_teaches_everywhere():
    teaching = Teaching("reference", (), CHANNELS, False)
    of = functools.partial(teaching.of, np.random.default_rng(0), {"label": np.zeros((9, 9))})
    assert of((16, 8), Resize())["taught"].all()
    assert of((16, 8), Resize())["taught"].shape == (8, 4)
