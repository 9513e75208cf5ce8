"""The kernel's soft counts are what they are defined to be, whatever the pixels and the labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.soft_counts import label_counts, soft_counts

pytestmark = pytest.mark.skipif(
    bool(library.problem()), reason=f"the kernels can't be compiled: {library.problem()}"
)


def plain_counts(logits_nc, labels_n, class_of_kc, class_of_kl, entropy_kl, region_kl):
    """In float64, as the numbers are defined."""
    leaves = logits_nc.shape[1]
    sums_ks = np.zeros((len(class_of_kc), 1 + 2 * leaves))
    for k, sums_s in enumerate(sums_ks):
        known_n = (labels_n >= 0) & (class_of_kl[k][labels_n] >= 0)
        label_n, x_nc = labels_n[known_n], np.float64(logits_nc[known_n])
        log_p_nc = x_nc - np.logaddexp.reduce(x_nc, axis=1, keepdims=True)
        is_true_nc = class_of_kl[k][label_n][:, None] == class_of_kc[k]
        of_true_nc = np.where(is_true_nc, log_p_nc, -np.inf)
        sums_s[0] = -(entropy_kl[k][label_n] * np.logaddexp.reduce(of_true_nc, axis=1)).sum()
        region_n1 = region_kl[k][label_n][:, None]
        np.add.at(sums_s, 1 + class_of_kc[k], (region_n1 * np.exp(of_true_nc)).sum(0))
        np.add.at(sums_s, 1 + leaves + class_of_kc[k], (region_n1 * np.exp(log_p_nc)).sum(0))
    return sums_ks


def weights_of_tables(rng, class_of_kl):
    """Of labels at each level; all the same at some levels, and what must not matter where unknown.

    The kernel looks up what differs alone.
    """
    weights_kl = rng.choice([0.0, 0.25, 1.0], class_of_kl.shape).astype(np.float32)
    weights_kl[rng.random(len(weights_kl)) < 0.3] = 0.5
    return np.where(class_of_kl < 0, np.float32(np.nan), weights_kl)


@given(
    st.sampled_from([1, 15, 16, 17, 255, 256, 257, 700, 4096, 9001]),
    st.integers(1, 20),
    st.integers(1, 30),
    st.integers(1, 3),
    st.sampled_from([0.1, 3.0, 100.0]),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_counts_are_as_they_are_defined(pixels, leaves, num_labels, levels, spread, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (pixels, leaves)).astype(np.float32)
    labels = rng.integers(-1, num_labels, pixels).astype(np.int32)
    logits[labels < 0] = np.nan  # reaches nothing
    class_of_kc = rng.integers(0, leaves, (levels, leaves)).astype(np.int32)
    class_of_kl = class_of_kc[:, rng.integers(0, leaves, num_labels)]
    class_of_kl[rng.random(class_of_kl.shape) < 0.2] = -1
    weights = [weights_of_tables(rng, class_of_kl) for _ in range(2)]
    tables = labels, class_of_kc, class_of_kl, *weights
    found = soft_counts(jnp.asarray(logits), *map(jnp.asarray, tables))
    expected = plain_counts(logits, *tables)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * pixels)
    of_labels = label_counts(jnp.asarray(labels), num_labels)
    assert np.array_equal(of_labels, np.bincount(labels[labels >= 0], minlength=num_labels))


def test_counts_do_not_lose_small_numbers_among_many():
    pixels = 200_000
    logits = jnp.zeros((pixels, 2)).at[:, 1].set(-9.0)
    classes, ones = jnp.asarray([[0, 1]]), jnp.ones((1, 2))
    labels = jnp.zeros(pixels, jnp.int32)
    sums = soft_counts(logits, labels, classes, classes, ones, ones)
    p = 1 / (1 + np.exp(9.0))
    np.testing.assert_allclose(sums[0, 0], -pixels * np.log1p(-p), rtol=1e-3)
    np.testing.assert_allclose(sums[0, 1:], pixels * np.array([1 - p, 0, 1 - p, p]), 1e-5)
    assert label_counts(labels, 2).tolist() == [pixels, 0]


def test_where_their_class_is_unknown_pixels_of_any_logits_add_nothing():
    classes, ones = jnp.asarray([[0, 1]]), jnp.ones((1, 2))
    tables = jnp.ones(20, jnp.int32), classes, jnp.asarray([[0, -1]]), ones, ones

    def total(logits):
        return soft_counts(logits, *tables).sum()

    value, gradient = jax.value_and_grad(total)(jnp.full((20, 2), 3e38))
    assert value == 0
    assert not gradient.any()
