"""The report: its page, its text, its JSON, what it suggests, and the command."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from hierseg_jax.data.class_weights import weights_of
from hierseg_jax.data.inspection import suggest as suggesting
from hierseg_jax.data.inspection.epochs import choose_epochs, too_fast, too_short
from hierseg_jax.data.inspection.examples import choose_examples
from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.inspection.inspection_page import format_page
from hierseg_jax.data.inspection.report_files import make_report
from hierseg_jax.data.inspection.suggest import (
    choose_batch,
    choose_size,
    leaf_frequencies,
)
from hierseg_jax.data.inspection.text import format_report
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.models import create_model, find_network
from tests.commands import run_quickly
from tests.conftest import ROOT
from tests.inspection_data import label, make_data, write_pair
from tests.webpages import Page, assert_stands_alone

estimate_peak = find_network("effunet").training_memory.peak_gb


def report_of(file, **options):
    return make_report(inspect_dataset(load_spec(file)), estimate_peak, **{"limit": 20} | options)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A data set with hostile names and one of most things that are drawn."""
    root = tmp_path_factory.mktemp("data")
    file = make_data(root)
    file.write_text(file.read_text().replace("torso", "'<script>alert(1)</script>&\"'"))
    write_pair(root, "val", "<img src=x onerror=alert(2)>", seed=0)
    for i in range(30):
        (root / f"train/images/<b>{i:02}.gif").write_bytes(b"")
    write_pair(root, "train", "empty", 60, label_hw=np.zeros((48, 64), np.uint8))
    write_pair(root, "train", "both", 61, label_hw=np.full((48, 60), 9, np.uint8))
    return file


def test_the_page_needs_nothing_else_and_runs_nothing(faulty):
    page = Page(format_page(report_of(faulty)))
    assert_stands_alone(page)
    assert "b" not in {tag for tag, _ in page.tags}
    assert '<script>alert(1)</script>&"' in page.text
    assert "val/images/<img src=x onerror=alert(2)>.png equals train/images/train0" in page.text


def test_links_of_the_page_lead_somewhere(faulty):
    page = Page(format_page(report_of(faulty)))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    targets = {attributes["href"][1:] for _, attributes in page.tags if "href" in attributes}
    assert len(set(ids)) == len(ids)
    assert targets <= set(ids)
    assert len(targets) >= 7


def test_lists_end_at_the_limit_and_count_the_rest(faulty):
    """Those that differ only by the file are one sentence, which names as many files."""
    report = report_of(faulty, limit=3)
    for text in (format_report(report), Page(format_page(report)).text):
        assert "Files that are passed over (30)" in text
        assert text.count(".gif is not read") == 1
        names = ", ".join(f"train/images/<b>{i:02}.gif" for i in (1, 2, 3))
        assert f"The same of 29 more files: {names}, ...." in text
    with pytest.raises(ValueError, match="--limit is 0"):
        report_of(faulty, limit=0)


def test_sentences_of_a_kind_end_at_the_limit_and_count_the_rest(tmp_path):
    file = make_data(tmp_path)
    for number in range(5):
        write_pair(tmp_path, "train", f"wide{number}", 50 + number, (48, 128 + 4 * number))
    report = report_of(file, limit=2)
    for text in (format_report(report), Page(format_page(report)).text):
        assert "Images whose sides differ a lot (5)" in text
        assert text.count("(height x width): one side is") == 2
        assert "and 3 more" in text


def test_text_and_page_show_every_class_once_and_further_in_than_its_group(tmp_path):
    report = report_of(make_data(tmp_path))
    hierarchy = report.inspection.spec.hierarchy
    lines = format_report(report).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("class "))
    assert lines[start - 1].endswith(", ".join(hierarchy.level_names))
    shown = lines[start + 1 : start + 1 + len(hierarchy.nodes)]
    wide = min(
        line.index(f"{pixels:,}") for line, pixels in zip(shown, pixels_of(report), strict=True)
    )
    assert [line[:wide].rstrip() for line in shown] == str(hierarchy).splitlines()
    page = Page(format_page(report))
    depths = [a["style"] for tag, a in page.tags if tag == "th" and "style" in a]
    assert depths == 2 * [f"--depth:{node.depth}" for node in hierarchy.nodes]


def pixels_of(report):
    """Of every node in the split `train`."""
    hierarchy, levels = report.inspection.spec.hierarchy, report.statistics["train"]["levels"]
    of = [levels[hierarchy.level_names[node.depth]][node.name] for node in hierarchy.nodes]
    return [shares["pixels"] for shares in of]


