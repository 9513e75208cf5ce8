"""Metrics of data that label groups as well, against a slow walk over every pixel."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.data.resize import Resize
from hierseg_jax.evaluation.boundary import DISTANCE, boundary_counts
from hierseg_jax.evaluation.confusions import confusion_matrices, level_confusions
from hierseg_jax.evaluation.data_sets import evaluate_parts
from hierseg_jax.evaluation.eval_step import make_eval_step
from hierseg_jax.evaluation.evaluate import evaluate_batches
from hierseg_jax.evaluation.extremes import image_scores
from hierseg_jax.evaluation.metrics import evaluate_levels, reference_miou, tree_metrics
from hierseg_jax.evaluation.page.extreme_pictures import wrong_pixels
from hierseg_jax.evaluation.result import gather_evaluation
from hierseg_jax.evaluation.tally import Measures
from hierseg_jax.evaluation.tiled_evaluation import TiledEvaluation, make_window_step
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, PASCAL_PERSON_PART, Hierarchy
from tests.test_boundary import near_contour
from tests.test_labels import trees, with_groups
from tests.test_whole_pictures import TREE, ColoursAsClasses, Painted

BODY = with_groups(PASCAL_PERSON_PART)  # leaf classes 0 to 6, body, upper_body, lower_body
SIZE = (5, 7)


@st.composite
def labelled(draw, shape=(3, *SIZE)):
    """A tree with groups as labels, random predictions, and labels of which some are used."""
    hierarchy = draw(trees())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = [*range(len(hierarchy.labels.names)), IGNORE_LABEL]
    some = rng.choice(labels, rng.integers(1, len(labels) + 1), replace=False)
    label_nhw = rng.choice(some, shape).astype(np.uint8)
    return hierarchy, label_nhw, rng.integers(0, hierarchy.num_classes, shape, np.uint8)


def matrices(hierarchy, label_nhw, prediction_nhw):
    shape = hierarchy.num_classes, len(hierarchy.labels.names)
    pairs = zip(label_nhw, prediction_nhw, strict=True)
    return np.stack([confusion_matrix(*pair, *shape) for pair in pairs])


def known_class(hierarchy, label, level):
    """A label's class at a level; None where its leaf classes differ there."""
    if label == IGNORE_LABEL:
        return None
    found = {int(level.leaf_to_class[leaf]) for leaf in leaves(hierarchy, label)}
    return found.pop() if len(found) == 1 else None


def leaves(hierarchy, label):
    return np.flatnonzero(hierarchy.labels.leaves_lc[label]).tolist()


def pixels(label_nhw, prediction_nhw):
    for label_hw, prediction_hw in zip(label_nhw, prediction_nhw, strict=True):
        yield list(zip(label_hw.ravel().tolist(), prediction_hw.ravel().tolist(), strict=True))


@settings(deadline=None, max_examples=60)
@given(labelled())
def test_a_level_counts_the_pixels_whose_class_is_known_there(case):
    hierarchy, label_nhw, prediction_nhw = case
    confusions_nlc = matrices(*case)
    found = level_confusions(confusions_nlc, hierarchy)
    metrics = evaluate_levels(confusions_nlc, hierarchy, 2)
    for level, found_nkk in zip(hierarchy.levels, found, strict=True):
        slow_nkk = np.zeros_like(found_nkk)
        for n, picture in enumerate(pixels(label_nhw, prediction_nhw)):
            for label, leaf in picture:
                true = known_class(hierarchy, label, level)
                if true is not None:
                    slow_nkk[n, true, level.leaf_to_class[leaf]] += 1
        np.testing.assert_array_equal(found_nkk, slow_nkk)
        check_numbers(metrics[level.name], slow_nkk.sum(0), hidden(hierarchy, label_nhw, level))


def hidden(hierarchy, label_nhw, level):
    """Classes that no pixel is known to be of, and some pixel may be."""
    present = set(label_nhw.ravel().tolist()) - {IGNORE_LABEL}
    known = {label: known_class(hierarchy, label, level) for label in present}
    unknown = [label for label in present if known[label] is None]
    possible = {int(level.leaf_to_class[f]) for label in unknown for f in leaves(hierarchy, label)}
    return possible - set(known.values())


