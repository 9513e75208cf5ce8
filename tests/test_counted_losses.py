"""Losses made of counts equal those taken one by one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.losses import LossOptions, build_loss
from hierseg_jax.losses.counted_losses import COUNTED
from hierseg_jax.models.kernels import library
from hierseg_jax.settings.building import counters_of_cpu, training_loss
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.loss_contracts import assert_same_over_devices
from tests.runs import small_settings
from tests.test_labels import trees

pytestmark = pytest.mark.skipif(
    bool(library.problem()), reason=f"the kernels can't be compiled: {library.problem()}"
)

DEEP = Hierarchy.from_mapping({"x": {"y": [1, 2], "z": [3, 4, 5]}, "w": {"v": [6, 7, 8]}})
EVERY = LossOptions(every_level=True, level_weights=(0.5, 0.0, 2.0))


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
    assert_equal(*results)
    return results[1]


def assert_equal(plain, counted):
    """Of values with their gradients, by XLA and counted."""
    np.testing.assert_allclose(counted[0], plain[0], rtol=1e-5, atol=1e-6)
    largest = float(jnp.abs(plain[1]).max())
    np.testing.assert_allclose(counted[1], plain[1], atol=max(1e-5 * largest, 1e-9))


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


def with_groups(tree):
    return dataclasses.replace(Hierarchy.from_mapping(tree), inner_labels=True)


# Branches of different depths and groups of one class; no background; no group at all.
ODD = with_groups({"a": [4, {"b": [1, {"c": [6, 2]}]}], "d": [3], "e": [5]})
NO_BACKGROUND = with_groups({"a": [0, {"b": [1, 2]}], "c": [3]})
ONE_LEVEL = with_groups([1, 2, 3])
DEEP_GROUPS = dataclasses.replace(DEEP, inner_labels=True)
PERSON_GROUPS = dataclasses.replace(PASCAL_PERSON_PART, inner_labels=True)


def weighted(options, hierarchy):
    """With class weights that differ, one of them 0."""
    classes_k = [level.num_classes for level in hierarchy.levels]
    weights = tuple(
        tuple((7 * k + 3 * v + 1) % 5 / 2 for v in range(n)) for k, n in enumerate(classes_k)
    )
    return dataclasses.replace(options, class_weights=weights)


def pictures(hierarchy, rng, shape=(2, 9, 7)):
    """Labels and which examples count: of all kinds, and where what is usual is absent."""
    num_labels = len(hierarchy.labels.names)
    labels = rng.integers(0, num_labels, shape).astype(np.uint8)
    labels[0, :2] = 255
    both, first = np.array([True, True]), np.array([True, False])
    yield labels, both
    yield labels, first
    # Of one class and one group alone; of the last group; of none.
    yield np.where(labels % 2, 1, num_labels - 1).astype(np.uint8), both
    yield np.full(shape, num_labels - 1, np.uint8), both
    yield labels, ~both


def compare_pictures(hierarchy, loss, options, hierarchical, seed=0):
    """`compare` over pictures of labels of any node."""
    rng = np.random.default_rng(seed)
    channels = hierarchy.num_nodes if hierarchical else hierarchy.num_classes
    plain, counted = (
        build_loss(loss, hierarchy, hierarchical=hierarchical, options=options, counters=counters)
        for counters in (None, counters_of_cpu())
    )
    graded = [
        jax.jit(jax.value_and_grad(lambda x, y, v, of=of: of(x, y, valid_b=v)))
        for of in (plain, counted)
    ]
    for labels, valid in pictures(hierarchy, rng):
        logits = jnp.asarray(rng.normal(0, 3, (*labels.shape, channels)), jnp.float32)
        results = [of(logits, labels, valid) for of in graded]
        assert_equal(*results)


EVERY_OF_FOUR = LossOptions(every_level=True, level_weights=(0.5, 0.0, 2.0, 1.0))
ALL_KINDS = "crossentropy + 0.5*dice + lovasz"


@pytest.mark.parametrize(
    ("hierarchy", "options", "hierarchical", "loss"),
    [
        (ODD, LossOptions(), False, ALL_KINDS),
        (DEEP_GROUPS, LossOptions(), False, "lovasz"),
        (ODD, weighted(EVERY_OF_FOUR, ODD), False, ALL_KINDS),
        (ODD, weighted(LossOptions(), ODD), True, ALL_KINDS),
        (NO_BACKGROUND, weighted(LossOptions(), NO_BACKGROUND), False, ALL_KINDS),
        (ONE_LEVEL, LossOptions(every_level=True), False, ALL_KINDS),
        (DEEP, weighted(EVERY, DEEP), False, "crossentropy"),
        (PASCAL_PERSON_PART, weighted(LossOptions(), PASCAL_PERSON_PART), False, "crossentropy"),
    ],
)
def test_labels_of_groups_and_class_weights_are_counted_as_they_are_taken_by_xla(
    hierarchy, options, hierarchical, loss
):
    compare_pictures(hierarchy, loss, options, hierarchical)


@pytest.mark.slow
@pytest.mark.parametrize("hierarchical", [False, True], ids=["flat", "hierarchical"])
@pytest.mark.parametrize("hierarchy", [ODD, DEEP_GROUPS, PERSON_GROUPS, NO_BACKGROUND, ONE_LEVEL])
def test_each_loss_of_labels_of_groups_is_counted_as_by_xla(hierarchy, hierarchical):
    weights = (2.0, 0.0, 0.5, 1.0)[-hierarchy.num_levels :]
    every = LossOptions(every_level=True, level_weights=weights)
    for seed, loss in enumerate((*COUNTED, "crossentropy + 0.5*dice", "2*iou + focal + lovasz")):
        for options in (LossOptions(), every, weighted(every, hierarchy)):
            if hierarchical == (options is every):
                continue
            compare_pictures(hierarchy, loss, options, hierarchical, seed)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(trees(most=5), st.booleans(), st.booleans(), st.integers(0, 2**31))
def test_over_any_tree_labels_of_any_node_are_counted_as_by_xla(tree, every, weigh, seed):
    tree = dataclasses.replace(tree, inner_labels=True)
    options = LossOptions(every_level=every)
    options = weighted(options, tree) if weigh else options
    compare_pictures(tree, ALL_KINDS, options, False, seed)


def test_devices_together_count_labels_of_groups_as_one_does():
    of = build_loss(
        ALL_KINDS, ODD, options=weighted(LossOptions(), ODD), counters=counters_of_cpu()
    )
    rng = np.random.default_rng(5)
    labels = rng.integers(0, len(ODD.labels.names), (4, 5, 6)).astype(np.uint8)
    labels[:2] %= 3  # devices see unlike labels
    logits = rng.normal(0, 2, (*labels.shape, ODD.num_classes)).astype(np.float32)
    assert_same_over_devices(of, logits, labels)


def test_losses_with_options_are_taken_as_they_are():
    for options in (
        LossOptions(label_smoothing=0.1, every_level=True),
        LossOptions(hard_share=0.5),
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
    weights = weighted(LossOptions(), PERSON_GROUPS).class_weights
    for impl, wanted in (("auto", True), ("xla", False)):
        given = small_settings(model__conv_impl=impl, loss="crossentropy + dice + lovasz")
        of = training_loss(given, PERSON_GROUPS, weights)
        logits = jnp.zeros((1, 8, 8, given.model.head_channels(PASCAL_PERSON_PART)))
        program = jax.jit(of).lower(logits, np.zeros((1, 8, 8), np.uint8)).as_text()
        for kernel in ("hierseg_soft_counts", "hierseg_error_bins"):
            assert (kernel in program) == wanted
