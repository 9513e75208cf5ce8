"""An exported file is measured as its run is, on the pictures' own pixels."""

import json
import shutil

import numpy as np
import pytest

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.bridge.file_evaluation import evaluate_file
from hierseg_jax.evaluation.compare import compare
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.evaluation_files import GENERATOR
from hierseg_jax.evaluation.page.commands import file_commands
from hierseg_jax.evaluation.picture_counts import read_counts
from hierseg_jax.evaluation.view import View
from hierseg_jax.runtime.segmenter import Segmenter
from tests.commands import run_quickly
from tests.runs import train_here
from tests.test_training_mistakes import write_data
from tests.webpages import Page, assert_stands_alone


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, its data, and its file."""
    folder = tmp_path_factory.mktemp("measured")
    data = write_data(folder / "data")
    train_here(folder / "run", data__spec=str(data), epochs=1, loss="dice")
    export_checkpoint(folder / "run", folder / "mine.onnx", contract="deploy")
    return folder / "run", str(data), folder / "mine.onnx"


@pytest.mark.parametrize(
    ("resolution", "tiles"), [("original", False), ("refined", False), ("original", True)]
)
def test_it_counts_what_the_evaluation_of_the_run_counts(trained, resolution, tiles):
    workdir, data, file = trained
    metrics = ("miou", "boundary_iou")
    found, told, tree = evaluate_file(
        file, data, resolution=resolution, tiles=tiles, metrics=metrics, num_extremes=1
    )
    view = View(resolution=None if tiles else resolution, tiles=tiles)
    expected, described = evaluate_checkpoint(workdir, task="val", view=view, metrics=metrics)
    pixels = expected.confusion_cc.sum()
    # Scores in files are rounded, which ties of a young network feel.
    assert np.abs(found.confusion_cc - expected.confusion_cc).sum() < 0.02 * pixels
    np.testing.assert_array_equal(found.counts.labelled_nk, expected.counts.labelled_nk)
    assert found.counts.names.tolist() == ["0", "1", "2"]
    for name, level in found.levels.items():
        assert level.miou == pytest.approx(expected.levels[name].miou, abs=0.02)
        boundary = expected.levels[name].mean_boundary_iou
        assert level.mean_boundary_iou == pytest.approx(boundary, abs=0.02)
    assert tree == Segmenter(file).hierarchy
    # The picture that has the best score, with what was counted of it.
    (best,) = found.best
    assert best.score == max(found.scores_n) == found.scores_n[best.index]
    assert best.name == str(best.index)
    of_parts = found.counts.levels == tree.level_names[-1]
    right = (best.label == best.prediction) & (best.label != 255)
    assert right.sum() == found.counts.right_nk[best.index, of_parts].sum()
    same = ("data", "task", "resolution", "tiles", "scales", "flip", "decode", "epoch", "metrics")
    assert {key: told[key] for key in same} == {key: described[key] for key in same}


def test_the_command_measures_a_file_and_compares_it_with_its_run(trained, tmp_path):
    workdir, data, file = trained
    measured = tmp_path / "measured"
    measured.mkdir()
    page = measured / "report.html"  # of an earlier evaluation
    page.write_text(f'<meta name="generator" content="{GENERATOR}">')
    done = run_quickly("evaluate", file, f"--data={data}", f"--output={measured}")
    assert done.returncode == 0, done.stderr
    assert "borders along the pictures' edges" in done.stdout
    assert f"Written to {page}, and beside it metrics.json, pictures.csv, counts.npz" in done.stdout
    shown = Page(page.read_text())
    assert_stands_alone(shown)
    assert "exported in float32, on the split val" in shown.text
    assert "Worst and best pictures" in shown.text
    assert f"--model={file}" in shown.text
    assert not {"Curves", "Config of the run", "loss:"} & set(shown.text.split("\n"))
    content = json.loads((measured / "metrics.json").read_text())
    assert (content["precision"], content["loss"]) == ("float32", None)
    of_run = run_quickly("evaluate", workdir, "--resolution=refined")
    assert of_run.returncode == 0, of_run.stderr
    refined = workdir / "evaluation/val_refined"
    found = compare(*(read_counts(each / "counts.npz") for each in (refined, measured)))
    assert found.notes == ()
    assert all(abs(row.first - row.second) < 0.02 for row in found.rows)


@pytest.mark.parametrize("own", [1.0, 0.0, None])
def test_another_size_is_not_proposed_where_the_own_one_was_better(trained, own):
    """With the earlier evaluation at the run's size made better, or worse, than any can be."""
    workdir, _, _ = trained
    view = ("--resolution=original", "--image_size=64")
    done = run_quickly("evaluate", workdir, *view)
    now = json.loads((workdir / "evaluation/val_size64x64_original/metrics.json").read_text())
    earlier = workdir / "evaluation/val_original"
    earlier.mkdir(exist_ok=True)
    *_, finest = now["levels"]
    levels = {finest: {"miou": own}}
    (earlier / "metrics.json").write_text(json.dumps(now | {"levels": levels}))
    again = run_quickly("evaluate", workdir, *view)
    shutil.rmtree(earlier)
    lead = 1 - now["levels"][finest]["miou"]
    worse = f"Worse by {lead:.4f} of mIoU than at the size of training ({earlier})."
    assert (worse in again.stdout) == (own == 1)
    assert ("--image_size=64" in again.stdout) == (own != 1)
    assert "--image_size=64" in done.stdout


@pytest.mark.parametrize(
    ("tiles", "resolution", "evaluated", "painted"),
    [
        (True, "original", "--tiles=true", "--tiles=true"),
        (False, "original", "--resolution=original", "--refine=false"),
        (False, "refined", "--resolution=refined", None),
    ],
)
def test_commands_of_the_report_see_what_was_counted(
    tmp_path, tiles, resolution, evaluated, painted
):
    told = {"checkpoint": "a b.onnx", "data": "d.yaml", "task": "val", "image_size": [96, 64]}
    told |= {"tiles": tiles, "resolution": resolution, "metrics": ["miou", "f1"]}
    again, segment = file_commands(told, tmp_path).values()
    assert again == [
        *("hierseg evaluate", "'--checkpoint=a b.onnx'", "--data=d.yaml", "--task=val", evaluated),
        *("--metrics=miou,f1", f"--output={tmp_path}", "--image_size=96,64"),
    ]
    options = [painted] if painted else []
    assert segment == [
        *("hierseg predict", "'--model=a b.onnx'", "--source=PICTURES", "--image_size=96,64"),
        *options,
    ]


def test_what_a_file_has_no_choice_of_is_refused_in_a_sentence(trained, tmp_path):
    _, data, file = trained
    whole = [f"--data={data}", f"--output={tmp_path / 'out'}"]
    for flags, message in (
        ([], "give --data and --output as well"),
        (whole[:1], "give --output as well"),
        ([*whole, "--flip"], "--flip is for runs, and "),
        ([*whole, "--which=last"], "--which is for runs, and "),
        ([*whole, "--resolution=network"], "give refined, or original"),
        ([*whole, "--task=test"], "test"),
        ([*whole, "--tiles", "--resolution=refined"], "leave one of the two out"),
        (["--data=figures", whole[1]], "figures are drawn as a run's settings say"),
    ):
        done = run_quickly("evaluate", f"--checkpoint={file}", *flags)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
