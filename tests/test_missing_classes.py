"""A class without a pixel in the training split: refused, with the likely cause, and no sooner."""

import json
import re
import signal

import cv2
import numpy as np
import pytest

from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.inspection.report_files import make_report
from hierseg_jax.data.inspection.text import format_report
from hierseg_jax.data.missing_classes import look_for_classes, missing_classes, spread_order
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.skip import SkippingSource
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.stop import Stopped, StopSignals
from hierseg_jax.train import first_epoch as of_training
from hierseg_jax.train.first_epoch import MOST, FirstEpoch, check_sample
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.inspection_data import SIZE, make_data
from tests.runs import train_here

TREE = Hierarchy.from_mapping(
    {"upper": ["torso", "head"], "lower": ["legs"]},
    ["background", "torso", "head", "legs"],
    ["half", "part"],
)


class Masks:
    """Example i holds the labels `labels(i)`; counts how many were read."""

    def __init__(self, count, labels):
        self.count, self.labels, self.read = count, labels, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read.append(index)
        return {"image": None, "label": np.array([self.labels(index)], np.uint8)}


def drawn(root, data=None):
    """A data set whose masks a drawing tool wrote: 255 is what was painted."""
    file = data or make_data(root)
    for mask in root.glob("*/masks/*.npy"):
        label = np.zeros(SIZE, np.uint8)
        label[8:30, 20:40] = 255
        np.save(mask, label)
    return file


def test_masks_of_0_and_255_are_refused_before_the_first_step_with_their_cause(tmp_path):
    data, workdir = drawn(tmp_path), tmp_path / "run"
    with pytest.raises(HiersegError) as error:
        train_here(workdir, data__spec=str(data), batch_size=4, epochs=1)
    sentence = str(error.value)
    assert f"None of 4 training masks of {data} holds torso (1), head (2), legs (3)" in sentence
    assert "the values found are 0 and 255. 255 is the ignore label" in sentence
    assert "the index of its class, such as 1 for torso, in place of 255" in sentence
    assert "data.allow_missing_classes=True" in sentence
    assert "\n" not in sentence
    assert not workdir.exists()


def test_the_doctor_says_so_first_and_once(tmp_path):
    inspection = inspect_dataset(load_spec(drawn(tmp_path)))
    classes = [f for f in inspection.findings if f.kind in ("missing_class", "single_class")]
    assert [(f.kind, f.split) for f in classes] == [("missing_class", "val")]
    text = format_report(make_report(inspection, lambda *_: 1.0, limit=20, memory_gb=8))
    first = text.split("\n\n")[1]
    assert first.startswith("error: Classes without a pixel in train (1)")
    assert "None of the 4 usable masks of train holds torso (1), head (2), legs (3)" in first
    assert "255 is the ignore label" in first


def test_looking_ends_as_soon_as_every_class_was_seen():
    source = Masks(10**6, lambda i: [0, 1, 2, 3])
    seen, note = check_sample(source, TREE, "data.yaml")
    assert not note
    assert missing_classes(seen, TREE) == []
    assert len(source.read) <= 64


