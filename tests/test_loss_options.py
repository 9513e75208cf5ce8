"""What helps cross-entropy to train: smoothed labels, class weights, the hardest pixels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.data.class_weights import count_frequencies, weights_of
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.losses import LossOptions, build_loss, crossentropy, focal
from hierseg_jax.losses.levels import labels_at
from hierseg_jax.losses.pixels import hardest_pixels
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.loss_contracts import assert_nothing_else_counts, assert_same_over_devices

B, H, W, C = 3, 6, 5, 4
WEIGHTS = np.array([0.5, 2.0, 3.0, 0.1], np.float32)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.RandomState(0)
    logits = (rng.randn(B, H, W, C) * 3).astype(np.float32)
    labels = rng.randint(0, C, (B, H, W)).astype(np.uint8)
    labels[0, :2] = 255
    return logits, labels


def direct(logits, labels, weights, smoothing=0.0, share=1.0, gamma=0.0):
    """Pixel by pixel, in float64."""
    total = divisor = 0.0
    for image, label_hw in zip(logits.astype(np.float64), labels, strict=True):
        pixels = []
        for index, label in np.ndenumerate(label_hw):
            if label == 255:
                continue
            log_p = image[index] - np.log(np.exp(image[index]).sum())
            loss = (1 - smoothing) * weights[label] * -log_p[label]
            loss += smoothing / C * sum(-weights * log_p)
            loss *= (1 - np.exp(log_p[label])) ** gamma
            pixels.append((-log_p[label], loss, weights[label]))
        pixels.sort(reverse=True)
        for _, loss, weight in pixels[: int(np.ceil(share * len(pixels)))]:
            total += loss
            divisor += weight
    return total / divisor


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_options_of_crossentropy_equal_their_definitions(batch, share, smoothing, weighted):
    weights = WEIGHTS if weighted else np.ones(C, np.float32)
    given = {"class_weights_c": WEIGHTS} if weighted else {}
    options = given | {"label_smoothing": smoothing, "hard_share": share}
    value = jax.jit(functools.partial(crossentropy, **options))(*batch)
    np.testing.assert_allclose(value, direct(*batch, weights, smoothing, share), rtol=2e-6)
    if not smoothing:
        value = jax.jit(functools.partial(focal, gamma=2.0, hard_share=share, **given))(*batch)
        np.testing.assert_allclose(value, direct(*batch, weights, 0.0, share, 2.0), rtol=2e-6)


OPTIONS = [
    {"label_smoothing": 0.1},
    {"hard_share": 0.25},
    {"label_smoothing": 0.1, "hard_share": 0.25, "class_weights_c": WEIGHTS},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_ignored_pixels_and_padding_contribute_nothing(batch, options):
    logits, labels = batch

    @jax.jit
    def graded(x, labels, valid=None):
        return jax.value_and_grad(crossentropy)(x, labels, valid_b=valid, **options)

    value, _ = graded(logits, labels, np.array([True, True, False]))
    alone, _ = graded(logits[:2], labels[:2])
    np.testing.assert_allclose(value, alone, rtol=1e-6)
    assert_nothing_else_counts(graded, logits, labels, outside=C)


@pytest.mark.parametrize("options", OPTIONS)
def test_a_batch_spread_over_devices_has_the_loss_and_gradient_of_the_whole(batch, options):
    logits, labels = (np.concatenate([x, x[:1]]) for x in batch)
    labels[0] = 255  # devices count different numbers of pixels
    assert_same_over_devices(functools.partial(crossentropy, **options), logits, labels)


def test_easy_pixels_have_no_gradient(batch):
    logits, labels = batch
    grad = jax.jit(jax.grad(lambda x: crossentropy(x, labels, hard_share=0.25)))(logits)
    touched = np.abs(grad).sum(-1) > 0
    assert touched.sum((1, 2)).tolist() == [5, 8, 8]  # a quarter of 20, 30 and 30
    loss = -np.take_along_axis(
        np.asarray(jax.nn.log_softmax(logits)), np.where(labels == 255, 0, labels)[..., None], -1
    )[..., 0]
    for image, image_touched, label in zip(loss, touched, labels, strict=True):
        assert image[image_touched].min() > image[~image_touched & (label != 255)].max()


def test_at_least_one_pixel_a_picture_is_hard():
    hard = hardest_pixels(jnp.arange(6.0), jnp.array([1, 1, 0, 0, 0, 0], bool), 2, 0.01)
    assert hard.tolist() == [False, True, False, False, False, False]
    # The first picture's two hardest are as hard as one another; the second has none.
    hard = hardest_pixels(jnp.array([1.0, 0, 1, 5, 5, 5]), jnp.arange(6) < 3, 2, 0.3)
    assert hard.tolist() == [True, False, True, False, False, False]
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        hardest_pixels(jnp.arange(6.0), jnp.ones(6, bool), 2, 0.0)


def test_smoothing_of_everything_is_refused(batch):
    with pytest.raises(ValueError, match="0 or more, below 1"):
        crossentropy(*batch, label_smoothing=1.0)


def test_options_reach_the_terms_of_a_sum_that_take_them():
    rng = np.random.RandomState(1)
    tree = PASCAL_PERSON_PART
    labels = rng.randint(0, 7, (2, 8, 8)).astype(np.uint8)
    weights = tuple(
        tuple(rng.rand(level.num_classes).astype(np.float32) + 0.5) for level in tree.levels
    )
    options = LossOptions(gamma=1.0, label_smoothing=0.1, hard_share=0.5, class_weights=weights)
    flat = rng.randn(2, 8, 8, 7).astype(np.float32)

    def value_of(loss, logits, hierarchical, options=None):
        built = build_loss(loss, tree, hierarchical=hierarchical, options=options)
        return jax.jit(built.__call__)(logits, labels)

    for name, takes in (("crossentropy", True), ("dice", False)):
        plain = value_of(name, flat, False)
        helped = value_of(name, flat, False, options)
        assert (plain != helped) == takes
    value = value_of("2*focal + dice", flat, False, options)
    leaf = np.asarray(weights[-1], np.float32)
    of_focal = functools.partial(focal, gamma=1.0, hard_share=0.5, class_weights_c=leaf)
    expected = 2 * jax.jit(of_focal)(flat, labels)
    expected += value_of("dice", flat, False)
    np.testing.assert_allclose(value, expected, rtol=1e-6)

    nodes = rng.randn(2, 8, 8, tree.num_nodes).astype(np.float32)
    value = value_of("crossentropy", nodes, True, options)

    @jax.jit
    def by_level(nodes):
        terms = zip(tree.level_channels, weights, strict=True)
        return sum(
            crossentropy(
                nodes[..., channels],
                labels_at(labels, tree, k),
                class_weights_c=np.asarray(of_level, np.float32),
                label_smoothing=0.1,
                hard_share=0.5,
            )
            for k, (channels, of_level) in enumerate(terms)
        )

    expected = by_level(nodes)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


class Labelled:
    def __init__(self, labels):
        self.labels = [np.asarray(label, np.uint8) for label in labels]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"label": self.labels[index]}


TREE = Hierarchy.from_mapping({"upper": [1, 2], "lower": [3, 4]})


def test_class_weights_follow_from_the_labels():
    """Worked by hand; class 4 never occurs, 255 counts nowhere, sizes differ."""
    split = Labelled([[[0, 0, 1, 255]], [[0, 0], [2, 2], [3, 0]], [[0] * 5]])
    frequencies = count_frequencies(split, TREE)
    upper, leaf = frequencies
    assert leaf.pixels_c.tolist() == [10, 1, 2, 1, 0]
    assert leaf.where_c.tolist() == [14, 3, 6, 6, 0]
    assert upper.pixels_c.tolist() == [10, 3, 1]
    assert upper.where_c.tolist() == [14, 9, 6]

    expected = 1 / np.sqrt([10, 1, 2, 1])
    expected /= expected.mean()
    np.testing.assert_allclose(weights_of(leaf, "inverse_sqrt"), [*expected, 1.0])
    expected = np.array([14 / 10, 3 / 1, 6 / 2, 6 / 1])
    expected /= expected.mean()
    np.testing.assert_allclose(weights_of(leaf, "median_frequency"), [*expected, 1.0])
    expected = np.array([14 / 10, 9 / 3, 6 / 1])
    np.testing.assert_allclose(weights_of(upper, "median_frequency"), expected / expected.mean())


def test_images_of_a_mixture_count_as_often_as_they_are_drawn():
    splits = [Labelled([[[0, 1]], [[0, 0]]]), Labelled([[[2, 255]], [[2, 3]]])]
    upper, leaf = count_frequencies(Mixture(["a", "b"], splits, [3, 0.5]), TREE)
    assert leaf.pixels_c.tolist() == [9, 3, 1, 0.5, 0]
    assert leaf.where_c.tolist() == [12, 6, 1.5, 1, 0]
    assert upper.pixels_c.tolist() == [9, 4, 0.5]


def test_a_split_without_labels_has_weights_of_one():
    (_, leaf) = count_frequencies(Labelled([[[255, 255]]]), TREE)
    assert weights_of(leaf, "inverse_sqrt") == (1.0,) * 5
    with pytest.raises(ValueError, match="no rule 'inverse'"):
        weights_of(leaf, "inverse")
