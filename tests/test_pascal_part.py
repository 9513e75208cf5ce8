"""The original PASCAL-Part release: its parts merged, its images without persons skipped."""

import shutil

import numpy as np
import pytest
import scipy.io

from hierseg_jax import Hierarchy
from hierseg_jax.data.prepare.pascal_part import MERGE, merge_table, read_person_parts
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.raw_data import fault, make_raw


def struct(rows, fields):
    array = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for i, row in enumerate(rows):
        array[0, i] = row
    return array


def save_annotation(file, objects, size=(12, 16)):
    """The release's layout; objects: (class, mask, [(part name, mask)])."""
    file.parent.mkdir(exist_ok=True)
    rows = [
        (
            kind,
            np.uint8(15),
            mask.astype(np.uint8),
            struct([(n, m.astype(np.uint8)) for n, m in parts], ("part_name", "mask"))
            if parts
            else np.zeros((0, 0)),
        )
        for kind, mask, parts in objects
    ]
    anno = struct(
        [(file.stem, struct(rows, ("class", "class_ind", "mask", "parts")))], ("imname", "objects")
    )
    scipy.io.savemat(file, {"anno": anno}, do_compression=True)


def rows_of(*rows, size=(12, 16)):
    mask = np.zeros(size, bool)
    mask[list(rows)] = True
    return mask


def make_pascal_part(root):
    raw = make_raw(root)
    shutil.rmtree(raw / "gt_masks")
    person = ("person", rows_of(1, 2, 3, 4), [("head", rows_of(1)), ("neck", rows_of(2))])
    dog = ("dog", rows_of(8), [("head", rows_of(8))])
    for name in ("t0", "v0", "v1"):
        save_annotation(raw / f"Annotations_Part/{name}.mat", [dog, person])
    save_annotation(raw / "Annotations_Part/t1.mat", [dog])
    save_annotation(raw / "Annotations_Part/t2.mat", [("person", rows_of(1), [])])
    return raw


def test_all_parts_of_a_person_are_merged(tmp_path):
    """One part a column; a later one wins; the rest of the person is ignored."""
    class_of = merge_table(PASCAL_PERSON_PART)
    assert len(class_of) == 24
    parts = []
    for i, name in enumerate(class_of):
        mask = np.zeros((3, 30), bool)
        mask[1, i:] = True
        parts.append((name, mask))
    person = np.zeros((3, 30), bool)
    person[1:] = True
    file = tmp_path / "a.mat"
    save_annotation(file, [("person", person, parts), ("person", person, [])])
    label = read_person_parts(file, class_of)
    names = PASCAL_PERSON_PART.class_names
    assert [names[c] for c in label[1, :24]] == [n for n, of in MERGE.items() for _ in of]
    assert set(label[0]) == {0}
    assert set(label[2]) == {255}
    assert label.dtype == np.uint8


@pytest.mark.parametrize("move", [False, True])
def test_pascal_part_is_merged_and_images_without_persons_skipped(tmp_path, move):
    raw = make_pascal_part(tmp_path)
    done = prepare(raw, tmp_path / "out", move=move)
    assert done.summary["skipped"] == 2
    source = FolderSource(done.spec.image_dir("train"), 7)
    assert source.names == ("t0",)
    label = source[0]["label"]
    assert [PASCAL_PERSON_PART.class_names[c] for c in label[:3, 0]] == [
        "background",
        "head",
        "torso",
    ]
    assert set(label[3:5].ravel()) == {255}
    assert set(label[5:].ravel()) == {0}
    assert (raw / "JPEGImages/t0.jpg").exists() != move
    assert (raw / "JPEGImages/t1.jpg").exists()
    assert len(list((raw / "Annotations_Part").iterdir())) == 5
    again = prepare(raw, tmp_path / "out", move=move)
    assert (again.written, again.kept) == (0, 6)


def test_bad_pascal_part_annotations_are_refused(tmp_path):
    raw = make_pascal_part(tmp_path)
    folder = raw / "Annotations_Part"
    (folder / "t0.mat").write_bytes((folder / "t0.mat").read_bytes()[:200])
    scipy.io.savemat(folder / "t1.mat", {"x": 1})
    save_annotation(folder / "t2.mat", [("person", rows_of(1), [("tail", rows_of(1))])])
    small = rows_of(1, size=(5, 5))
    save_annotation(folder / "v0.mat", [("person", small, [("head", small)])])
    save_annotation(folder / "v1.mat", [("person", small, [("head", rows_of(1))])])
    lines = fault(raw, tmp_path / "out").splitlines()[1:]
    for line, sentence in zip(
        lines,
        (
            "t0.mat is no annotation of PASCAL-Part, or a damaged one",
            "t1.mat is no annotation",
            "t2.mat has a person's part 'tail'",
            "v0.mat is 5 x 5 (height x width), but its image",
            "v1.mat holds masks of several sizes",
        ),
        strict=True,
    ):
        assert sentence in line
    tree = Hierarchy.from_mapping(["head", "torso"], ["background", "head", "torso"])
    assert "the tree lacks up_hand" in fault(raw, tmp_path / "out", hierarchy=tree)


def test_a_split_without_persons_is_refused(tmp_path):
    raw = make_pascal_part(tmp_path)
    (raw / "train_id.txt").write_text("t1")
    assert "train_id.txt names no image in which anything is annotated" in fault(
        raw, tmp_path / "out"
    )
