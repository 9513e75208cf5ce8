"""Names of metrics, and what tells the best epoch."""

import numpy as np
import pytest

from hierseg_jax.evaluation.metrics import class_numbers, evaluate_levels, level_number
from hierseg_jax.evaluation.tables import format_levels
from hierseg_jax.settings.metric_choice import (
    METRICS,
    Criterion,
    parse_best,
    parse_metrics,
)
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("miou", ("miou",)),
        ("f1, boundary_iou", ("f1", "boundary_iou")),
        (("miou,f1", "miou"), ("miou", "f1")),  # as ml_collections reads a flag
        (["recall"], ("recall",)),
    ],
)
def test_metrics_are_named_in_a_sequence_or_with_commas(given, names):
    assert parse_metrics(given) == names


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("boundry_iou", "did you mean boundary_iou?"),
        ("", "names no metric; choose of miou"),
        ((1, 2), "give names: miou"),
        ("xyz", "choose of miou, reference_miou"),
    ],
)
def test_what_is_no_metric_is_named(given, sentence):
    with pytest.raises(ValueError, match=sentence.replace("?", r"\?")):
        parse_metrics(given)


@pytest.mark.parametrize(
    ("best", "sentence"),
    [
        ("f1", r"its metrics are miou; add f1"),
        ("los", "did you mean loss"),
        (".miou", "the tree has the levels body, upper_lower, part"),
        ("parts.miou", "the tree has the levels body, upper_lower, part"),
    ],
)
def test_a_best_that_is_none_is_named(best, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_best(best, ("miou",), PASCAL_PERSON_PART)


def test_the_best_epoch_is_that_of_the_least_score():
    rows = [
        {"val_loss": 0.3, "levels": {"body": {"f1": 0.9}, "part": {"f1": 0.1}}},
        {"val_loss": 0.2, "levels": {"body": {"f1": 0.8}, "part": {"f1": None}}},
        {"val_loss": 0.4, "levels": {"body": {"f1": 0.7}, "part": {"f1": 0.2}}},
    ]

    def best(name):
        criterion = parse_best(name, ("f1",), PASCAL_PERSON_PART)
        return min(range(3), key=lambda i: criterion.score(rows[i]))

    assert (best("loss"), best("f1"), best("part.f1"), best("body.f1")) == (1, 2, 2, 0)
    assert Criterion().describe(rows[0]) == "validation loss of 0.3000"
    assert Criterion("f1", "part").describe(rows[2]) == "F1 (part) of 0.2000"


def test_every_metric_has_its_number_and_its_column():
    confusions = np.random.default_rng(0).integers(1, 50, (4, 7, 7))
    counts = np.full((3, PASCAL_PERSON_PART.num_nodes), 10)
    counts[0] = 5
    levels = evaluate_levels(confusions, PASCAL_PERSON_PART, 2, counts)
    assert level_number(levels["part"], "boundary_iou") == pytest.approx(1 / 3)
    table = format_levels(levels, tuple(METRICS)).splitlines()
    assert len(table[0].split()) == len(METRICS)
    for name, level in levels.items():
        (line,) = [line.split() for line in table if line.startswith(f"{name} ")]
        assert line[1:] == [f"{level_number(level, metric):.4f}" for metric in METRICS]
    torso = next(line.split() for line in table if line.startswith("  torso "))
    columns = [class_numbers(levels["part"], metric) for metric in METRICS]
    assert torso[1:] == [f"{column[2]:.4f}" for column in columns if column is not None]
    only = format_levels(levels, ("recall",)).splitlines()
    assert only[0].split() == ["recall"]
    with pytest.raises(ValueError, match=r"mIoU.*miou"):
        format_levels(levels, ("mIoU",))
