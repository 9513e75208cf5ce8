"""What is shown and written of data that label groups as well, and of several data sets."""

import json
import types

import numpy as np
import pytest

from hierseg_jax.evaluation.data_sets import evaluate_parts
from hierseg_jax.evaluation.extremes import Extremes
from hierseg_jax.evaluation.metrics import evaluate_levels, tree_metrics
from hierseg_jax.evaluation.page.evaluation_page import EvaluationReport, format_page
from hierseg_jax.evaluation.page.history import History
from hierseg_jax.evaluation.result import Evaluation
from hierseg_jax.evaluation.shown_pictures import ShownPicture
from hierseg_jax.evaluation.tables import format_data_sets, format_levels, to_json
from hierseg_jax.reports.drawing.overlay import overlaid
from hierseg_jax.settings import Settings
from hierseg_jax.settings.metric_choice import Criterion
from hierseg_jax.train.progress import Progress, end_line, epoch_line, stand_in_note
from hierseg_jax.train.sample_pictures import draw_samples
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.test_metrics_of_inner_labels import BODY, Part, matrices
from tests.test_run_report import report_of
from tests.webpages import Page, assert_stands_alone

METRICS = ("miou", "pixel_accuracy")
NAMES = BODY.labels.names


@pytest.fixture(scope="module")
def evaluation():
    """Two pictures with parts, then two that name upper and lower bodies alone."""
    rng = np.random.default_rng(0)
    label_nhw, prediction_nhw = rng.integers(0, 7, (2, 4, 24, 32), np.uint8)
    upper, lower = NAMES.index("upper_body"), NAMES.index("lower_body")
    halves = np.where(BODY.levels[1].leaf_to_class[label_nhw[2:]] == 1, upper, lower)
    label_nhw[2:] = np.where(label_nhw[2:] == 0, 0, halves)
    confusions_nlc = matrices(BODY, label_nhw, prediction_nhw)
    extremes = Extremes(2, (), BODY.labels.leaves_lc)
    extremes.add(confusions_nlc, np.ones(4, bool))
    image = np.full((24, 32, 3), 128, np.uint8)

    def show(index):
        return ShownPicture(image, label_nhw[index], prediction_nhw[index])

    total = confusions_nlc.sum(0, dtype=np.int64)
    parts = (Part("<parts>", 0, 2), Part("halves", 2, 4))
    return Evaluation(
        levels=evaluate_levels(confusions_nlc, BODY, 4),
        tree=tree_metrics(total, 3, BODY),
        loss=0.25,
        num_images=4,
        confusion_cc=total,
        inner_labels=True,
        data_sets=evaluate_parts(parts, np.ones(4, bool), confusions_nlc, BODY, 4),
        best=extremes.best(show),
        worst=extremes.worst(show),
    )


def test_files_say_how_many_pixels_a_level_counts_and_what_each_data_set_gives(evaluation):
    content = json.loads(json.dumps(to_json(evaluation, {"metrics": list(METRICS)})))
    counts = {name: level["labelled_pixels"] for name, level in content["levels"].items()}
    background = int(evaluation.confusion_cc[0].sum())
    parts = int(evaluation.confusion_cc[:7].sum())
    assert counts == {"body": 4 * 24 * 32, "upper_lower": 4 * 24 * 32, "part": parts}
    assert background < parts < 4 * 24 * 32
    assert {name: of["images"] for name, of in content["datasets"].items()} == {
        "<parts>": 2,
        "halves": 2,
    }
    assert list(content["datasets"]["halves"]["levels"]) == ["body", "upper_lower"]
    assert content["datasets"]["<parts>"]["levels"]["part"]["labelled_pixels"] == 2 * 24 * 32
    text = format_levels(evaluation.levels, METRICS).splitlines()
    assert text[0].endswith("labelled pixels")
    ends = [line.split()[-1] for line in text if line.split()[0] in counts]
    assert [end for end in ends if "," in end] == [f"{count:,}" for count in counts.values()]
    told = format_data_sets(evaluation.data_sets, BODY.level_names, METRICS)
    assert "\n<parts>: 2 images\n" in told
    assert "\nhalves: 2 images; labels stop above level part\n" in told


