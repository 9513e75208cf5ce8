"""The page of a run: its numbers, its pictures, and what it makes of odd names and files."""

import dataclasses
import json
import shlex

import numpy as np
import pytest

from hierseg_jax.evaluation.confusions import level_confusions
from hierseg_jax.evaluation.evaluate import Evaluation
from hierseg_jax.evaluation.extremes import Extremes, ScoredPicture
from hierseg_jax.evaluation.metrics import TreeMetrics, evaluate_levels, tree_metrics
from hierseg_jax.evaluation.page.commands import evaluate_command, export_commands, larger_command
from hierseg_jax.evaluation.page.confusion import MOST_CLASSES, confusion_table, shown_classes
from hierseg_jax.evaluation.page.curves import line_plot, round_ticks
from hierseg_jax.evaluation.page.evaluation_page import EvaluationReport, format_page
from hierseg_jax.evaluation.page.extreme_pictures import extreme_pictures
from hierseg_jax.evaluation.page.history import History, points, read_history
from hierseg_jax.evaluation.shown_pictures import ShownPicture
from hierseg_jax.evaluation.tables import format_tree, format_unlabelled, lines_beside, to_json
from hierseg_jax.settings import Settings
from hierseg_jax.settings.metric_choice import METRICS
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.webpages import Page, assert_stands_alone

HOSTILE = "'<script>alert(1)</script>&\"'"
NO_HISTORY = History((), "no curves here")


def report_of(hierarchy, tmp_path, history=NO_HISTORY, count=6, name="a<b>c", **described):
    """A report on random pictures; class 2 is never predicted, and labelled in none."""
    rng = np.random.default_rng(0)
    classes = hierarchy.num_classes
    label = rng.integers(0, classes, (count, 24, 32), np.uint8)
    prediction = np.where(rng.random(label.shape) < 0.6, label, 0).astype(np.uint8)
    for map_bhw in (label, prediction):
        map_bhw[map_bhw == 2] = 0
    label[:, 0] = 255
    image = rng.integers(0, 256, (*label.shape, 3), np.uint8)
    confusions = np.zeros((count, classes, classes), np.int32)
    for i in range(count):
        counted = label[i] != 255
        np.add.at(confusions[i], (label[i][counted], prediction[i][counted]), 1)
    extremes = Extremes(2, [f"{name}{i}" for i in range(count)])
    extremes.add(confusions, np.ones(count, bool))
    total = confusions.sum(0, dtype=np.int64)

    def show(index):
        return ShownPicture(image[index], label[index], prediction[index])

    evaluation = Evaluation(
        levels=evaluate_levels(confusions, hierarchy, 4),
        tree=tree_metrics(total, 3, hierarchy),
        loss=0.25,
        num_images=count,
        confusion_cc=total,
        best=extremes.best(show),
        worst=extremes.worst(show),
    )
    metrics = [metric for metric in METRICS if metric != "boundary_iou"]
    settings = Settings().replace(
        {"data.spec": "data.yaml", "data.image_size": 32, "metrics": metrics}
    )
    description = {
        "checkpoint": str(tmp_path / "run" / "checkpoints" / "8"),
        "step": 8,
        "epoch": 2,
        "data": "data.yaml",
        "task": "val",
        "image_size": 32,
        "batch_size": 4,
        "model": "esnet",
        "head": "conditional",
        "hierarchical": False,
        "decode": "leaf",
        "resize": "stretch",
        "resolution": "network",
        "scales": [1],
        "flip": False,
        "metrics": metrics,
    } | described
    content = to_json(evaluation, description)
    return EvaluationReport(
        content, evaluation, {"step": 8}, settings, hierarchy, history, tmp_path
    )


def epoch_row(epoch, **changes):
    level = {"miou": 0.1 * epoch}
    levels = dict.fromkeys(PASCAL_PERSON_PART.level_names, level)
    return {"epoch": epoch, "train_loss": 1 / epoch, "val_loss": 2.0, "levels": levels} | changes


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    history = History((epoch_row(1), epoch_row(2, val_loss=None)))
    return report_of(PASCAL_PERSON_PART, tmp_path_factory.mktemp("report"), history)


@pytest.fixture(scope="module")
def page(report):
    return Page(format_page(report))


def test_the_page_stands_alone(page):
    assert_stands_alone(page)


