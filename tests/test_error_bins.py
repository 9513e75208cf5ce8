"""The kernel's bins of errors hold what they are said to, whatever the pixels and the tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import LossOptions, build_loss
from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.error_bins import MOST_BINS, error_bins
from hierseg_jax.settings.building import counters_of_cpu
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

pytestmark = pytest.mark.skipif(
    bool(library.problem()), reason=f"the kernels can't be compiled: {library.problem()}"
)


def plain_errors(logits_nc, labels_n, numbers_kc, numbers_kl, group_of_kl, classes):
    """float64 [N, T], and where pixels count: their groups where they lack the class, -1 with it.

    Of classes at levels where a pixel's own is unknown: None.
    """
    logits_nc, labels_n = np.float64(logits_nc[labels_n >= 0]), labels_n[labels_n >= 0]
    p_nc = np.exp(logits_nc - np.logaddexp.reduce(logits_nc, axis=1, keepdims=True))
    p_nt = np.zeros((len(labels_n), classes))
    place_nt = np.full(p_nt.shape, None)
    for number_of_c, number_of_l, group_of_l in zip(
        numbers_kc, numbers_kl, group_of_kl, strict=True
    ):
        for c, t in enumerate(number_of_c):
            p_nt[:, t] += p_nc[:, c]
        for t in np.unique(number_of_c):
            own_n = number_of_l[labels_n]
            place_nt[:, t] = np.where(own_n == t, -1, group_of_l[labels_n])
            place_nt[own_n < 0, t] = None
    return np.where(place_nt == -1, 1 - p_nt, p_nt), place_nt


@given(
    st.sampled_from([1, 15, 16, 17, 255, 256, 257, 700, 4096, 9001]),
    st.integers(1, 20),
    st.integers(1, 30),
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([1, 7, 1024, MOST_BINS]),
    st.sampled_from([0.1, 3.0, 100.0]),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_bins_have_the_errors_of_their_width(
    pixels, leaves, num_labels, levels, groups, bins, spread, seed
):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (pixels, leaves)).astype(np.float32)
    labels = rng.integers(-1, num_labels, pixels).astype(np.int32)
    logits[labels < 0] = np.nan  # reaches nothing
    classes_k = rng.integers(1, leaves + 1, levels)
    firsts_k = np.cumsum([0, *classes_k])
    # Every class has a leaf.
    of_leaves = ([*range(n), *rng.integers(0, n, leaves - n)] for n in classes_k)
    numbers_kc = np.stack([rng.permutation(of) for of in of_leaves]) + firsts_k[:-1, None]
    numbers_kl = numbers_kc[:, rng.integers(0, leaves, num_labels)]
    numbers_kl[rng.random(numbers_kl.shape) < 0.2] = -1
    group_of_kl = rng.integers(0, groups, numbers_kl.shape)
    group_of_kl[rng.random(levels) < 0.3] = groups - 1  # the kernel looks up what differs alone
    group_of_kl[numbers_kl < 0] = -1
    classes = int(firsts_k[-1])
    tables = numbers_kc, numbers_kl, group_of_kl
    counts, sums = error_bins(
        *(jnp.asarray(of) for of in (logits, labels, *(of.astype(np.int32) for of in tables))),
        *(classes, groups, bins),
    )
    errors_nt, place_nt = plain_errors(logits, labels, *tables, classes)
    counts, sums = np.asarray(counts), np.asarray(sums, np.float64)
    assert counts.shape == sums.shape == (classes, groups + 1, bins)
    starts_b = np.arange(bins) / bins
    for t in range(classes):
        for place in range(-1, groups):
            errors_n = np.sort(errors_nt[place_nt[:, t] == place, t])
            assert counts[t, place].sum() == len(errors_n)
            digit = 2**-16 / bins + 1e-6  # of the sums, and of float32
            difference = sums[t, place].sum() - errors_n.sum()
            assert abs(difference) <= digit * len(errors_n)
            # In the order of the bins they are what they are, but for their last digits.
            found_n = np.repeat(starts_b, counts[t, place])
            assert np.all(found_n <= errors_n + 2e-6)
            assert np.all(errors_n <= found_n + 1 / bins + 2e-6)
    within = sums - counts * starts_b
    slack = 1e-6 * (counts + sums)
    assert np.all((within >= -slack) & (within <= counts / bins + slack))


def test_many_pixels_lose_nothing():
    """Half a million in a bin of each piece of work, all at its far end."""
    pixels = 2**23 + 5
    labels = jnp.zeros(pixels, jnp.int32).at[-3:].set(1)
    # Just below 0.5, where a bin ends.
    logits = jnp.zeros((pixels, 2)).at[:, 0].set(4e-5).at[-3:, 0].set(-2.0)
    classes = jnp.asarray([[0, 1]], jnp.int32)
    counts, sums = error_bins(logits, labels, classes, classes, 0 * classes, 2, 1, 1024)
    error = 1 - 1 / (1 + np.exp(-2.0))
    at = int(error * 1024)
    for t, own in ((0, pixels - 3), (1, 3)):
        of_many = (counts[t, int(t == 0), 511], sums[t, int(t == 0), 511])
        of_few = (counts[t, int(t == 1), at], sums[t, int(t == 1), at])
        assert of_many[0] == pixels - 3
        near_half = 1 / (1 + np.exp(4e-5))
        np.testing.assert_allclose(of_many[1], (pixels - 3) * near_half, rtol=1e-6)
        assert of_few[0] == 3
        np.testing.assert_allclose(of_few[1], 3 * error, rtol=1e-5)
        assert counts[t, 1].sum() == own
        assert counts[t].sum() == pixels


def test_bins_are_the_same_to_the_bit_in_any_order_of_pixels():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (70_001, 7)).astype(np.float32)
    labels = rng.integers(-1, 7, 70_001).astype(np.int32)
    numbers = [[0, 1, 1, 1, 1, 1, 1], [2, 3, 4, 5, 6, 7, 8]]
    of_labels = [[0, 1, 1, 1, 1, 1, 1], [2, 3, -1, 5, 6, -1, 8]]
    groups = [[0] * 7, [0, 1, -1, 1, 0, -1, 1]]
    tables = [jnp.asarray(of, jnp.int32) for of in (numbers, of_labels, groups)]
    order = rng.permutation(len(labels))
    first, second = (
        error_bins(jnp.asarray(x), jnp.asarray(y), *tables, 9, 2, 1024)
        for x, y in ((logits, labels), (logits[order], labels[order]))
    )
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_devices_together_have_the_loss_and_gradient_of_one():
    of = build_loss(
        "crossentropy + 0.5*lovasz",
        PASCAL_PERSON_PART,
        options=LossOptions(every_level=True),
        counters=counters_of_cpu(),
    )
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (4, 9, 7, 7)).astype(np.float32)
    labels = rng.choice([0, 1, 2, 3, 4, 5, 6, 255], (4, 9, 7)).astype(np.uint8)
    value, gradient = jax.value_and_grad(of)(logits, labels)
    spread = jax.vmap(
        jax.value_and_grad(lambda x, y: of(x, y, axis_name="devices")), axis_name="devices"
    )
    values, gradients = spread(logits.reshape(2, 2, 9, 7, 7), labels.reshape(2, 2, 9, 7))
    np.testing.assert_allclose(values, [value] * 2, rtol=1e-6)
    # The mean over devices of gradients of the same loss: each has them of its own pictures.
    np.testing.assert_allclose(
        gradients.reshape(gradient.shape) / 2, gradient, rtol=1e-4, atol=1e-8
    )


@pytest.mark.parametrize("bins", [0, MOST_BINS + 1])
def test_bins_that_the_kernel_can_not_count_are_refused(bins):
    classes = jnp.zeros((1, 2), jnp.int32)
    with pytest.raises(ValueError, match="must be from 1 to 16384"):
        error_bins(jnp.zeros((4, 2)), jnp.zeros(4, jnp.int32), *[classes] * 3, 1, 1, bins)