def test_text_and_page_say_when_all_is_well(tmp_path):
    report = report_of(make_data(tmp_path))
    assert "Nothing wrong found" in format_report(report)
    page = Page(format_page(report))
    assert "Nothing wrong found" in page.text
    assert "several findings" not in page.text


def test_files_with_several_findings_are_listed_and_those_with_one_are_not(tmp_path):
    file = make_data(tmp_path)
    write_pair(tmp_path, "train", "both", 60, label_hw=np.full((48, 60), 9, np.uint8))
    write_pair(tmp_path, "train", "one", 61, label_hw=np.full((48, 64), 9, np.uint8))
    report = report_of(file)
    listed = format_report(report).split("Files with several findings (1):\n")[1].splitlines()
    assert listed[:2] == ["  train/masks/both.npy: size mismatch, unknown labels", ""]
    page = Page(format_page(report)).text.split("Files with several findings")[-1]
    assert "train/masks/both.npy" in page
    assert "train/masks/one.npy" not in page


def test_the_page_tells_how_ignored_pixels_are_drawn_where_there_are_some(tmp_path):
    file = make_data(tmp_path)
    assert "ignored</p>" in format_page(report_of(file))
    for mask in tmp_path.glob("*/masks/*"):
        label_hw = label()
        label_hw[label_hw == 255] = 0
        np.save(mask, label_hw)
    assert "ignored</p>" not in format_page(report_of(file))


def test_a_data_set_without_usable_examples_is_still_reported(tmp_path):
    file = make_data(tmp_path, train=1, val=1)
    for mask in tmp_path.glob("*/masks/*"):
        mask.write_bytes(b"")
    report = report_of(file)
    assert report.suggestion is None
    assert "nothing to suggest" in format_report(report)
    assert "nothing to suggest settings by" in Page(format_page(report)).text


def test_data_without_pictures_to_train_on_are_for_measuring(tmp_path):
    file = make_data(tmp_path)
    file.write_text(file.read_text().replace("train: train/images\n", ""))
    report = report_of(file)
    assert report.suggestion is None
    assert "--task" not in report.nothing_suggested
    assert f"`hierseg evaluate RUN --data={file}`" in format_report(report)
    assert (
        f"on these pictures: hierseg evaluate RUN --data={file}." in Page(format_page(report)).text
    )


def test_data_of_a_test_alone_are_for_measuring_too(tmp_path):
    file = make_data(tmp_path)
    text = file.read_text().replace("train: train/images\n", "")
    file.write_text(text.replace("val: val/images", "test: val/images"))
    report = report_of(file)
    assert {finding.kind for finding in report.inspection.findings} == {"nothing_to_train"}
    assert f"hierseg evaluate RUN --data={file} --task=test" in report.nothing_suggested


def test_sizes_fit_both_networks():
    for name in ("effunet", "esnet"):
        assert suggesting.STRIDE % create_model(name, 4).stride == 0
    sides = (5, 47, 48.5, 240, 384, 550, 4000)
    assert [choose_size(side) for side in sides] == [32, 32, 64, 256, 384, 512, 512]


def test_the_estimate_meets_measured_runs_and_grows_with_pixels():
    """Peak resident memory of launch/train.py with EfficientUNet-B0 on two cores, jax 0.10.2."""
    for size, batch, measured in ((256, 16, 2.81), (256, 32, 4.20)):
        assert estimate_peak(size, batch) == pytest.approx(measured, rel=0.05)
    one, two = (estimate_peak(320, batch) - estimate_peak(320, 0) for batch in (1, 2))
    assert two == pytest.approx(2 * one)
    assert estimate_peak(640, 1) == pytest.approx(estimate_peak(320, 4))


@pytest.mark.parametrize(
    ("size", "images", "memory_gb", "batch"),
    [
        (320, 10_000, 64, 32),
        (320, 10_000, 2 * 2.51, 8),  # 2.5 GB, and as much again to spare
        (320, 10_000, 2 * 2.49, 4),
        (512, 10_000, 0.5, 1),
        (320, 100, 64, 8),
        (320, 25, 64, 8),
        (320, 3, 64, 2),
    ],
)
def test_a_batch_fits_the_memory_and_the_data(size, images, memory_gb, batch):
    assert choose_batch(size, images, memory_gb, estimate_peak) == batch


