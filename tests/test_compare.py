"""Two evaluations are compared on what both have, and chance is told as it is."""

import dataclasses
import json
import re

import numpy as np
import pytest

from hierseg_jax.checkpoint import choose
from hierseg_jax.commands.compare_command import HISTORY, evaluation_folder
from hierseg_jax.evaluation.compare import FEW, FEWEST, compare, format_comparison
from hierseg_jax.evaluation.metrics import count_pictures, evaluate_levels
from hierseg_jax.evaluation.picture_counts import counts_bytes
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.commands import run_quickly

TREE = Hierarchy.from_mapping(
    {"person": {"upper": [1, 2], "lower": [3]}}, ["background", "head", "arm", "leg"]
)


def confusions(random, labelled_n4, hit):
    """[N, 4, 4]: of the labelled pixels that share is right, the rest lies anywhere."""
    confusions_n44 = np.zeros((len(labelled_n4), 4, 4), np.int64)
    for n, c in np.ndindex(labelled_n4.shape):
        right = random.binomial(labelled_n4[n, c], hit)
        confusions_n44[n, c] = random.multinomial(labelled_n4[n, c] - right, [0.25] * 4)
        confusions_n44[n, c, c] += right
    return confusions_n44


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    labelled_n4 = random.integers(50, 200, (40, 4))
    return [confusions(random, labelled_n4, hit) for hit in (0.7, 0.8)]


def counts(confusions_nlc, tree=TREE, names=None):
    names = [f"{n}.jpg" for n in range(len(confusions_nlc))] if names is None else names
    return count_pictures(confusions_nlc, tree, names)


def test_numbers_are_those_of_the_two_evaluations(pair):
    found = compare(*map(counts, pair), redraws=50)
    before, after = (evaluate_levels(of, TREE, 1) for of in pair)
    expected = []
    for level, of in before.items():
        expected.append((level, "", of.miou, after[level].miou))
        expected += zip([level] * 9, of.class_names, of.iou, after[level].iou, strict=False)
    assert [dataclasses.astuple(row)[:4] for row in found.rows] == expected
    assert found.notes == ()
    assert all(row.low < row.second - row.first < row.high for row in found.rows)
    assert all(row.low > 0 for row in found.rows if not row.name)


def test_an_interval_is_that_of_the_same_pictures_drawn_again(pair):
    """Against a slow bootstrap of its own random numbers."""
    found = compare(*map(counts, pair), redraws=600).rows
    random, differences = np.random.default_rng(1), []
    for _ in range(600):
        drawn = random.integers(0, len(pair[0]), len(pair[0]))
        before, after = (evaluate_levels(of[drawn], TREE, 1) for of in pair)
        differences.append(after[TREE.level_names[-1]].miou - before[TREE.level_names[-1]].miou)
    expected = np.percentile(differences, [2.5, 97.5])
    row = next(row for row in found if row.level == TREE.level_names[-1] and not row.name)
    np.testing.assert_allclose([row.low, row.high], expected, atol=np.ptp(expected) / 8)


def test_a_class_that_is_not_drawn_moves_no_mean(pair):
    """Where one run paints it by chance, and the other never does."""
    for of in pair:
        of[1:, 3] = 0
        of[1:, :, 0] += of[1:, :, 3]
        of[1:, :, 3] = 0
    pair[1][:, 1, 3] += 1
    pair[1][:, 1, 1] -= 1
    found = {(row.level, row.name): row for row in compare(*map(counts, pair)).rows}
    change = {key: row.second - row.first for key, row in found.items()}
    leaf, classes = found["leaf", ""], ["head", "arm", "leg"]
    assert change["leaf", ""] == pytest.approx(np.mean([change["leaf", c] for c in classes]))
    lowest = min(min(found["leaf", c].low, change["leaf", c]) for c in classes)
    assert leaf.low > lowest - 0.05
    # No mask shows it at all.
    for of in pair:
        of[0, 3] = 0
    found = compare(*map(counts, pair))
    assert found.notes == ("No mask shows lower, leg: left out of the means.",)
    rows = {(row.level, row.name): row for row in found.rows}
    assert np.isnan(rows["leaf", "leg"].second)
    both = [rows["leaf", c].second for c in classes[:2]]
    assert rows["leaf", ""].second == pytest.approx(np.mean(both))


def test_equal_evaluations_differ_by_nothing(pair):
    found = compare(counts(pair[0]), counts(pair[0]))
    assert all(row.low == row.high == 0 for row in found.rows)
    assert "better in b: 0, worse: 0," in format_comparison(found, ["a", "b"])