def check_numbers(numbers, slow_kk, hidden):
    if hidden and not slow_kk[1:].any():
        assert numbers.labelled_pixels == 0
        assert np.isnan([numbers.miou, numbers.pixel_accuracy, numbers.reference_miou]).all()
        return
    assert numbers.labelled_pixels == slow_kk.sum()
    if slow_kk.any():
        assert numbers.pixel_accuracy == np.trace(slow_kk) / slow_kk.sum()
    ious = []
    for index in range(len(slow_kk)):
        union = slow_kk[index].sum() + slow_kk[:, index].sum() - slow_kk[index, index]
        defined = union and index not in hidden
        iou = slow_kk[index, index] / union if defined else np.nan
        np.testing.assert_allclose(numbers.iou[index], iou)
        ious += [iou] if defined and index else []
    np.testing.assert_allclose(numbers.miou, np.mean(ious) if ious else np.nan)


@settings(deadline=None, max_examples=60)
@given(labelled())
def test_distances_are_those_of_pixels_whose_leaf_is_known(case):
    hierarchy, label_nhw, prediction_nhw = case
    counted, distances = 0, []
    for picture in pixels(label_nhw, prediction_nhw):
        for label, leaf in picture:
            counted += label != IGNORE_LABEL
            if label < hierarchy.num_classes:
                distances.append(int(hierarchy.distances[label, leaf]))
    found = tree_metrics(matrices(*case).sum(0), 4, hierarchy)
    np.testing.assert_allclose(found.contradictions, 4 / counted if counted else np.nan)
    np.testing.assert_allclose(found.mean_distance, np.mean(distances) if distances else np.nan)
    wrong = [distance for distance in distances if distance]
    np.testing.assert_allclose(found.mistake_distance, np.mean(wrong) if wrong else np.nan)


@settings(deadline=None, max_examples=60)
@given(labelled())
def test_a_picture_s_score_takes_a_group_for_any_class_below_it(case):
    hierarchy, label_nhw, prediction_nhw = case
    scores = image_scores(matrices(*case), hierarchy.labels.leaves_lc)
    for score, picture in zip(scores, pixels(label_nhw, prediction_nhw), strict=True):
        ious = []
        for label in {label for label, _ in picture} - {0, IGNORE_LABEL}:
            own, below = [leaf for of, leaf in picture if of == label], leaves(hierarchy, label)
            excess = [
                leaf
                for of, leaf in picture
                if of != IGNORE_LABEL and leaf in below and leaf not in leaves(hierarchy, of)
            ]
            hit = sum(leaf in below for leaf in own)
            ious.append(hit / (len(own) + len(excess)))
        np.testing.assert_allclose(score, np.mean(ious) if ious else np.nan)
    for label_hw, prediction_hw in zip(label_nhw, prediction_nhw, strict=True):
        slow_hw = [
            label != IGNORE_LABEL and leaf not in leaves(hierarchy, label)
            for label, leaf in zip(label_hw.ravel(), prediction_hw.ravel(), strict=True)
        ]
        found_hw = wrong_pixels(label_hw, prediction_hw, hierarchy.labels)
        np.testing.assert_array_equal(found_hw.ravel(), slow_hw)


@settings(deadline=None, max_examples=40)
@given(labelled(shape=(1, 6, 7)))
def test_a_pixel_is_ignored_by_boundaries_of_levels_where_it_is_unknown(case):
    hierarchy, (label_hw,), (prediction_hw,) = case
    prediction_hw[0, :2] = IGNORE_LABEL  # as a crop leaves out
    distance = max(1, round(DISTANCE * np.hypot(*label_hw.shape)))
    columns = []
    for level in hierarchy.levels:
        true_hw, predicted_hw = (
            np.array([[known_class(hierarchy, label, level) for label in row] for row in map_hw])
            for map_hw in (label_hw, prediction_hw)
        )
        ignored_hw = np.equal(true_hw, None) | np.equal(predicted_hw, None)
        for index in range(level.num_classes):
            near_true, near_predicted = (
                near_contour(np.equal(map_hw, index) & ~ignored_hw, ignored_hw, distance)
                for map_hw in (true_hw, predicted_hw)
            )
            columns.append([(near_true & near_predicted).sum(), near_true.sum()])
            columns[-1].append(near_predicted.sum())
    found = boundary_counts(label_hw, prediction_hw, hierarchy)
    np.testing.assert_array_equal(found, np.transpose(columns))