def test_the_numbers_are_those_of_the_metrics(report, page):
    def shown(value):
        return "–" if value is None else f"{value:.4f}"

    undefined = 0
    for name, level in report.metrics["levels"].items():
        keys = ("miou", "reference_miou", "mean_precision", "mean_recall", "mean_f1")
        keys += ("pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")
        assert [name, *(shown(level[key]) for key in keys)] in page.rows
        for class_name in level["iou"]:
            numbers = [level[key][class_name] for key in ("iou", "precision", "recall", "f1")]
            undefined += numbers.count(None)
            found = [row[:-1] for row in page.rows if row[-1].endswith("%")]
            assert [class_name, *map(shown, numbers)] in found
    matrices = level_confusions(report.evaluation.confusion_cc, PASCAL_PERSON_PART)
    for level, matrix in zip(PASCAL_PERSON_PART.levels, matrices, strict=True):
        shares = {row[0]: row[-1] for row in page.rows if row[-1].endswith("%")}
        of_level = dict(zip(level.class_names, matrix.sum(1) / matrix.sum(), strict=True))
        if level is PASCAL_PERSON_PART.levels[-1]:  # the last of a name is that of the last level
            assert {name: shares[name] for name in of_level} == {
                name: f"{share:.2%}" for name, share in of_level.items()
            }
    assert undefined == 4
    assert "reference's averages over images" in page.text


def test_confusion_is_given_in_percent_of_the_true_class(report, page):
    matrices = level_confusions(report.evaluation.confusion_cc, PASCAL_PERSON_PART)
    for level, matrix in zip(PASCAL_PERSON_PART.levels, matrices, strict=True):
        for true in range(level.num_classes):
            name, row = level.class_names[true], matrix[true, list(level.in_tree_order)]
            cells = [f"{100 * n / row.sum():.1f}" if n else "0" for n in row] if row.sum() else None
            assert [name, *(cells or "–" * len(row))] in page.rows


def test_a_large_matrix_shows_its_most_frequent_classes_and_says_so():
    names = ["background", *(f"class{i}" for i in range(1, 41))]
    (level,) = Hierarchy.from_mapping(list(range(1, 41)), names, ["leaf"]).levels
    matrix = np.diag(np.arange(41))
    matrix[0, 0], matrix[40, 1] = 1000, 40
    assert shown_classes(matrix) == [0, *range(12, 41)]
    page = Page(confusion_table(level, matrix))
    assert len(page.rows) == 2 + MOST_CLASSES
    assert page.rows[0] == ["true", "predicted"]
    assert page.rows[-1][0] == "class40"
    assert page.rows[-1][-1] == "50.0"
    assert "Of 41 classes the 30 with the most labelled pixels" in page.text
    assert "the other 11" in page.text
    empty = Page(confusion_table(level, np.zeros_like(matrix)))
    assert not empty.rows
    assert "No pixel is labelled at this level." in empty.text


def test_worst_and_best_pictures_are_shown_in_order(report, page):
    figures = [*report.evaluation.worst, *report.evaluation.best]
    captions = [f"{scored.name}: mean IoU {scored.score:.4f}" for scored in figures]
    places = [page.text.index(caption) for caption in captions]
    assert places == sorted(places)
    scores = [scored.score for scored in report.evaluation.worst]
    assert scores == sorted(scores)
    assert len(captions) == 4
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 4 * 4
    wrong = (figures[0].label != figures[0].prediction)[1:].mean()  # the first row is ignored
    assert f"wrong: {wrong:.1%}" in page.text
    assert "ignored ones" in page.text


def test_of_one_level_nothing_is_said_of_the_tree():
    tree = TreeMetrics(contradictions=0.0, mistake_distance=2.0, mean_distance=0.1)
    assert format_tree(tree, 1) == ""
    assert len(format_tree(tree, 2).splitlines()) == 2


