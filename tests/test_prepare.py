"""Preparing a data set: everything is checked first, and no file is harmed."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
import yaml

from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.conftest import ROOT
from tests.raw_data import arrived, contents, data_of, fault, make_raw, run_prepare

CCP = ROOT.parent / "shared" / "datasets" / "ccp"
CCP_NAMES = (
    *("background", "head", "upper_clothes", "lower_clothes"),
    *("footwear", "carried", "skin"),
)
CCP_TREE = {
    "hierarchy": {"person": {"body": [1, 6], "clothing": [2, 3, 4], "carried": [5]}},
    "names": dict(enumerate(CCP_NAMES)),
}


@pytest.mark.parametrize("move", [False, True])
def test_files_arrive_unchanged_and_data_yaml_loads(tmp_path, move):
    raw = make_raw(tmp_path)
    before, expected = contents(raw), arrived(raw)
    done = prepare(raw, tmp_path / "out", move=move)
    assert data_of(tmp_path / "out") == expected
    assert (done.written, done.kept) == (10, 0)
    if move:
        assert contents(raw).keys() == {"train_id.txt", "val_id.txt"}
    else:
        assert contents(raw) == before
    spec = load_spec(tmp_path / "out/data.yaml")
    assert spec == done.spec
    assert spec.hierarchy == PASCAL_PERSON_PART
    assert len(FolderSource(spec.image_dir("train"), 7)) == 3
    assert FolderSource(spec.image_dir("val"), 7).names == ("v0", "v1")
    again = prepare(raw, tmp_path / "out", move=move)
    assert (again.written, again.kept, again.summary) == (0, 10, done.summary)


def test_a_test_split_is_taken_where_it_is_listed(tmp_path):
    raw = make_raw(tmp_path)
    (raw / "val_id.txt").write_text("v1")
    (raw / "test_id.txt").write_text("\ufeffv0\r\n")
    spec = prepare(raw, tmp_path / "out").spec
    assert spec.splits == ("train", "val", "test")
    assert FolderSource(spec.image_dir("test"), 7).names == ("v0",)


def test_the_summary_counts_by_hand(tmp_path):
    raw = make_raw(tmp_path, train=2, val=1, size=(4, 4))
    first, second = np.zeros((2, 4, 4), np.uint8)
    first[0, :2], first[1, :1], first[3] = 4, 5, 255  # head twice, up_leg once
    second[0, :1] = 4
    np.save(raw / "gt_masks/t0.npy", first)
    np.save(raw / "gt_masks/t1.npy", second)
    done = prepare(raw, tmp_path / "out")
    assert json.loads((tmp_path / "out/summary.json").read_text()) == done.summary
    train = done.summary["splits"]["train"]
    assert train["images"] == 2
    assert train["height"] == train["width"] == [4, 4]
    assert train["ignored_pixels"] == 4 / 32
    assert train["levels"]["part"]["head"] == {"pixels": 3 / 28, "images": 1.0}
    assert train["levels"]["part"]["torso"] == {"pixels": 0.0, "images": 0.0}
    assert train["levels"]["upper_lower"]["lower_body"] == {"pixels": 1 / 28, "images": 0.5}
    assert train["levels"]["body"]["body"] == {"pixels": 4 / 28, "images": 1.0}


def test_every_fault_is_listed_and_nothing_is_written(tmp_path):
    raw = make_raw(tmp_path, train=8)
    images, masks = raw / "JPEGImages", raw / "gt_masks"
    (images / "t0.jpg").unlink()
    (masks / "t1.npy").unlink()
    (images / "t2.jpg").write_bytes((images / "t2.jpg").read_bytes()[:-30])
    np.save(masks / "t3.npy", np.eye(16, 12, dtype=np.uint8))
    np.save(masks / "t4.npy", np.full((12, 16), 7))
    np.save(masks / "t5.npy", np.full((12, 16), 0.5))
    np.save(masks / "t6.npy", np.zeros((12, 16, 3), np.uint8))
    (images / "t7.jpg").write_bytes(b"x")
    (masks / "t7.npy").write_bytes(b"x")
    (raw / "val_id.txt").write_text("v0\nt0\nv0\n../v1\na\\b\n.v1\n")
    message = fault(raw, tmp_path / "out")
    first, *lines = message.splitlines()
    assert first == f"{raw} has 14 faults, and nothing was written:"
    sentences = [
        "val_id.txt: line 2 names t0 again, after train_id.txt line 1.",
        "val_id.txt: line 3 names v0 again, after val_id.txt line 1.",
        "val_id.txt: line 4 is no plain id: '../v1'",
        "val_id.txt: line 5 is no plain id",
        "val_id.txt: line 6 is no plain id: '.v1'",
        "t0.jpg is missing, though train_id.txt names it. Put it there, take it out of the list, "
        "or leave out all that is missing by --skip_missing. The same of 1 more file "
        f"({masks / 't1.npy'}).",
        "t2.jpg is cut off",
        "t3.npy is 16 x 12 (height x width), but its image",
        "t4.npy holds the labels 7;",
        "t5.npy holds float64 values",
        "t6.npy has the shape (12, 16, 3)",
        "t7.npy is no .npy file",
        "t7.jpg is neither a JPEG nor a PNG",
    ]
    for line, sentence in zip(lines, sentences, strict=True):
        assert line.startswith(f"- {raw}")
        assert sentence in line
    assert not (tmp_path / "out").exists()


def test_at_most_twenty_faults_are_listed(tmp_path):
    raw = make_raw(tmp_path, train=25)
    for number, mask in enumerate((raw / "gt_masks").iterdir()):
        np.save(mask, np.full_like(np.load(mask), 10 + number))
    lines = fault(raw, tmp_path / "out").splitlines()
    assert "has 27 faults" in lines[0]
    assert lines[-1] == "- and 7 more"
    assert len(lines) == 22


def test_an_incomplete_layout_is_refused(tmp_path):
    raw = make_raw(tmp_path)
    (raw / "val_id.txt").write_text(" \n")
    assert "val_id.txt names no image; a split must not be empty" in fault(raw, tmp_path / "out")
    (raw / "val_id.txt").unlink()
    assert "val_id.txt; it must name" in fault(raw, tmp_path / "out", FileNotFoundError)
    shutil.rmtree(raw / "gt_masks")
    assert "gt_masks of masks" in fault(raw, tmp_path / "out", FileNotFoundError)
    shutil.rmtree(raw / "JPEGImages")
    assert "hold the images" in fault(raw, tmp_path / "out", FileNotFoundError)
    assert "--raw_dir" in fault(tmp_path / "none", tmp_path / "out", FileNotFoundError)


def test_folders_inside_one_another_are_refused(tmp_path):
    raw = make_raw(tmp_path)
    (tmp_path / "link").symlink_to(raw)
    for out in (raw, raw / "out", tmp_path, tmp_path / "link/out", raw / ".." / "raw"):
        assert "lie one in the other" in fault(raw, out)
    (tmp_path / "file").write_text("")
    assert "file is a file" in fault(raw, tmp_path / "file")


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize(
    "name", ["train/images/t1.jpg", "val/masks/v0.npy", "data.yaml", "summary.json"]
)
def test_files_with_another_content_are_never_overwritten(tmp_path, name, move):
    raw = make_raw(tmp_path)
    theirs = tmp_path / "out" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    message = fault(raw, tmp_path / "out", move=move)
    says = f"{theirs} is there already with another content; move it away"
    if name == "data.yaml":
        says = f"{theirs}: expected `key: value` lines"
        assert "Mend it, move it away, or use another --out_dir. Nothing was written." in message
    assert says in message


def test_pictures_that_are_added_later_join_the_others(tmp_path):
    raw, out = make_raw(tmp_path), tmp_path / "out"
    prepare(raw, out)
    edited = (out / "data.yaml").read_text().replace("torso", "trunk")
    (out / "data.yaml").write_text(edited)
    before = data_of(out)
    for folder, suffix in (("JPEGImages", "jpg"), ("gt_masks", "npy")):
        shutil.copy(raw / folder / f"t0.{suffix}", raw / folder / f"t9.{suffix}")
    with (raw / "train_id.txt").open("a") as ids:
        ids.write("\nt9\n")
    done = prepare(raw, out)
    assert (done.written, done.kept) == (2, len(before))
    assert data_of(out) == arrived(raw)
    assert before.items() <= data_of(out).items()
    assert (out / "data.yaml").read_text() == edited
    assert "trunk" in done.spec.hierarchy.class_names
    assert f"{out / 'data.yaml'} was there, says something else, and stays as it is." in done.notes
    assert json.loads((out / "summary.json").read_text())["splits"]["train"]["images"] == 4
    assert "trunk" in done.summary["splits"]["train"]["levels"]["part"]
    again = run_prepare(f"--raw_dir={raw}", f"--out_dir={out}", python=("-B",))
    assert again.returncode == 0, again.stderr
    assert "    trunk" in again.stdout
    other = Hierarchy.from_mapping([1, 2, 3, 4, 5, 6])
    assert "data.yaml is there already with another content" in fault(raw, out, hierarchy=other)
    (out / "data.yaml").write_text(edited.replace("val/images", "train/images"))
    assert "data.yaml is there already with another content" in fault(raw, out)


def test_files_that_no_id_stands_for_are_refused(tmp_path):
    raw = make_raw(tmp_path)
    prepare(raw, tmp_path / "out")
    (raw / "train_id.txt").write_text("t0")
    message = fault(raw, tmp_path / "out")
    assert "images holds 2 files that train_id.txt does not put there (t1.jpg, t2.jpg)" in message


def test_links_to_the_raw_files_lose_nothing(tmp_path):
    raw = make_raw(tmp_path)
    expected = arrived(raw)
    elsewhere = (raw / "JPEGImages/t0.jpg").rename(tmp_path / "t0.jpg")
    (raw / "JPEGImages/t0.jpg").symlink_to(elsewhere)
    images = tmp_path / "out/val/images"
    images.mkdir(parents=True)
    (images / "v0.jpg").symlink_to(raw / "JPEGImages/v0.jpg")
    os.link(raw / "JPEGImages/v1.jpg", images / "v1.jpg")
    for _ in range(2):
        prepare(raw, tmp_path / "out", move=True)
        assert data_of(tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--out_dir=x"], "error: --raw_dir is missing"),
        (["--raw_dir=nowhere", "--out_dir=x"], "error: There is no folder nowhere"),
        (["--raw_dir=x", "--out_dir=y", "--hierarchy=no.yaml"], "error: no.yaml: there is no such"),
    ],
)
def test_the_command_refuses_with_one_sentence(options, sentence):
    done = run_prepare(*options)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


# The photographs are too large for the repository, so a clone does not have them.
@pytest.mark.skipif(not CCP.is_dir(), reason=f"the photographs of {CCP.name} are not here")
def test_real_photographs_are_prepared(tmp_path):
    tree = tmp_path / "tree.yaml"
    tree.write_text(yaml.safe_dump(CCP_TREE))
    done = run_prepare(f"--raw_dir={CCP}", f"--out_dir={tmp_path / 'out'}", f"--hierarchy={tree}")
    assert done.returncode == 0, done.stderr
    assert "train: 700 images, height 384, widths " in done.stdout
    assert data_of(tmp_path / "out") == arrived(CCP)
    spec = load_spec(tmp_path / "out/data.yaml")
    source = FolderSource(spec.image_dir("val"), spec.hierarchy.num_classes)
    assert len(source) == 150
    name = source.names[0]
    image = cv2.imread(str(CCP / f"JPEGImages/{name}.jpg"))
    np.testing.assert_array_equal(source[0]["image"], cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    np.testing.assert_array_equal(source[0]["label"], np.load(CCP / f"gt_masks/{name}.npy"))
