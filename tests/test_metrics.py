"""Confusion matrices and the numbers that follow from them."""

import warnings

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hierseg_jax.evaluation.confusions import confusion_matrices, level_confusions
from hierseg_jax.evaluation.metrics import evaluate_levels, level_metrics, reference_miou
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.reference_weights import load_golden
from tests.test_hierarchy import trees

compiled_confusions = jax.jit(confusion_matrices, static_argnums=2)


def direct_confusion(predictions, labels, num_classes):
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for true, predicted in zip(labels.ravel(), predictions.ravel(), strict=True):
        if true != 255:
            matrix[true, predicted] += 1
    return matrix


def test_metrics_equal_the_reference():
    golden, _ = load_golden("metrics")
    matrices = []
    for i in range(3):
        predictions = golden[f"logits_nchw_{i}"].argmax(1)
        matrices.append(np.asarray(compiled_confusions(predictions, golden[f"labels_{i}"], 7)))
    matrices = np.concatenate(matrices)
    np.testing.assert_array_equal(matrices.sum(0), golden["confusion_true_by_pred"])
    levels = evaluate_levels(matrices, PASCAL_PERSON_PART, batch_size=4)
    np.testing.assert_allclose(
        [level.reference_miou for level in levels.values()],
        golden["reference_miou_body_side_part"],
        rtol=0,
        atol=1e-6,
    )


@given(
    hnp.arrays(np.int32, (2, 4, 5), elements=st.integers(0, 8)),
    hnp.arrays(np.uint8, (2, 4, 5), elements=st.sampled_from([*range(9), 255])),
    st.sampled_from([None, (True, False), (False, True)]),
)
def test_confusion_matrices_count_pixels(predictions, labels, valid):
    valid_b = np.array([True, True] if valid is None else valid)
    matrices = np.asarray(compiled_confusions(predictions, labels, 9, valid_b))
    assert matrices.dtype == np.int32
    for i in range(2):
        expected = direct_confusion(predictions[i], labels[i], 9) * valid_b[i]
        np.testing.assert_array_equal(matrices[i], expected)


def test_labels_outside_the_classes_are_not_counted():
    predictions = np.array([[[0, 1, 2, 1, 1]]])
    labels = np.array([[[0, 1, 2, 7, -1]]])
    assert compiled_confusions(predictions, labels, 3)[0].tolist() == np.eye(3).tolist()


@given(trees(max_leaves=20), st.randoms(use_true_random=False))
def test_level_matrices_equal_confusions_of_mapped_labels(tree, random):
    hierarchy = Hierarchy.from_mapping(tree)
    rng = np.random.RandomState(random.randrange(2**32))
    num_classes = hierarchy.num_classes
    predictions, labels = rng.randint(0, num_classes, (2, 3, 30))
    leaf = np.stack(
        [direct_confusion(p, y, num_classes) for p, y in zip(predictions, labels, strict=True)]
    )
    for level, matrices in zip(hierarchy.levels, level_confusions(leaf, hierarchy), strict=True):
        for i in range(3):
            expected = direct_confusion(
                level.leaf_to_class[predictions[i]],
                level.leaf_to_class[labels[i]],
                level.num_classes,
            )
            np.testing.assert_array_equal(matrices[i], expected)


def test_level_metrics_equal_their_definitions():
    # Rows true. Class 3 is neither labelled nor predicted, 2 labelled but never predicted.
    matrix = np.array([[50, 10, 0, 0], [5, 30, 0, 0], [2, 3, 0, 0], [0, 0, 0, 0]])
    numbers = level_metrics(matrix, ("background", "a", "b", "c"))
    np.testing.assert_allclose(numbers.iou, [50 / 67, 30 / 48, 0, np.nan])
    np.testing.assert_allclose(numbers.precision, [50 / 57, 30 / 43, np.nan, np.nan])
    np.testing.assert_allclose(numbers.recall, [50 / 60, 30 / 35, 0, np.nan])
    np.testing.assert_allclose(numbers.f1, [100 / 117, 60 / 78, 0, np.nan])
    np.testing.assert_allclose(numbers.miou, (30 / 48) / 2)
    np.testing.assert_allclose(numbers.mean_precision, 30 / 43)
    np.testing.assert_allclose(numbers.mean_recall, (30 / 35) / 2)
    np.testing.assert_allclose(numbers.mean_f1, (60 / 78) / 2)
    np.testing.assert_allclose(numbers.pixel_accuracy, 0.8)
    np.testing.assert_allclose(numbers.mean_accuracy, (50 / 60 + 30 / 35) / 3)
    np.testing.assert_allclose(numbers.frequency_weighted_iou, (60 * 50 / 67 + 35 * 30 / 48) / 100)


def test_without_any_pixel_every_mean_is_undefined():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        numbers = level_metrics(np.zeros((3, 3)), ("background", "a", "b"))
    assert np.isnan(numbers.iou).all()
    for value in (numbers.miou, numbers.pixel_accuracy, numbers.frequency_weighted_iou):
        assert np.isnan(value)


def test_reference_miou_counts_absent_classes_as_zero_and_batches_alike():
    perfect = np.diag([10, 5, 0])  # class 2 absent: 1/2
    wrong = np.array([[0, 5, 0], [5, 0, 0], [0, 0, 0]])  # 0
    assert reference_miou(np.stack([perfect, perfect, wrong]), batch_size=2) == 0.25
    np.testing.assert_allclose(reference_miou(np.stack([perfect, perfect, wrong]), 3), 1 / 3)
    assert np.isnan(reference_miou(np.zeros((0, 3, 3)), 2))


@pytest.mark.parametrize(
    ("predictions", "labels"),
    [
        (np.zeros((1, 4, 4), np.float32), np.zeros((1, 4, 4), np.uint8)),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)),
        (np.zeros((1, 4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8)),
        (np.zeros((1, 4, 2), np.uint8), np.zeros((1, 4, 4), np.uint8)),
    ],
)
def test_what_is_no_pair_of_label_maps_is_refused(predictions, labels):
    with pytest.raises(ValueError, match=r"are integers \[batch, height, width\] alike; got"):
        confusion_matrices(predictions, labels, 7)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="The hierarchy has 7 classes"):
        level_confusions(np.zeros((2, 6, 6), int), PASCAL_PERSON_PART)
    with pytest.raises(ValueError, match="batch size is at least 1"):
        reference_miou(np.zeros((2, 6, 6)), 0)
