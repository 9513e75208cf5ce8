"""Losses made of counts equal those taken one by one, and the kernel's counts their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import LossOptions, build_loss
from hierseg_jax.losses.counted_losses import COUNTED
from hierseg_jax.models.kernels import library
from hierseg_jax.models.kernels.soft_counts import soft_counts
from hierseg_jax.settings.building import counters_of_cpu, training_loss
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.runs import small_settings

pytestmark = pytest.mark.skipif(
    bool(library.problem()), reason=f"the kernels can't be compiled: {library.problem()}"
)

DEEP = Hierarchy.from_mapping({"x": {"y": [1, 2], "z": [3, 4, 5]}, "w": {"v": [6, 7, 8]}})
EVERY = LossOptions(every_level=True, level_weights=(0.5, 0.0, 2.0))


def plain_counts(logits_nc, labels_n, class_of_kc):
    """In float64, as the numbers are defined."""
    leaves, counted_n = logits_nc.shape[1], labels_n >= 0
    logits_nc, labels_n = np.float64(logits_nc[counted_n]), labels_n[counted_n]
    log_p_nc = logits_nc - np.logaddexp.reduce(logits_nc, axis=1, keepdims=True)
    sums_ks = np.zeros((len(class_of_kc), 1 + 3 * leaves))
    for class_of_c, sums_s in zip(class_of_kc, sums_ks, strict=True):
        true_n = class_of_c[labels_n]
        of_true_nc = np.where(true_n[:, None] == class_of_c, log_p_nc, -np.inf)
        sums_s[0] = -np.logaddexp.reduce(of_true_nc, axis=1).sum()
        np.add.at(sums_s, 1 + class_of_c, np.exp(of_true_nc).sum(0))
        np.add.at(sums_s, 1 + leaves + class_of_c, np.exp(log_p_nc).sum(0))
        np.add.at(sums_s, 1 + 2 * leaves + true_n, 1)
    return sums_ks


@given(
    st.sampled_from([1, 15, 16, 17, 255, 256, 257, 700, 4096, 9001]),
    st.integers(1, 20),
    st.integers(1, 3),
    st.sampled_from([0.1, 3.0, 100.0]),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_counts_are_as_they_are_defined(pixels, leaves, levels, spread, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (pixels, leaves)).astype(np.float32)
    labels = rng.integers(-1, leaves, pixels).astype(np.int32)
    logits[labels < 0] = np.nan  # reaches nothing
    class_of = rng.integers(0, leaves, (levels, leaves)).astype(np.int32)
    found = soft_counts(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(class_of))
    expected = plain_counts(logits, labels, class_of)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * pixels)


def test_counts_do_not_lose_small_numbers_among_many():
    pixels = 200_000
    logits = jnp.zeros((pixels, 2)).at[:, 1].set(-9.0)
    sums = soft_counts(logits, jnp.zeros(pixels, jnp.int32), jnp.asarray([[0, 1]]))
    p = 1 / (1 + np.exp(9.0))
    np.testing.assert_allclose(sums[0, 0], -pixels * np.log1p(-p), rtol=1e-3)
    np.testing.assert_allclose(sums[0, 1:], pixels * np.array([1 - p, 0, 1 - p, p, 1, 0]), 1e-5)


def compare(hierarchy, loss, options, hierarchical, seed, shape=(2, 9, 7), spread=3.0, **given):
    """Values and gradients with the kernel and without."""
    channels = hierarchy.num_nodes if hierarchical else hierarchy.num_classes
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.normal(0, spread, (*shape, channels)), jnp.float32)
    labels = rng.integers(0, hierarchy.num_classes, shape).astype(np.uint8)
    labels[0, :2] = 255
    results = []
    for counters in (None, counters_of_cpu()):
        of = build_loss(
            loss, hierarchy, hierarchical=hierarchical, options=options, counters=counters
        )
        value = jax.jit(jax.value_and_grad(lambda x, of=of: of(x, labels, **given)))
        results.append(value(logits))
    (plain, plain_gradient), (counted, gradient) = results
    np.testing.assert_allclose(counted, plain, rtol=1e-5, atol=1e-6)
    largest = float(jnp.abs(plain_gradient).max())
    np.testing.assert_allclose(gradient, plain_gradient, atol=max(1e-5 * largest, 1e-9))
    return counted, gradient


@pytest.mark.parametrize(
    ("hierarchy", "options", "hierarchical"),
    [
        pytest.param(tree, options, head, marks=[] if alone else [pytest.mark.slow])
        for tree, options, head, alone in (
            (DEEP, LossOptions(), True, True),
            (DEEP, EVERY, False, False),
            (PASCAL_PERSON_PART, LossOptions(), False, True),
            (PASCAL_PERSON_PART, EVERY, True, False),
            (DEEP, LossOptions(), False, False),
            (DEEP, EVERY, True, False),
            (PASCAL_PERSON_PART, LossOptions(), True, False),
            (PASCAL_PERSON_PART, EVERY, False, False),
        )
    ],
)
def test_sums_of_losses_equal_those_taken_one_by_one(hierarchy, options, hierarchical):
    for seed, loss in enumerate((*COUNTED, "crossentropy + 0.5*dice", "2*iou + focal + lovasz")):
        valid = {"valid_b": jnp.array([True, False])} if seed % 2 else {}
        compare(hierarchy, loss, options, hierarchical, seed, **valid)


def test_losses_with_options_are_taken_as_they_are():
    weights = tuple(tuple(1.0 + i for i in range(level.num_classes)) for level in DEEP.levels)
    for options in (
        LossOptions(label_smoothing=0.1, every_level=True),
        LossOptions(hard_share=0.5),
        LossOptions(class_weights=weights),
    ):
        compare(DEEP, "crossentropy + dice", options, False, 3)


def test_logits_far_apart_have_finite_losses_and_gradients():
    value, gradient = compare(DEEP, "crossentropy + dice + lovasz", EVERY, False, 4, spread=300.0)
    assert value > 100
    assert np.isfinite(gradient).all()


def test_where_no_pixel_counts_loss_and_gradient_are_nothing():
    of = build_loss("crossentropy + dice + lovasz", DEEP, options=EVERY, counters=counters_of_cpu())
    labels = np.full((1, 5, 5), 255, np.uint8)
    logits = jnp.full((1, 5, 5, 9), jnp.nan)
    value, gradient = jax.jit(jax.value_and_grad(lambda x: of(x, labels)))(logits)
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("loss", ["crossentropy", "dice", "lovasz"])
@pytest.mark.parametrize("options", [LossOptions(), EVERY], ids=["leaves", "every"])
def test_a_logit_that_is_no_number_shows(loss, options):
    of = build_loss(loss, DEEP, options=options, counters=counters_of_cpu())
    labels = np.full((1, 5, 5), 4, np.uint8)
    for leaves in ([4], [0], [5], list(range(9))):
        for value in (jnp.nan, -jnp.nan, jnp.inf):
            logits = jnp.zeros((1, 5, 5, 9)).at[0, 3, 3, jnp.array(leaves)].set(value)
            assert np.isnan(of(logits, labels))


def test_what_is_no_class_adds_nothing_and_other_channels_are_refused():
    of, plain = (
        build_loss("crossentropy + dice + lovasz", DEEP, counters=counters)
        for counters in (counters_of_cpu(), None)
    )
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 1, (1, 4, 4, 9)), jnp.float32)
    labels = np.array([[0, 3, 9, 254], [8, 1, 2, 3], [255] * 4, [4] * 4], np.uint8)[None]
    with_ignored = np.where(labels > 8, 255, labels).astype(np.uint8)
    np.testing.assert_allclose(of(logits, labels), plain(logits, with_ignored), rtol=1e-5)
    with pytest.raises(ValueError, match=r"of 9 logits a pixel; got \(1, 4, 4, 8\)"):
        of(logits[..., :8], labels)


def test_runs_on_a_cpu_count_by_the_kernel_unless_they_leave_all_to_xla():
    for impl, wanted in (("auto", True), ("xla", False)):
        given = small_settings(model__conv_impl=impl, loss="dice + lovasz")
        of = training_loss(given, PASCAL_PERSON_PART, ())
        logits = jnp.zeros((1, 8, 8, given.model.head_channels(PASCAL_PERSON_PART)))
        program = jax.jit(of).lower(logits, np.zeros((1, 8, 8), np.uint8)).as_text()
        for kernel in ("hierseg_soft_counts", "hierseg_error_bins"):
            assert (kernel in program) == wanted