def test_classes_that_are_predicted_and_in_no_mask_are_named():
    confusion_cc = np.zeros((7, 7), np.int64)
    confusion_cc[1, 1] = confusion_cc[1, 4] = 5
    levels = evaluate_levels(confusion_cc[None], PASCAL_PERSON_PART, 1)
    told = format_unlabelled(levels, PASCAL_PERSON_PART)
    names = PASCAL_PERSON_PART.class_names
    assert told.startswith("in no mask, but predicted")
    assert names[4] in told
    # What is neither labelled nor predicted counts for nothing.
    assert all(names[index] not in told.partition(": ")[2].split(", ") for index in (0, 1, 2, 3, 5))
    confusion_cc[1, 0] = 3  # the background is in no mean
    confusion_cc[1, 4], confusion_cc[4, 1] = 0, 1
    levels = evaluate_levels(confusion_cc[None], PASCAL_PERSON_PART, 1)
    assert format_unlabelled(levels, PASCAL_PERSON_PART) == ""


@pytest.mark.parametrize(("pixels", "said"), [(6 * 64 * 64, ""), (64 * 64 * 64, "about 8 times")])
def test_things_that_windows_show_far_larger_are_told_of(report, pixels, said):
    confusion_cc = np.zeros((7, 7), np.int64)
    confusion_cc[1, 1] = pixels * report.evaluation.num_images
    evaluation = dataclasses.replace(report.evaluation, confusion_cc=confusion_cc)
    for tiles in (True, False):
        seen = {"tiles": tiles, "image_size": [64, 64]}
        lines = lines_beside(evaluation, PASCAL_PERSON_PART, seen)
        assert any("in windows things" in line for line in lines) == (tiles and bool(said))
        assert any(said in line for line in lines) or not tiles


def test_ignored_pixels_are_explained_where_there_are_some():
    label_hw = np.ones((8, 8), np.uint8)
    scored = ScoredPicture(0, "a", 0.5, np.zeros((8, 8, 3), np.uint8), label_hw, label_hw)
    assert "ignored ones" not in extreme_pictures([scored], [], [], PASCAL_PERSON_PART, 1)


def test_names_are_escaped_wherever_they_stand(tmp_path):
    names = ["background", HOSTILE, "<img src=x onerror=alert(2)>", "&amp;"]
    tree = {"<b>group</b>": [1, 2], "other": [3]}
    hierarchy = Hierarchy.from_mapping(tree, names, ["</style><script>", 'leaf" onload="x'])
    row = epoch_row(1, levels={"</style><script>": {"miou": 0.5}, "<i>": {"miou": 1}})
    described = {"data": "<script>.yaml", "checkpoint": f"{tmp_path}/<script>"}
    text = format_page(
        report_of(hierarchy, tmp_path, History((row,)), name="<script>\n", **described)
    )
    page = Page(text)
    assert_stands_alone(page)
    assert "<script" not in text
    assert text.count("</style>") == 1
    assert HOSTILE in page.text
    assert "Run report: <script>" in page.text
    assert r"<script>\n0: mean IoU" in page.text
    assert "&amp;amp;" in text
    assert "i" not in {tag for tag, _ in page.tags}


def test_curves_have_every_epoch_and_leave_out_what_is_missing(page):
    assert ["1", "1.0000", "2.0000", "0.1000", "0.1000", "0.1000"] in page.rows
    assert ["2", "0.5000", "–", "0.2000", "0.2000", "0.2000"] in page.rows
    plots = [a for tag, a in page.tags if tag == "svg" and a.get("role") == "img"]
    assert [plot["aria-label"].split(" over")[0] for plot in plots] == [
        "mIoU on the validation split",
        "Loss",
    ]
    assert page.text.count("evaluated: epoch 2") == 2


def test_a_line_goes_through_its_points():
    plot = line_plot("x", {"a": [(1, 0.0), (3, 1.0), (5, 0.5)]})
    middle = (46 + 406) / 2
    assert f'd="M46.0 238.0L{middle:.1f} 14.0L406.0 126.0"' in plot
    one = Page(line_plot("x", {"a": [(7, 0.0)]}))
    assert [a["cx"] for tag, a in one.tags if tag == "circle"] == [f"{middle:.1f}"]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0, 0),
        (0, 1),
        (0, 0.003),
        (-2, 5),
        (0, 1e99),
        (-1e99, 1e99),
        (0, 1e-320),
        (-1e-9, 0),
        (0, 7.3),
    ],
)
def test_ticks_hold_all_values(low, high):
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low
    assert ticks[-1] >= high * (1 - 1e-12)


