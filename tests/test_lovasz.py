"""Lovász-softmax: equal to the paper's sorted sum, and a loss of IoU."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import lovasz
from tests.loss_walks import slow_lovasz, softmax

C = 4
SHAPE = (2, 3, 5)


@functools.cache
def compiled(bins=1024):
    return jax.jit(jax.value_and_grad(functools.partial(lovasz, bins=bins)))


plain = jax.jit(lovasz)


def make_batch(seed, scale=2.0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, (*SHAPE, C)).astype(np.float32)
    labels = rng.choice([0, 1, 3, 255], SHAPE).astype(np.uint8)  # class 2 is absent
    return logits, labels


def probabilities(logits, labels):
    """Of the pixels that count, with their classes."""
    return [softmax(z) for z in logits[labels != 255]], labels[labels != 255].tolist()


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([0.1, 2.0, 30.0]), st.sampled_from([4, 1024]))
def test_the_loss_is_the_sorted_one_up_to_the_width_of_a_bin(seed, scale, bins):
    logits, labels = make_batch(seed, scale)
    value, _ = compiled(bins)(logits, labels)
    assert abs(value - slow_lovasz(*probabilities(logits, labels), C)) <= 1 / bins + 1e-6


def test_pixels_in_bins_of_their_own_have_the_exact_loss_and_gradient():
    bins, (logits, labels) = 2**16, make_batch(1)
    counted = labels != 255
    p_nc, true_n = (np.array(x) for x in probabilities(logits, labels))
    slope_nc, present = np.zeros(p_nc.shape), np.unique(true_n)
    for v in present:
        error_n = np.where(true_n == v, 1 - p_nc[:, v], p_nc[:, v])
        order_n = np.argsort(-error_n)
        assert -np.diff(error_n[order_n]).max() > 2 / bins
        own_n = true_n[order_n] == v
        jaccard_n = 1 - (own_n.sum() - np.cumsum(own_n)) / (own_n.sum() + np.cumsum(~own_n))
        sign_n = np.where(own_n, -1, 1) / len(present)
        slope_nc[order_n, v] = sign_n * np.diff(jaccard_n, prepend=0)
    expected = np.zeros(logits.shape)
    expected[counted] = p_nc * (slope_nc - (p_nc * slope_nc).sum(1, keepdims=True))
    value, gradient = compiled(bins)(logits, labels)
    np.testing.assert_allclose(value, slow_lovasz(p_nc, true_n.tolist(), C), rtol=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7)
    assert not np.any(gradient[~counted])


@pytest.mark.parametrize("weights", [(1.0,) * C, (1.0, 3.0, 5.0, 0.5)])
@pytest.mark.parametrize("seed", range(3))
def test_sure_predictions_cost_1_less_the_mean_iou_of_the_classes_that_occur(seed, weights):
    logits, labels = make_batch(seed)
    counted, chosen = labels != 255, logits.argmax(-1)
    losses, of_present = [], []
    for v in np.unique(labels[counted]):
        both = (chosen == v) & (labels == v)
        either = ((chosen == v) & counted) | (labels == v)
        losses.append(1 - both.sum() / either.sum())
        of_present.append(weights[v])
    sure = np.where(chosen[..., None] == np.arange(C), 1e4, -1e4).astype(np.float32)
    value = plain(sure, labels, class_weights_c=jnp.asarray(weights))
    np.testing.assert_allclose(value, np.average(losses, weights=of_present), rtol=1e-5)


def test_classes_that_no_picture_has_do_not_count():
    logits, labels = make_batch(3)
    value, _ = compiled()(logits, labels)
    more = np.concatenate([logits, np.full((*SHAPE, 3), -1e4, np.float32)], -1)
    np.testing.assert_allclose(plain(more, labels), value, rtol=1e-6)


def test_descending_finds_a_small_object_among_noise():
    rng = np.random.default_rng(5)
    labels = np.zeros((1, 16, 16), np.uint8)
    labels[0, 4:7, 9:12] = 1
    start = rng.normal(0, 1, (1, 16, 16, 2)).astype(np.float32)

    def step(_, logits):
        gradient = jax.grad(lovasz)(logits, labels)
        return logits - 20 * gradient

    end = jax.jit(lambda logits: jax.lax.fori_loop(0, 200, step, logits))(start)

    def iou(logits):
        found = np.asarray(logits).argmax(-1) == 1
        return (found & (labels == 1)).sum() / (found | (labels == 1)).sum()

    assert iou(start) < 0.2
    assert iou(end) == 1
