"""Weights of classes: bounded, the same in training and in the doctor's report, or given."""

import dataclasses
import shlex

import numpy as np
import pytest

from configs import default
from hierseg_jax.data.class_weights import (
    MAX_WEIGHT,
    MIN_WEIGHT,
    Frequencies,
    count_frequencies,
    given_weights,
    parse_class_weights,
    weights_of,
)
from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.inspection.report_files import make_report
from hierseg_jax.data.inspection.text import format_report, format_weights
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.settings import read_settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.recipe import choose_class_weights
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.inspection_data import SIZE, make_data, write_pair

TREE = Hierarchy.from_mapping(
    {"upper": ["torso", "head"], "lower": ["legs"]},
    ["background", "torso", "head", "legs"],
    ["half", "part"],
)


@pytest.mark.parametrize("rule", ["inverse_sqrt", "median_frequency"])
def test_a_rare_class_does_not_rule_the_loss(rule):
    pixels_c = np.array([8_000_000, 1_000_000, 900_000, 3])
    weights_c = np.array(weights_of(Frequencies(pixels_c, np.full(4, 10**7)), rule))
    median = np.median(weights_c)
    assert weights_c.max() <= MAX_WEIGHT * median * (1 + 1e-9)
    assert weights_c.min() >= MIN_WEIGHT * median * (1 - 1e-9)
    assert weights_c.mean() == pytest.approx(1)
    assert (np.diff(weights_c) > 0).all()


@pytest.fixture
def data(tmp_path):
    file = make_data(tmp_path)
    rare = np.zeros(SIZE, np.uint8)
    rare[:, 40:], rare[0, 0] = 1, 3
    for i in range(4):
        write_pair(tmp_path, "train", f"train{i}", i, label_hw=rare)
    return file


def paste(text):
    """The value that a shell and the command line make of what was printed."""
    (argument,) = shlex.split(text)
    flag, _, value = argument.partition("=")
    config = default.get_config()
    config.update_from_flattened_dict({flag.removeprefix("--config."): value})
    read_settings(config)
    return config.loss_options.class_weights


def test_what_the_doctor_prints_can_be_pasted_and_is_what_training_computes(data, tmp_path):
    inspection = inspect_dataset(load_spec(data))
    report = make_report(inspection, lambda *_: 1.0, limit=5, memory_gb=8)
    printed = format_weights(report.suggestion)
    assert printed in format_report(report)
    source = open_split(str(data), "train", 64, {})
    pasted = choose_class_weights(paste(printed), tmp_path / "run", TREE, source)
    computed = choose_class_weights("median_frequency", tmp_path / "run", TREE, source)
    np.testing.assert_allclose(pasted[-1], computed[-1], rtol=6e-3)
    exact = weights_of(count_frequencies(source, TREE)[-1], "median_frequency")
    assert tuple(report.suggestion.class_weights.values()) == exact
    assert computed[-1][3] / computed[-1][1] == pytest.approx(MAX_WEIGHT)
    assert computed[-1][2] == 1  # a head is nowhere


def test_weights_are_given_in_order_or_by_name_and_a_group_has_its_leaves_mean():
    in_order = parse_class_weights("0.5, 1.2,3,1")
    by_name = parse_class_weights("torso: 1.2, head:3 , background: 0.5")
    assert in_order == (0.5, 1.2, 3.0, 1.0)
    assert by_name == {"torso": 1.2, "head": 3.0, "background": 0.5}
    for weights in (in_order, by_name):
        half, part = given_weights(weights, TREE)
        assert half == pytest.approx((0.5, 2.1, 1.0))
        assert part == (0.5, 1.2, 3.0, 1.0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("equal", "none, inverse_sqrt or median_frequency, or weights"),
        ("", "or weights: a number for every leaf class"),
        ("1,2,", "or weights"),
        ("1, head: 2", "or weights"),
        ("head: two", "or weights"),
        ("1,-2,3", "weights are 0 or more"),
        ("1,nan,3", "weights are 0 or more"),
        ("1,inf,3", "at most 1,000,000"),
        ("0,0,0", "one is above 0"),
        ("head: 1, head: 2", "names a class twice"),
    ],
)
def test_what_are_no_weights_is_refused_in_a_sentence(text, sentence):
    config = default.get_config()
    config.loss_options.class_weights = text
    with pytest.raises(HiersegError, match=sentence) as error:
        read_settings(config)
    assert "\n" not in str(error.value)


def test_weights_of_other_classes_are_refused(tmp_path):
    for text, sentence in (
        ("1,2,3", "has 3 numbers; there are 4 classes .background, torso, head, legs."),
        ("haed: 2", "names 'haed', which is no leaf class; did you mean head"),
        ("upper: 2", "names 'upper', which is no leaf class; they are background"),
    ):
        with pytest.raises(HiersegError, match=sentence):
            choose_class_weights(text, tmp_path, TREE, None)


class Labels:
    """A source of whole label maps, each of one value but for its first pixel."""

    def __init__(self, *values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        label_hw = np.full((4, 4), self.values[index], np.uint8)
        label_hw[0, 0] = 0
        return {"image": np.zeros((4, 4, 3), np.uint8), "label": label_hw}


def test_pixels_of_a_mixture_count_as_often_as_an_epoch_draws_them():
    source = Mixture(["a", "b"], [Labels(1, 1), Labels(3)], [1.0, 4.0])
    _, parts = count_frequencies(source, TREE)
    np.testing.assert_array_equal(parts.pixels_c, [6, 30, 0, 60])
    np.testing.assert_array_equal(parts.where_c, [96, 32, 0, 64])


def test_pixels_of_a_group_are_none_of_the_pictures_pixels_where_their_class_is_unknown():
    tree = dataclasses.replace(TREE, inner_labels=True)
    upper = tree.labels.names.index("upper")
    halves, parts = count_frequencies(Labels(upper, 3), tree)
    np.testing.assert_array_equal(halves.where_c, [32, 16, 16])
    np.testing.assert_array_equal(parts.where_c, [17, 0, 0, 16])