def numbers_of(level):
    fields = dataclasses.asdict(level)
    del fields["labelled_pixels"]
    return fields


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_fully_labelled_pictures_have_the_numbers_that_they_have_without_groups(seed):
    rng = np.random.default_rng(seed)
    label_nhw, prediction_nhw = rng.integers(0, 7, (2, 3, *SIZE), np.uint8)
    label_nhw[:, 0] = IGNORE_LABEL
    plain_ncc = matrices(PASCAL_PERSON_PART, label_nhw, prediction_nhw)
    confusions_nlc = matrices(BODY, label_nhw, prediction_nhw)
    plain = evaluate_levels(plain_ncc, PASCAL_PERSON_PART, 2)
    found = evaluate_levels(confusions_nlc, BODY, 2)
    for name, level in plain.items():
        jax.tree.map(np.testing.assert_array_equal, numbers_of(level), numbers_of(found[name]))
        assert level.labelled_pixels is None
        assert found[name].labelled_pixels == plain_ncc.sum()
    assert tree_metrics(plain_ncc.sum(0), 5, PASCAL_PERSON_PART) == tree_metrics(
        confusions_nlc.sum(0), 5, BODY
    )
    scores = image_scores(confusions_nlc, BODY.labels.leaves_lc)
    np.testing.assert_allclose(image_scores(plain_ncc), scores, rtol=1e-12)
    for pair in zip(label_nhw, prediction_nhw, strict=True):
        counts = (boundary_counts(*pair, tree) for tree in (PASCAL_PERSON_PART, BODY))
        np.testing.assert_array_equal(*counts)


def test_the_device_counts_as_the_host_does():
    rng = np.random.default_rng(0)
    label_nhw = rng.choice([*range(10), 200, IGNORE_LABEL], (2, *SIZE)).astype(np.uint8)
    prediction_nhw = rng.integers(0, 7, label_nhw.shape)
    found = confusion_matrices(prediction_nhw, label_nhw, 7, np.array([True, False]), 10)
    assert found.shape == (2, 10, 7)
    label_nhw[label_nhw == 200] = IGNORE_LABEL
    np.testing.assert_array_equal(found[0], matrices(BODY, label_nhw, prediction_nhw)[0])
    assert not found[1].any()


def test_pictures_that_stop_above_a_level_are_not_in_its_mean_over_pictures():
    parts, body = np.zeros((2, 10, 7), int)
    parts[[0, 1, 2], [0, 1, 1]] = 4, 2, 2
    body[[0, 0, 7], [0, 1, 2]] = 4, 1, 5  # body alone, and a mistake in the background
    levels = evaluate_levels(np.stack([body, parts, body]), BODY, 2)
    (alone,) = (level_confusions(parts[None], BODY)[-1],)
    assert levels["part"].reference_miou == reference_miou(alone, 2)
    assert levels["part"].labelled_pixels == 8 + 2 * 5
    assert levels["body"].labelled_pixels == 8 + 2 * 10


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    start: int
    stop: int


PARTS = (Part("a", 0, 3), Part("b", 3, 4), Part("empty", 4, 4), Part("persons", 4, 9))


@pytest.fixture(scope="module")
def mixed():
    """Pictures of PARTS and three that fill them up, one of them unreadable; which are valid."""
    rng = np.random.default_rng(0)
    label_mhw = rng.integers(0, 10, (12, *SIZE), np.uint8)
    persons = label_mhw[4:9]
    persons[persons > 0] = BODY.labels.names.index("body")
    prediction_mhw = rng.integers(0, 7, label_mhw.shape, np.uint8)
    valid_m = np.arange(12) < 9
    valid_m[[1, 5]] = False
    label_mhw[~valid_m] = IGNORE_LABEL
    pairs = zip(label_mhw, prediction_mhw, strict=True)
    boundaries_m3k = np.stack([boundary_counts(*pair, BODY) for pair in pairs])
    return valid_m, matrices(BODY, label_mhw, prediction_mhw), boundaries_m3k