def test_without_a_history_the_page_says_so(tmp_path):
    converted = tmp_path / "converted"
    history = read_history(converted)
    assert history == History((), "The checkpoint lies in no run's folder, so there are no curves.")
    described = {"checkpoint": str(converted), "epoch": None}
    page = Page(format_page(report_of(PASCAL_PERSON_PART, tmp_path, history, **described)))
    assert_stands_alone(page)
    assert history.reason in page.text
    assert "Run report: converted" in page.text


def test_a_history_that_is_not_one_costs_the_curves_alone(tmp_path):
    checkpoint = tmp_path / "checkpoints" / "8"
    file = tmp_path / "history.json"
    assert "There is no" in read_history(checkpoint).reason
    broken = ("", "[]", '{"epochs": 3}', '{"epochs": null}', "[" * 10**5, "\ud800")
    for text in broken:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        assert "is not as a run writes it" in read_history(checkpoint).reason
    for rows in ([], [1, {"epoch": "1"}, {"epoch": True}, {}]):
        file.write_text(json.dumps({"epochs": rows}))
        assert "holds no epoch yet" in read_history(checkpoint).reason
    odd = {"epoch": 1, "train_loss": float("nan"), "val_loss": "0.1", "levels": [2]}
    endless = {"epoch": 3, "train_loss": float("inf"), "val_loss": 10**400, "levels": {}}
    file.write_text(json.dumps({"epochs": [epoch_row(2), odd, endless]}))
    history = read_history(checkpoint)
    assert points(history, "train_loss") == [(2, 0.5)]
    assert points(history, "val_loss") == [(2, 2.0)]
    assert points(history, "levels", "part", "miou") == [(2, 0.2)]


def test_pictures_of_background_alone_leave_a_sentence(tmp_path):
    text = format_page(report_of(PASCAL_PERSON_PART, tmp_path, count=0))
    assert "No picture has labelled pixels other than background." in Page(text).text


def test_commands_give_what_differs_from_the_run(report):
    description, settings = report.metrics, report.settings
    checkpoint = f"--checkpoint={description['checkpoint']}"
    again = ["--task=val", "--batch_size=4", "--decode=leaf"]
    command = evaluate_command(description, settings, report.output)
    assert command == [
        "hierseg evaluate",
        checkpoint,
        *again,
        f"--output={report.output}",
    ]
    other = description | {"data": "my data.yaml", "image_size": 64}
    words = shlex.split(" ".join(evaluate_command(other, settings, report.output)))
    assert {"--data=my data.yaml", "--image_size=64"} <= set(words)
    seen = {"resolution": "original", "scales": [0.75, 1.0], "flip": True, "image_size": (32, 48)}
    words = evaluate_command(description | seen | {"metrics": ["f1"]}, settings, report.output)
    assert {
        "--metrics=f1",
        "--resolution=original",
        "--scales=0.75,1",
        "--flip=true",
        "--image_size=32,48",
    } <= set(words)
    deploy, reference = export_commands(other, settings)
    assert "--onnx_file=run.onnx" in deploy
    assert reference[1:] == [checkpoint, "--onnx_file=run_reference.onnx", "--image_size=64"]
    assert "--contract=deploy" in deploy
    assert "--dynamic=true" not in deploy
    letterboxed = settings.replace({"data.resize": "letterbox"})
    assert "--dynamic=true" in export_commands(other, letterboxed)[0]


def test_a_third_larger_is_proposed_where_training_enlarged_pictures(report):
    seen = report.metrics | {"image_size": (288, 192)}
    modern, reference = (
        report.settings.replace({"data.image_size": (288, 192), "augment": augment})
        for augment in ("modern", "reference")
    )
    command = larger_command(seen, modern)
    assert command[-1] == "--image_size=384,256"
    assert larger_command(seen | {"task": "test"}, modern) == command
    assert "--resolution=original" in larger_command(seen | {"resolution": "original"}, modern)
    assert "--decode=top_down" in larger_command(seen | {"decode": "top_down"}, modern)
    assert not [flag for flag in command if "decode" in flag]
    assert not larger_command(seen, reference)
    for other in ({"image_size": 64}, {"scales": [0.75, 1.0]}, {"tiles": True}):
        assert not larger_command(seen | other, modern)
    assert not larger_command(seen, modern.replace({"augment_scales": (0.5, 1)}))
    # Trained at smaller pictures, it gains from larger ones as well (docs/networks.md).
    assert larger_command(seen, modern.replace({"progressive": (0.75,)})) == command