def test_few_pictures_have_no_interval_which_is_said(pair):
    said = "nothing tells chance from a difference"
    found = compare(*(counts(of[: FEWEST - 1]) for of in pair))
    assert all(np.isnan(row.low) and np.isnan(row.high) for row in found.rows)
    assert said in format_comparison(found, ["a", "b"])
    found = compare(*(counts(of[:FEWEST]) for of in pair))
    assert not any(np.isnan(row.low) for row in found.rows)
    assert said not in format_comparison(found, ["a", "b"])
    for count, few in ((FEW - 1, True), (FEW, False)):
        found = compare(*(counts(of[:count]) for of in pair), redraws=10)
        assert ("lie too close together" in format_comparison(found, ["a", "b"])) == few


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "better by 0.1000: more than the choice of pictures explains."),
        (-0.01, 0.2, "better by 0.1000: what the choice of pictures alone may explain."),
        (-0.2, -0.01, "worse by 0.1000: more than the choice of pictures explains."),
    ],
)
def test_what_the_finest_level_says_is_said_once(pair, low, high, said):
    found = compare(*map(counts, pair), redraws=10)
    last = max(n for n, row in enumerate(found.rows) if not row.name)
    rows = list(found.rows)
    change = 0.1 if "better" in said else -0.1
    rows[last] = dataclasses.replace(rows[last], first=0.5, second=0.5 + change, low=low, high=high)
    text = format_comparison(dataclasses.replace(found, rows=tuple(rows)), ["a", "b"])
    assert f"\nBy level {rows[last].level}, b is {said}\n" in text
    assert text.count("By level") == 1
    rows[last] = dataclasses.replace(rows[last], second=0.50001, low=-0.1)
    alike = dataclasses.replace(found, rows=tuple(rows))
    few = compare(*(counts(of[: FEW - 1]) for of in pair), redraws=10)
    assert not any("By level" in format_comparison(of, ["a", "b"]) for of in (alike, few))


def test_what_is_alike_at_several_levels_stands_once(pair):
    found = compare(*map(counts, pair), redraws=10)
    assert sum(row.name == "background" for row in found.rows) == 3
    text = format_comparison(found, ["a", "b"])
    assert text.count("background") == 1


def test_pictures_meet_by_name_and_those_of_one_alone_are_left_out(pair):
    whole = compare(*map(counts, pair), redraws=10)
    names = [f"{n}.jpg" for n in range(40)]
    turned = counts(pair[1][::-1], names=names[::-1])
    assert compare(counts(pair[0]), turned, redraws=10).rows == whole.rows
    fewer = counts(pair[1][3:], names=names[3:])
    found = compare(counts(pair[0]), fewer, redraws=10)
    assert found.notes == ("3 pictures that only one of them has: left out.",)
    assert found.rows == compare(*(counts(of[3:]) for of in pair), redraws=10).rows
    with pytest.raises(ValueError, match="share no picture"):
        compare(counts(pair[0]), counts(pair[1], names=[f"other{n}" for n in range(40)]))
    with pytest.raises(ValueError, match="names of files occur twice"):
        compare(counts(pair[0]), counts(pair[1][:2], names=["a.jpg", "a.jpg"]))
    # The same names in the same order need not be different ones.
    same = [counts(of, names=["a.jpg"] * 40) for of in pair]
    assert compare(*same, redraws=10).rows == whole.rows
    assert compare(*(counts(of, names=[]) for of in pair), redraws=10).rows == whole.rows


def test_pictures_whose_masks_have_changed_are_left_out(pair):
    pair[1][5, 1, 1] += 1
    found = compare(*map(counts, pair), redraws=10)
    assert found.notes[0].startswith(
        "1 picture with other labels in the two, as after a mask was corrected"
    )
    assert len(found.names) == 39
    assert "5.jpg" not in found.names
    with pytest.raises(ValueError, match="other masks, other sizes, or classes"):
        compare(counts(pair[0]), counts(pair[1] * 2 + 1))


def in_tree(confusions_nlc, classes, tree):
    """The same pixels in another tree, whose leaf class of each leaf is given."""
    other = np.zeros((len(confusions_nlc), tree.num_classes, tree.num_classes), np.int64)
    for old in np.ndindex(confusions_nlc.shape[1:]):
        other[:, classes[old[0]], classes[old[1]]] += confusions_nlc[:, old[0], old[1]]
    return other


def rows_of(found):
    return {(row.level, row.name): (row.first, row.second) for row in found.rows}