def test_a_look_is_bounded_and_spread_over_the_split():
    source = Masks(10**6, lambda i: [1, 2] if i % 2 else [0, 1, 2])
    _, note = check_sample(source, TREE, "data.yaml")
    assert len(source.read) == MOST
    assert note.startswith(
        "None of 1,024 training masks of data.yaml (of 1,000,000, evenly spread)"
    )
    assert "training ends after the first epoch" in note
    assert {index // 100_000 for index in source.read[:40]} == set(range(10))
    assert sorted(spread_order(10, 20)) == list(range(10))
    assert spread_order(0, 5) == []


@pytest.mark.parametrize(
    ("count", "labels", "sentence"),
    [
        (MOST, [0, 1, 3, 255], r"holds head \(2\); the values found are 0, 1, 3 and 255\. A pixel"),
        (10**5, [0, 255], "255 is the ignore label"),
        (10**5, [0], "the values found are 0. Nothing is left to learn from"),
        (3, [255], "the values found are 255. 255 is the ignore label"),
    ],
)
def test_what_is_certain_is_refused_at_once(count, labels, sentence):
    with pytest.raises(HiersegError, match=sentence):
        check_sample(Masks(count, lambda i: labels), TREE, "data.yaml")


def test_the_background_may_be_missing():
    assert check_sample(Masks(5, lambda i: [1, 2, 3]), TREE, "data.yaml")[1] == ""


def batch(*labels):
    return {"label": np.array([[labels]], np.uint8)}


def test_after_the_first_epoch_a_class_that_no_mask_has_is_refused():
    source = Masks(3000, lambda i: [0, 1, 2])
    seen, _ = check_sample(source, TREE, "data.yaml")
    epoch = FirstEpoch(TREE, seen)
    assert len(list(epoch.watch(iter([batch(0, 1), batch(2, 1)])))) == 2
    source.read.clear()
    assert epoch.lacks_classes()
    with pytest.raises(HiersegError, match=r"None of the 3,000 training masks .* legs \(3\)"):
        epoch.check(source, "data.yaml", StopSignals())
    assert sorted(source.read) == list(range(3000))


def test_what_the_batches_show_needs_no_other_look():
    source = Masks(3000, lambda i: [0, 1, 2])
    epoch = FirstEpoch(TREE, np.arange(256) < 3)
    list(epoch.watch(iter([batch(0, 1), batch(3, 1)])))
    assert not epoch.lacks_classes()
    assert source.read == []


def test_a_signal_ends_the_look_at_all_masks():
    stop = StopSignals()

    def label(index):
        stop.received = signal.SIGTERM
        return [0, 1, 2]

    source = Masks(3000, label)
    epoch = FirstEpoch(TREE, np.arange(256) < 3)
    assert epoch.lacks_classes()
    with pytest.raises(Stopped):
        epoch.check(source, "data.yaml", stop)
    assert len(source.read) < 1000


def test_pixels_that_no_batch_has_are_told_and_not_refused():
    source = Masks(3000, lambda i: [0, 1, 2, 3] if i == 1717 else [0, 1, 2])
    epoch = FirstEpoch(TREE, np.arange(256) < 3)
    list(epoch.watch(iter([batch(0, 1)])))
    assert epoch.lacks_classes()
    said = epoch.check(source, "data.yaml", StopSignals())
    assert "Training masks hold legs, but no batch" in said


def test_processes_look_at_shares_and_decide_by_what_all_of_them_saw(monkeypatch):
    source = Masks(8, lambda i: [[0, 1], [0, 2]][i % 2])
    monkeypatch.setattr(of_training, "count_hosts", lambda: 2)
    shares, read = [], []

    def alone(number, seen_by_any):
        source.read.clear()
        monkeypatch.setattr(of_training, "host_number", lambda: number)
        monkeypatch.setattr(of_training, "seen_by_any", seen_by_any)
        with pytest.raises(HiersegError) as error:
            check_sample(source, TREE, "data.yaml")
        read.append(sorted(source.read))
        return str(error.value)

    for number in (0, 1):
        alone(number, lambda seen: shares.append(seen) or seen)
    assert sorted(read[0] + read[1]) == list(range(8))
    together = [alone(number, lambda seen: shares[0] | shares[1]) for number in (0, 1)]
    assert together[0] == together[1]
    assert "holds legs (3); the values found are 0, 1 and 2." in together[0]


def test_a_label_alone_is_the_example_s_and_unreadable_ones_are_passed_over(tmp_path):
    make_data(tmp_path)
    source = FolderSource(tmp_path / "train/images", 4)
    (tmp_path / "train/images/train1.png").write_bytes(b"no image, which nobody looks at")
    np.testing.assert_array_equal(source.label(0), source[0]["label"])
    assert source.label(1).dtype == np.uint8
    np.save(tmp_path / "train/masks/train2.npy", np.full(SIZE, 300))
    with pytest.raises(HiersegError, match=r"train2\.npy holds the labels 300"):
        source.label(2)
    skipping = SkippingSource(source, replace=True)
    assert not look_for_classes(skipping, [2], TREE).any()
    assert missing_classes(look_for_classes(skipping, [2, 0], TREE), TREE) == []


def write_small_figures(root, change):
    """The pictures of a small run as files, their labels changed; the program is the same."""
    for split, count in (("train", 33), ("val", 10)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        source = FiguresSource(split, 32, count)
        for i in range(count):
            cv2.imwrite(str(root / split / f"images/{i:02}.png"), source[i]["image"][..., ::-1])
            np.save(root / split / f"masks/{i:02}.npy", change(source[i]["label"]))
    tree = {"names": list(PASCAL_PERSON_PART.class_names), "hierarchy": {"body": list(range(1, 7))}}
    content = tree | {split: f"{split}/images" for split in ("train", "val")}
    (root / "data.yaml").write_text(json.dumps(content))
    return {"data__spec": str(root / "data.yaml"), "augment": False, "epochs": 1}


def test_a_run_may_be_told_to_go_ahead_and_is_not_asked_again(tmp_path):
    run = write_small_figures(tmp_path, lambda label: np.where(label > 0, 255, 0).astype(np.uint8))
    workdir = tmp_path / "run"
    train_here(workdir, **run, data__allow_missing_classes=True)
    assert train_here(workdir, **run | {"epochs": 2}).epoch == 2


@pytest.mark.slow
def test_a_class_that_no_batch_shows_is_looked_for_before_the_first_validation(
    tmp_path, monkeypatch, capsys
):
    """In a split that is larger than the sample; one pixel of it is lost in scaling."""
    monkeypatch.setattr(of_training, "MOST", 2)
    run = write_small_figures(tmp_path, lambda label: np.where(label == 4, 2, label))
    large = np.zeros((64, 64), np.uint8)
    large[1, 1] = 4
    np.save(tmp_path / "train/masks/05.npy", large)
    cv2.imwrite(str(tmp_path / "train/images/05.png"), np.zeros((64, 64, 3), np.uint8))
    train_here(tmp_path / "run", **run)
    said = capsys.readouterr()
    assert re.search(
        r"note: None of 2 training masks .*evenly spread.* holds .*head \(4\)", said.err
    )
    note = r"note: Training masks hold (.*, )?head(, .*)?, but no batch of the first epoch does"
    assert re.search(note, said.out)
    np.save(tmp_path / "train/masks/05.npy", np.zeros((64, 64), np.uint8))
    with pytest.raises(HiersegError, match=r"None of the 33 training masks .* holds head \(4\);"):
        train_here(tmp_path / "again", **run)
    # The epoch is kept; the run is asked again, and goes on once it may.
    with pytest.raises(HiersegError, match=r"None of the 33 training masks .* holds head \(4\);"):
        train_here(tmp_path / "again", **run)
    progress = train_here(tmp_path / "again", **run, data__allow_missing_classes=True)
    assert (progress.epoch, progress.step) == (1, 4)
    assert "Continuing after step 4" in capsys.readouterr().out
