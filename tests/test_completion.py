"""Masks of groups, filled in by a network."""

import sys

import cv2
import numpy as np
import pytest
import yaml

from hierseg_jax.data.picture_labels import log_planes
from hierseg_jax.data.read.sources import load_hierarchy, open_split
from hierseg_jax.data.resize import Resize
from hierseg_jax.runtime.completion import complete
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.commands import run_quickly
from tests.runs import run
from tests.test_labels import with_groups
from tests.test_runtime import reference_file

TREE = with_groups(PASCAL_PERSON_PART)


def test_every_group_gets_the_class_below_it_of_greatest_score_along_the_pictures_edges():
    rng = np.random.default_rng(0)
    # The left side is dark, up to a column that no score of the network's lies at.
    dark = np.arange(32) < 13
    of_side = rng.dirichlet(np.ones(7), 2).astype(np.float32)
    image = np.where(dark[:, None], 40, 200).astype(np.uint8) + np.zeros((32, 1, 3), np.uint8)
    scores = np.where(dark[:, None], *of_side) + np.zeros((32, 1, 1), np.float32)
    labels = rng.integers(0, len(TREE.labels.names), (32, 32)).astype(np.uint8)
    labels[0, 0] = 255
    placement = Resize("stretch", "exact").place((32, 32), (32, 32))
    seen = cv2.resize(scores, (8, 8), interpolation=cv2.INTER_AREA)
    found = complete(labels, log_planes(np.moveaxis(seen, -1, 0)), placement, TREE, image)
    for index, label in np.ndenumerate(labels):
        if label == 255 or label < 7:
            assert found[index] == label
        else:
            below = np.flatnonzero(TREE.labels.leaves_lc[label])
            assert found[index] == below[scores[index][below].argmax()]


def test_what_a_crop_leaves_unseen_stays_a_group():
    body = TREE.labels.names.index("body")
    labels = np.full((8, 16), body, np.uint8)
    planes = log_planes(np.full((7, 8, 8), 1 / 7, np.float32))
    placement = Resize("crop", "exact").place((8, 16), (8, 8))
    found = complete(labels, planes, placement, TREE, np.zeros((8, 16, 3), np.uint8))
    assert np.all(found[:, 4:12] < 7)
    assert np.all(found[:, :4] == body)


@pytest.fixture
def groups(tmp_path):
    """A data set of one folder below another, whose masks hold groups and leaves."""
    rng = np.random.default_rng(1)
    for folder in ("images", "masks"):
        (tmp_path / "groups" / folder / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        image = rng.integers(0, 256, (40, 30, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "groups/images" / f"{name}.jpg"), image)
        mask = np.zeros((40, 30), np.uint8)
        mask[10:20], mask[20:30], mask[35:] = 1, 2, 255
        cv2.imwrite(str(tmp_path / "groups/masks" / f"{name}.png"), mask)
    content = {
        "train": {"images": "images/**/*", "masks": "masks/**/*"},
        "names": list(TREE.class_names),
        "hierarchy": {"body": {"upper_body": [1, 2, 4, 6], "lower_body": [3, 5]}},
        "labels": {0: "background", 1: "body", 2: "lower_leg"},
    }
    return tmp_path / "groups", content


def test_a_data_set_is_written_whose_masks_name_classes_alone(groups, tmp_path):
    folder, content = groups
    net = reference_file(tmp_path / "net.onnx", contract="reference")
    tree = Segmenter(net).hierarchy
    content["names"], content["labels"][2] = list(tree.class_names), tree.class_names[3]
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    command = [sys.executable, "launch/complete_labels.py", f"--model={net}"]
    command += [f"--data={folder / 'data.yaml'}", f"--output={tmp_path / 'new'}"]
    done = run(command)
    assert done.returncode == 0, done.stderr
    file = str(tmp_path / "new/data.yaml")
    new_tree = load_hierarchy(file)
    assert new_tree == tree
    assert not new_tree.inner_labels
    source = open_split(file, "train", 32, {})
    assert len(source) == 2
    for example in source:
        label = example["label"]
        assert np.all(label[:10] == 0)
        assert np.all((label[10:20] > 0) & (label[10:20] < 7))
        assert np.all(label[20:30] == 3)
        assert np.all(label[35:] == 255)
    again = run_quickly(*command[1:])
    assert again.returncode == 1
    assert again.stderr.startswith(f"error: {file} exists")


@pytest.mark.parametrize("resize", ["crop", "stretch"])
def test_the_command_says_how_many_pixels_of_groups_are_left_and_why(groups, tmp_path, resize):
    folder, content = groups
    net = reference_file(tmp_path / "net.onnx", contract="reference", resize=resize)
    tree = Segmenter(net).hierarchy
    content["names"], content["labels"][2] = list(tree.class_names), tree.class_names[3]
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    command = ["launch/complete_labels.py", f"--onnx_file={net}", f"--data={folder / 'data.yaml'}"]
    done = run_quickly(*command, f"--output={tmp_path / 'new'}")
    assert done.returncode == 0, done.stderr
    file = str(tmp_path / "new/data.yaml")
    masks = [example["label"] for example in open_split(file, "train", 32, {})]
    left = sum(int(((mask >= 7) & (mask < 255)).sum()) for mask in masks)
    first, *others = done.stdout.splitlines()
    assert first == f"Filled in {(600 - left) / 2400:.1%} of all pixels."
    assert others[-1] == f"Next: hierseg inspect --data={file} --output=inspection"
    assert (left > 0) == (resize == "crop")
    said = f"{left} pixels of groups ({left / 2400:.1%} of all) stayed as they were: the network "
    assert [line.startswith(said) for line in others[:-2]] == [True] * (resize == "crop")
    del content["labels"]
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    done = run_quickly(*command, f"--output={tmp_path / 'other'}")
    assert "none of its labels is a group of the network's classes" in done.stderr
    assert not (tmp_path / "other").exists()