def test_a_part_has_the_numbers_of_its_data_set_alone(mixed):
    valid_m, confusions_mlc, boundaries_m3k = mixed
    found = evaluate_parts(
        PARTS, valid_m, confusions_mlc[valid_m], BODY, 2, boundaries_m3k[valid_m]
    )
    assert {name: of.num_images for name, of in found.items()} == {
        "a": 2,
        "b": 1,
        "empty": 0,
        "persons": 4,
    }
    for part in PARTS:
        own = np.flatnonzero(valid_m[part.start : part.stop]) + part.start
        boundary_3k = boundaries_m3k[own].sum(0)
        alone = evaluate_levels(confusions_mlc[own], BODY, 2, boundary_3k)
        for name, level in found[part.name].levels.items():
            expected = dataclasses.asdict(alone[name])
            jax.tree.map(np.testing.assert_array_equal, dataclasses.asdict(level), expected)
    assert list(found["a"].levels) == list(BODY.level_names)
    assert list(found["persons"].levels) == ["body"]
    assert not found["empty"].levels


class PartlyNamed(Painted):
    """Two data sets, the second of which labels the groups alone."""

    tree = with_groups(TREE)
    parts = (Part("classes", 0, 1), Part("groups", 1, 4))

    def __getitem__(self, index):
        example = super().__getitem__(index)
        if index >= 1:
            example["label"] = np.choose(np.minimum(example["label"], 4), (0, 4, 4, 5, 255))
        return example | {"label": example["label"].astype(np.uint8)}


def evaluated(way):
    source, devices = PartlyNamed(), all_devices()
    tree, network = source.tree, ColoursAsClasses()
    measures = Measures(boundary=True, whole=way != "network", parts=source.parts)
    if way == "tiles":
        step = devices.compile_eval_step(make_window_step(network.apply, tree, "leaf"))
        place = functools.partial(Resize().place, size=(32, 24))
        tiled = TiledEvaluation(step, {}, source, place, tree, "leaf", 4, devices)
        return gather_evaluation(tiled.tally(measures), tree, 4, measures)
    step = make_eval_step(network, lambda logits, *_, **__: logits.mean(), tree, with_scores=True)
    size = {"size": (64, 96), "batch_size": 4, "keep_labels": way == "original"}
    compiled, batches = devices.compile_eval_step(step), eval_batches(source, **size)
    return evaluate_batches(compiled, {}, batches, tree, 4, devices, measures=measures)


@pytest.mark.parametrize("way", ["network", "original", "tiles"])
def test_every_way_of_looking_at_pictures_counts_labels_of_groups(way):
    done = evaluated(way)
    assert done.inner_labels
    labels, tree = [PartlyNamed()[index]["label"] for index in range(4)], PartlyNamed.tree
    counts_l = np.bincount(np.concatenate([label.ravel() for label in labels]), minlength=256)
    if way == "network":
        assert 0 < done.confusion_cc.sum() < 4 * 64 * 96
    else:
        np.testing.assert_array_equal(done.confusion_cc.sum(1), counts_l[:6])
    assert np.all(done.confusion_cc[4, 1:3])
    assert done.confusion_cc[tree.labels.leaves_lc].sum() > 0.9 * done.confusion_cc.sum()
    counted = done.confusion_cc.sum()
    assert [level.labelled_pixels for level in done.levels.values()] == [
        counted,
        counted - done.confusion_cc[4].sum(),
    ]
    classes, groups = done.data_sets.values()
    assert (classes.num_images, groups.num_images) == (1, 3)
    # A group of one class says which class it is.
    assert list(classes.levels) == list(groups.levels) == list(tree.level_names)
    assert sum(of.levels["leaf"].labelled_pixels for of in (classes, groups)) == (
        done.levels["leaf"].labelled_pixels
    )
    assert np.isnan(groups.levels["leaf"].iou).tolist() == [False, True, True, False]
    assert all(level.miou > 0.7 for level in groups.levels.values())


def test_a_level_that_no_label_reaches_has_no_boundary_iou():
    tree = Hierarchy.from_mapping({"body": [1, 2]}, ["background", "a", "b"], ["group", "part"])
    tree = dataclasses.replace(tree, inner_labels=True)
    confusions_nlc = np.zeros((1, len(tree.labels.names), 3), np.int64)
    confusions_nlc[0, tree.labels.names.index("body")] = 1, 5, 4
    levels = evaluate_levels(confusions_nlc, tree, 1, np.full((3, tree.num_nodes), 10))
    assert levels["part"].labelled_pixels == 0
    assert np.isnan(levels["part"].boundary_iou).all()
    assert levels["group"].boundary_iou.tolist() == [1, 1]