def test_classes_meet_by_name(pair):
    # Another background, order and grouping, and one class that the first doesn't know.
    tree = Hierarchy.from_mapping(
        {"person": {"all": [1, 2, 3]}, "things": {"hats": [4]}},
        ["void", "leg", "head", "arm", "hat"],
        ["top", "middle", "bottom"],
    )
    found = compare(counts(pair[0]), counts(in_tree(pair[1], [0, 2, 3, 1], tree), tree))
    expected = rows_of(compare(*map(counts, pair)))
    shown = {key: of for key, of in expected.items() if key[0] != "level_2"}
    assert rows_of(found) == shown
    assert found.notes == (
        "Only the first has upper, lower: left out.",
        "Only the second has things, all, hats, hat: left out.",
    )
    other = Hierarchy.from_mapping({"animal": [1, 2, 3]}, ["void", "cat", "dog", "cow"])
    with pytest.raises(ValueError, match="no class: head, arm, leg here, cat, dog, cow there"):
        compare(counts(pair[0]), counts(pair[1], other))


def test_a_class_in_two_is_compared_with_the_group_of_its_name(pair):
    tree = Hierarchy.from_mapping(
        {"person": {"upper": {"head": [1, 2], "arms": [3]}, "lower": {"legs": [4]}}},
        ["background", "hair", "face", "arm", "leg"],
        ["level_1", "level_2", "leaf", "detail"],
    )
    split = in_tree(pair[1], [0, 1, 3, 4], tree)
    split[:, 1] += split[:, 2]
    found = compare(counts(pair[0]), counts(split, tree))
    expected = rows_of(compare(*map(counts, pair)))
    assert rows_of(found) == expected
    assert found.notes == ("Only the second has arms, legs, hair, face: left out.",)


def test_classes_that_mean_something_else_now_are_left_out_and_pictures_are_not(pair):
    tree = Hierarchy.from_mapping(
        {"person": {"upper": [1], "lower": [2]}}, ["background", "head", "leg"]
    )
    merged = in_tree(pair[1], [0, 1, 1, 2], tree)
    found = compare(counts(pair[0]), counts(merged, tree))
    assert len(found.names) == 40
    assert found.notes == (
        "Only the first has arm: left out.",
        "Labelled otherwise in most pictures, as after a change of classes: head at level leaf: "
        "left out.",
    )
    expected = rows_of(compare(*map(counts, pair)))
    whole = {key: of for key, of in rows_of(found).items() if key != ("leaf", "")}
    assert whole == {key: expected[key] for key in whole}
    assert {name for level, name in whole if level == "leaf"} == {"background", "leg"}


def test_ties_of_small_pixels_between_trees_are_no_other_labels(pair):
    tree = Hierarchy.from_mapping(
        {"person": {"lower": [1], "upper": [2, 3]}}, ["background", "leg", "head", "arm"]
    )
    other = in_tree(pair[1], [0, 2, 3, 1], tree)
    other[5, 2, 2] += 1
    other[5, 3, 3] -= 1
    assert compare(counts(pair[0]), counts(other, tree)).notes == ()
    other[6, 2, 2] += 30
    (note,) = compare(counts(pair[0]), counts(other, tree)).notes
    assert note.startswith("1 picture with other labels in the two")


def test_the_pictures_that_differ_most_are_named(pair):
    right = np.zeros((4, 4), np.int64)
    np.fill_diagonal(right, pair[0][7].sum(1))
    before, after = pair[0].copy(), pair[0].copy()
    after[7] = right
    before[9] = np.diag(pair[0][9].sum(1))
    after[9] = np.roll(before[9], 1, axis=1)
    text = format_comparison(compare(counts(before), counts(after)), ["a", "b"])
    assert "level leaf: 40; better in b: 1, worse: 1, by the mean IoU" in text
    assert re.search(r"\nMost better:\n  0\.\d{3} to 1\.000  7\.jpg\n", text)
    assert "\nMost worse:\n  1.000 to 0.000  9.jpg" in text


def compare_command(*given):
    return run_quickly("compare", *given)


def write(folder, pair_one, **described):
    folder.mkdir(parents=True)
    (folder / "counts.npz").write_bytes(counts_bytes(counts(pair_one)))
    view = {
        "image_size": 64,
        "resize": "stretch",
        "resolution": "network",
        "flip": False,
        "scales": [1],
        "decode": "leaf",
        "images": 40,
        "epoch": 3,
    }
    (folder / "metrics.json").write_text(json.dumps(view | described))