def test_the_page_has_a_table_for_each_data_set_and_names_hatched_groups(evaluation, tmp_path):
    plain = report_of(PASCAL_PERSON_PART, tmp_path)
    content = dict(plain.metrics) | to_json(evaluation, {"metrics": plain.metrics["metrics"]})
    meta, history = {"step": 8}, History((), "no curves here")
    text = format_page(
        EvaluationReport(
            content, evaluation, meta, Settings(), PASCAL_PERSON_PART, history, tmp_path
        )
    )
    page = Page(text)
    assert_stands_alone(page)
    for levels in (evaluation.levels, evaluation.data_sets["halves"].levels):
        for name, level in levels.items():
            found = [row for row in page.rows if row[:2] == [name, f"{level.miou:.4f}"]]
            assert any(row[-1] == f"{level.labelled_pixels:,}" for row in found)
    for told in ("halves: 2 images", "<parts>: 2 images", "labels stop above level part"):
        assert told in page.text
    groups = page.text.split("Hatched: known as no finer than")[1].split()[:2]
    assert groups == ["upper_body", "lower_body"]
    without = format_page(plain)
    for word in ("labelled pixels</th>", "data-sets", "Hatched"):
        assert word in text
        assert word not in without


def test_a_group_is_hatched_where_its_class_is_unknown():
    image_hwc = np.random.default_rng(0).integers(0, 256, (96, 48, 3), np.uint8)
    upper = NAMES.index("upper_body")
    label_hw = np.full((96, 48), upper, np.uint8)
    label_hw[:, 24:] = 3
    for k, unknown in enumerate((False, False, True)):
        drawn = overlaid(image_hwc, label_hw, BODY, k)
        pale = (drawn == image_hwc // 2 + 128).all(2)
        assert not pale[:, 24:].any()
        assert 0.4 < pale[:, :24].mean() < 0.6 if unknown else not pale.any()


def test_samples_of_data_with_groups_are_drawn(tmp_path):
    label_hw = np.repeat(np.arange(10, dtype=np.uint8), 8)[None].repeat(64, axis=0)
    samples = {"image": [np.full((*label_hw.shape, 3), 99, np.uint8)], "label": [label_hw]}
    draw_samples(samples | {"prediction": [label_hw % 7]}, BODY, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def level(miou, pixels):
    return types.SimpleNamespace(miou=miou, labelled_pixels=pixels)


def test_the_finest_level_that_is_labelled_stands_in_for_the_one_that_tells_the_best_epoch():
    criterion, progress, notes = Criterion("miou", "part"), Progress(), []
    for miou in (0.2, 0.6, 0.4):
        levels = {
            "body": level(0.9 - miou, 9),
            "half": level(miou, 9),
            "part": level(float("nan"), 0),
        }
        tree = tree_metrics(np.eye(7), 0, PASCAL_PERSON_PART)
        evaluation = Evaluation(levels, tree, 1.0, 1, np.eye(7), inner_labels=True)
        progress = progress.with_steps([1.0]).with_epoch(
            evaluation, 1e-3, 2.0, 24, ("miou",), criterion
        )
        notes.append(stand_in_note(progress, criterion))
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress
    assert (progress.best_row["epoch"], progress.best_score) == (2, -0.6)
    assert notes == [
        "the labels of the validation split stop above level part, whose mIoU should tell the "
        "best epoch; that of level half does.",
        "",
        "",
    ]
    assert "mIoU 0.5000 / 0.4000 / - (body / half / part)" in epoch_line(progress, 3)
    assert end_line(progress, 3, criterion).endswith("best is epoch 2 with mIoU (half) of 0.6000.")
    labelled = Criterion("miou", "half")
    assert labelled.level_of(progress.rows[0]) == "half"
    assert stand_in_note(progress, labelled) == stand_in_note(progress, Criterion()) == ""