@pytest.mark.parametrize(
    ("images", "epochs"),
    [(1, 1000), (7, 710), (25, 200), (100, 200), (210, 100), (690, 30), (700, 30), (50_000, 30)],
)
def test_of_few_pictures_there_are_more_epochs(images, epochs):
    assert choose_epochs(images) == epochs
    sentence = too_short(images, 30)
    assert bool(sentence) == (epochs >= 60)
    assert not sentence or f"--epochs={epochs} " in sentence
    assert not too_short(images, epochs)


@pytest.mark.parametrize(
    ("images", "rate", "told"),
    [(25, 1e-3, True), (25, 1e-4, False), (700, 1e-3, False), (0, 1e-3, True)],
)
def test_steps_that_forget_a_trained_network_are_told_where_pictures_are_few(images, rate, told):
    sentence = too_fast(images, rate)
    assert bool(sentence) == told
    assert not told or "--config.learning_rate=0.0001 " in sentence


def median_frequency_weights(counts_nc):
    return weights_of(leaf_frequencies(counts_nc), "median_frequency")


def test_class_weights_equal_those_by_hand():
    # Class 1 is in the first image alone; class 2 nowhere.
    counts_nc = np.array([[80, 20, 0, 0], [96, 0, 0, 4]])
    frequencies = np.array([176 / 200, 20 / 100, 4 / 100])
    expected = np.median(frequencies) / frequencies
    expected /= expected.mean()
    np.testing.assert_allclose(
        median_frequency_weights(counts_nc), [expected[0], expected[1], 1, expected[2]]
    )
    rare = median_frequency_weights(np.array([[10**6, 1, 500]]))
    np.testing.assert_allclose(rare, np.array([0.1, 10, 1]) / 3.7)
    np.testing.assert_array_equal(median_frequency_weights(np.zeros((2, 3))), 1)


def test_examples_show_every_class_first():
    present = np.array([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 1]], bool)
    assert choose_examples(present, 2) == [1, 3]
    assert sorted(choose_examples(present, 9)) == [0, 1, 2, 3]


def command(*options):
    return run_quickly("inspect", *options)


def test_the_command_writes_reports_once_and_fails_where_training_would(tmp_path):
    data, output = make_data(tmp_path / "data"), tmp_path / "out"
    flags = (f"--data={data}", f"--output={output}")
    done = run_quickly("launch/inspect_data.py", *flags)
    assert done.returncode == 0, done.stderr
    assert (output / "report.txt").read_text() in done.stdout
    assert sorted(file.name for file in output.iterdir()) == ["report.html", "report.txt"]
    again = command(*flags)
    assert again.returncode == 1
    assert re.search(r"^error: .*report\.txt exists; .*--overwrite\.$", again.stderr.strip())
    (tmp_path / "data/val/masks/val0.npy").unlink()
    (tmp_path / "data/val/masks" / os.fsdecode(b"\xff\n.txt")).touch()
    more = command(*flags, "--overwrite", "--json", "--memory_gb=8", "--limit=1")
    assert more.returncode == 1
    assert more.stderr.strip().endswith("would stop at 1 of these; mend them first.")
    content = json.loads((output / "report.json").read_text())
    assert content["counts"] == {"error": 1, "warning": 1, "note": 0}
    assert content["findings"]["passed_over"]["items"][0]["file"] == r"val/masks/\udcff\n.txt"
    assert content["findings"]["missing_mask"]["items"] == [
        {
            "split": "val",
            "file": "val/images/val0.png",
            "message": "val/images/val0.png has no mask of the same stem.",
            "other": "",
        }
    ]
    assert content["suggestion"]["memory_gb"] == 8
    assert content["suggestion"]["image_size"] == 64  # 48 lies between 32 and 64


def test_the_command_proposes_a_run_that_continues_none(tmp_path):
    data = make_data(tmp_path / "data")
    for number, name in enumerate(("mine", "mine2", "mine3")):
        done = run_quickly(
            "inspect", f"--data={data}", f"--output={number}", "--memory_gb=8", folder=tmp_path
        )
        assert f" --name={name}\n" in done.stdout, done.stderr
        assert f"--name={name}</" in (tmp_path / f"{number}/report.html").read_text()
        (tmp_path / "runs" / name).mkdir(parents=True)


def test_the_command_starts_without_jax():
    code = (
        "import runpy, sys; runpy.run_path('launch/inspect_data.py'); "
        "print(sorted({'jax', 'flax', 'grain', 'matplotlib', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