def test_the_command_compares_runs_and_folders(pair, tmp_path):
    for name, of in zip(("old", "new"), pair, strict=True):
        write(tmp_path / name / "evaluation/val", of)
    done = compare_command(tmp_path / "old", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"old: {tmp_path / 'old/evaluation/val'}, epoch 3, 40 images at 64 ")
    assert lines[2].split() == ["old", "new", "difference", "95", "%", "of", "redraws"]
    again = compare_command(*(tmp_path / name / "evaluation/val" for name in ("old", "new")))
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    # Of one run two evaluations go by their folders, and two of one name by their order.
    write(tmp_path / "old/evaluation/val_flip", pair[1], flip=True)
    flip = compare_command(tmp_path / "old", tmp_path / "old/evaluation/val_flip")
    assert flip.stdout.splitlines()[2].split()[:2] == ["val", "val_flip"]
    write(tmp_path / "deep/old/evaluation/val", pair[1])
    alike = compare_command(tmp_path / "old", tmp_path / "deep/old")
    assert alike.stdout.splitlines()[2].split()[:2] == ["first", "second"]


def test_a_run_that_has_gone_on_since_is_told(pair, tmp_path):
    for name, of, trained in (("old", pair[0], 4), ("new", pair[1], 3), ("alone", pair[1], None)):
        write(tmp_path / name / "evaluation/val", of, epochs_trained=trained)
        history = {"epochs": [{"epoch": epoch} for epoch in range(1, 5)]}
        (tmp_path / name / HISTORY).write_text(json.dumps(history))
    done = compare_command(tmp_path / "old", tmp_path / "new")
    said = f"{tmp_path / 'new'} has trained on since, from epoch 3 to 4: evaluate it again."
    assert said in done.stderr
    assert f"{tmp_path / 'old'} has trained" not in done.stderr
    write(tmp_path / "new/evaluation/val_epoch3", pair[1], epochs_trained=3)
    done = compare_command(tmp_path / "old", tmp_path / "new/evaluation/val_epoch3")
    assert "trained on" not in done.stderr
    for broken in ("[", '{"epochs": []}', '{"epochs": [{"epoch": "5"}]}', "3"):
        (tmp_path / "old" / HISTORY).write_text(broken)
        done = compare_command(tmp_path / "old", tmp_path / "alone")
        assert (done.returncode, "trained on" in done.stderr) == (0, False)


def test_the_history_is_the_file_of_a_run():
    assert HISTORY == choose.HISTORY


def test_borders_that_only_one_of_two_has_are_told(pair, tmp_path):
    original, refined = tmp_path / "original", tmp_path / "refined"
    write(original, pair[0], resolution="original")
    write(refined, pair[1], resolution="refined")
    done = compare_command(original, refined)
    assert done.returncode == 0, done.stderr
    assert f"{refined} has borders along the pictures' edges, and {original} has not" in done.stderr
    assert "borders" not in compare_command(refined, refined).stderr
    write(tmp_path / "network", pair[0])
    done = compare_command(tmp_path / "network", refined)
    assert "evaluate both with --resolution=refined, and give the folders" in done.stderr


def test_the_command_says_what_is_missing(pair, tmp_path):
    write(tmp_path / "old/evaluation/val", pair[0])
    (tmp_path / "new/checkpoints").mkdir(parents=True)
    (tmp_path / "early/evaluation/val").mkdir(parents=True)
    (tmp_path / "early/evaluation/val/metrics.json").write_text("{}")
    (tmp_path / "mine.onnx").write_bytes(b"")
    new = tmp_path / "new"
    for given, task, message in (
        (new, "val", f"has not been evaluated on val: hierseg evaluate --checkpoint={new}"),
        (new, "test", f"on test: hierseg evaluate --checkpoint={new} --task=test"),
        (tmp_path / "early", "val", "before evaluations kept what they count in every picture"),
        (tmp_path / "mine.onnx", "val", "mine.onnx is neither a run nor a folder that an"),
        (tmp_path / "none", "val", "none is neither a run nor a folder that an evaluation"),
        (tmp_path, "val", f"{tmp_path} is neither a run nor a folder that an evaluation"),
        ("", "val", "An empty name is neither a run nor a folder that an evaluation has written"),
    ):
        with pytest.raises(HiersegError, match=re.escape(message)):
            evaluation_folder(str(given), task)
    write(tmp_path / "large/evaluation/val", pair[1], image_size=[96, 64])
    write(tmp_path / "mixed/evaluation/val", pair[1], images=39)
    write(tmp_path / "odd/evaluation/val", pair[1])
    (tmp_path / "odd/evaluation/val/metrics.json").write_text('{"levels": {}}')
    old, large = tmp_path / "old", tmp_path / "large"
    for given, message in (
        ([old], "Two runs are compared; 1 name given."),
        ([old, old, old], "Two runs are compared; 3 names given."),
        ([old, large], "has counted the network's 64 pixels, and"),
        ([old, tmp_path / "mixed"], "are of two evaluations; evaluate again."),
        ([old, tmp_path / "odd"], "metrics.json is damaged or was not written by an evaluation"),
    ):
        done = compare_command(*given)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
