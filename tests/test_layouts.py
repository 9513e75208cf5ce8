"""Where images and masks may lie: what people bring loads as typed, or as the message says."""

import json
import os
import re

import cv2
import numpy as np
import pytest
import yaml

from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.system.errors import HiersegError
from tests.fuzzing import COUNTS, as_text, changed, fuzz, read_or_refused

TREE = "names: [background, a, b]\nhierarchy: [a, b]\n"
CITY = (
    "{images: leftImg8bit/SPLIT/**/*_leftImg8bit.png, "
    "masks: gtFine/SPLIT/**/*_gtFine_labelTrainIds.png}"
)


def write(root, *pairs):
    """Pairs of paths; every pair's mask has its number's class in one corner."""
    for number, (image, mask) in enumerate(pairs):
        for path in (image, mask):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        colours = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(str(root / image), colours)
        mask_hw = np.zeros((6, 8), np.uint8)
        mask_hw[:3], mask_hw[3:5, : number + 1] = 1, 2
        cv2.imwrite(str(root / mask), mask_hw)


def load(root, text, split="train"):
    file = root / "data.yaml"
    file.write_text(text + "\n" + TREE)
    spec = load_spec(file)
    return FolderSource(spec.layout(split), 3, spec.values)


def refusal(root, text):
    with pytest.raises((HiersegError, FileNotFoundError)) as error:
        load(root, text)
    assert "\n" not in str(error.value)
    return str(error.value)


def pairs_of(source, root):
    return [
        (str(source.image_file(i).relative_to(root)), str(source.mask_file(i).relative_to(root)))
        for i in range(len(source))
    ]


def line_of(sentence):
    """The line that a message says to write."""
    return re.search(r"`(\{images: .*?\})`", sentence)[1]


LAYOUTS = {
    "cityscapes": (
        [
            (f"leftImg8bit/train/{c}/{c}_{i}_leftImg8bit.png", mask)
            for c in ("aachen", "bochum")
            for i in range(2)
            for mask in [f"gtFine/train/{c}/{c}_{i}_gtFine_labelTrainIds.png"]
        ],
        f"train: {CITY.replace('SPLIT', 'train')}",
    ),
    "folders beside folders": (
        [("images/train/x.jpg", "masks/train/x.png"), ("images/train/y.jpg", "masks/train/y.png")],
        "train: images/train",
    ),
    "two suffixes": (
        [("all/1_rgb.jpg", "all/1_id.png"), ("all/2_rgb.jpg", "all/2_id.png")],
        "train: {images: all/*_rgb.jpg, masks: all/*_id.png}",
    ),
    "scenes with fixed names": (
        [
            ("scenes/s1/rgb.png", "scenes/s1/label.png"),
            ("scenes/s2/rgb.png", "scenes/s2/label.png"),
        ],
        "train: {images: scenes/*/rgb.png, masks: scenes/*/label.png}",
    ),
    "stars on both sides of folders": (
        [("in/a/x/y/rgb/1.png", "out/a/x/y/id/1.png"), ("in/b/rgb/1.png", "out/b/id/1.png")],
        "train: {images: in/*/**/rgb/*.png, masks: out/*/**/id/*.png}",
    ),
    "a folder of masks in the images' order": (
        [("in/a/1.jpg", "out/a/1.png"), ("in/b/1.webp", "out/b/1.bmp")],
        "train: {images: in/**/*, masks: out}",
    ),
    "the root itself": ([("1.jpg", "1_mask.png")], "train: {images: '*.jpg', masks: '*_mask.png'}"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read_as_it_is_written(tmp_path, name):
    pairs, text = LAYOUTS[name]
    write(tmp_path, *pairs)
    source = load(tmp_path, text)
    assert pairs_of(source, tmp_path) == sorted(pairs)
    for i, pair in enumerate(sorted(pairs)):
        assert (source[i]["label"][3] == 2).sum() == pairs.index(pair) + 1
    spec = load_spec(tmp_path / "data.yaml")
    write_spec(spec)
    assert load_spec(spec.file) == spec
    inspection = inspect_dataset(spec)
    assert {finding.kind for finding in inspection.findings} == {"absent_split"}
    assert len(inspection.usable("train")) == len(pairs)
    assert next(iter(source.inventory()))[0].startswith("images/")


def test_one_folder_of_masks_serves_two_splits(tmp_path):
    write(tmp_path, ("train/1.jpg", "masks/1.png"), ("val/2.jpg", "masks/2.png"))
    for text in (
        "train: train\nval: val",
        "train: {images: train, masks: masks}\nval: {images: val, masks: masks}",
    ):
        assert load(tmp_path, text).names == ("1",)
        assert load(tmp_path, text, "val").names == ("2",)
    # A split alone has no use for the other's masks.
    assert "1 mask without an image" in refusal(tmp_path, "train: train")


def test_lists_say_which_images_belong_to_a_split(tmp_path):
    """Pascal VOC: one folder of images, one of masks, and lists of names."""
    voc = [(f"JPEGImages/2007_{i}.jpg", f"SegmentationClass/2007_{i}.png") for i in range(4)]
    write(tmp_path, *voc[:3])
    os.rename(tmp_path / "JPEGImages/2007_0.jpg", tmp_path / "JPEGImages/without_mask.jpg")
    sets = tmp_path / "ImageSets/Segmentation"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("2007_2\r\n\r\n2007_1\n")
    line = "{images: JPEGImages, list: ImageSets/Segmentation/train.txt, masks: SegmentationClass}"
    source = load(tmp_path, f"train: {line}")
    assert pairs_of(source, tmp_path) == voc[1:3]
    # As one might try at first; the message names the line.
    at_first = "{images: ImageSets/Segmentation/train.txt, masks: SegmentationClass}"
    assert line_of(refusal(tmp_path, f"train: {at_first}")).replace("FOLDER", "JPEGImages") == line
    for text in ("2007_1.jpg\n2007_2.jpg", "JPEGImages/2007_1.jpg\n./JPEGImages/2007_2.jpg"):
        (sets / "train.txt").write_text(text)
        assert pairs_of(load(tmp_path, f"train: {line}"), tmp_path) == voc[1:3]
    (sets / "train.txt").write_text("2007_1\n2007_9\n")
    assert "names 1 image that" in refusal(tmp_path, f"train: {line}")
    assert "does not hold: 2007_9." in refusal(tmp_path, f"train: {line}")
    (sets / "train.txt").write_text("\n")
    assert "names no image" in refusal(tmp_path, f"train: {line}")
    (sets / "train.txt").unlink()
    assert "There is no file" in refusal(tmp_path, f"train: {line}")


def test_lists_of_paths_with_and_without_masks(tmp_path):
    pairs = [("pictures/a 1.jpg", "ids/a 1.png"), ("pictures/b.jpg", "ids/b.png")]
    write(tmp_path, *pairs, ("pictures/c.jpg", "ids/c.png"))
    (tmp_path / "train.txt").write_text(f"{tmp_path}/pictures/a 1.jpg\npictures/b.jpg\n")
    sentence = refusal(tmp_path, "train: train.txt")
    assert "names the image pictures/a 1.jpg without a mask" in sentence
    line = line_of(sentence).replace("FOLDER", "ids")
    assert pairs_of(load(tmp_path, f"train: {line}"), tmp_path) == pairs
    (tmp_path / "train.txt").write_text("pictures/b.jpg ids/c.png\npictures/a 1.jpg\tids/b.png\n")
    source = load(tmp_path, "train: train.txt")
    assert pairs_of(source, tmp_path) == [
        ("pictures/a 1.jpg", "ids/b.png"),
        ("pictures/b.jpg", "ids/c.png"),
    ]
    for text in ("pictures/a 1.jpg ids/a 1.png", "pictures/a 1.jpg, ids/a 1.png"):
        (tmp_path / "train.txt").write_text(text)
        assert pairs_of(load(tmp_path, "train: train.txt"), tmp_path) == pairs[:1]
    (tmp_path / "train.txt").write_text("pictures/b.jpg ../ids/c.png\n")
    assert "names '../ids/c.png', which is not below" in refusal(tmp_path, "train: train.txt")
    (tmp_path / "train.txt").write_text("pictures/b.jpg ids/d.png\n")
    assert "1 image without a mask where the list" in refusal(tmp_path, "train: train.txt")


@pytest.mark.parametrize(
    "pairs",
    [
        [("train/images/1.jpg", "train/masks/1_mask.png")],
        [
            ("train/images/1.jpg", "train/masks/gt_1.png"),
            ("train/images/2.jpg", "train/masks/gt_2.png"),
        ],
        [
            ("train/images/1_rgb.jpg", "train/masks/1_id.png"),
            ("train/images/2_rgb.jpg", "train/masks/2_id.png"),
        ],
        [("train/images/c/1.jpg", "train/masks/c/1.png")],
        [("pictures/1.jpg", "labels/1.png")],
    ],
)
def test_the_message_about_other_names_says_what_to_write(tmp_path, pairs):
    write(tmp_path, *pairs)
    typed = "pictures" if "pictures" in pairs[0][0] else "train/images"
    sentence = refusal(tmp_path, f"train: {typed}")
    line = line_of(sentence).replace("MASKS", "train/masks").replace("FOLDER", "labels")
    assert pairs_of(load(tmp_path, f"train: {line}"), tmp_path) == pairs


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("train: a/*.jpg", "say where the masks are, too: `train: {images: a/*.jpg, masks: PATH}`"),
        ("train: {images: a/*.jpg}", "train: the key masks is missing"),
        ("train: {masks: a}", "train: the key images is missing"),
        ("train: {image: a, masks: b}", "the key 'image' is unknown; did you mean images?"),
        ("train: {images: [a], masks: b}", "train: images: expected the path of a folder; found"),
        ("train: {images: /a, masks: b}", "train: images: '/a' is absolute"),
        ("train: {images: a, masks: ../b}", "'../b' is not below `path`; everything that is named"),
        ("train: {images: a/*_*.jpg, masks: b}", "'a/*_*.jpg' has more stars than can be told"),
        ("train: {images: a/**/**/*, masks: b}", "has more stars than can be told apart"),
        ("train: {images: a/**/*, masks: b/*}", "'b/*' and 'a/**/*.*' have not the same stars"),
        ("train: {images: a/*.gif, masks: b}", "files that are not read; images are .jpg, .jpeg"),
        ("train: {images: a/*, masks: b/*.jpg}", "files that are not read; masks are .npy, .png"),
        ("train: {images: a.txt, list: b.txt, masks: c}", "lists images already; leave out `list`"),
        ("train: {images: a/*, masks: b}", "There is no folder"),
    ],
)
def test_bad_layouts_end_in_one_sentence(tmp_path, text, sentence):
    assert sentence in refusal(tmp_path, text)


def test_folders_that_are_links_are_followed_but_not_in_circles(tmp_path):
    write(tmp_path, ("far/in/x/1.jpg", "far/out/x/1.png"))
    (tmp_path / "data").mkdir()
    for name in ("in", "out"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "far" / name)
    (tmp_path / "far/in/x/up").symlink_to(tmp_path / "far/in")
    (tmp_path / "far/in/a").symlink_to(tmp_path / "far/out")
    (tmp_path / "far/out/b").symlink_to(tmp_path / "far/in")
    source = load(tmp_path, "train: {images: data/in/**/*.jpg, masks: data/out/**/*}")
    assert source.names == ("x/1",)
    (tmp_path / "far/in/self.jpg").symlink_to("self.jpg")  # to no folder: a picture that is gone
    layout = "train: {images: data/in/**/*.jpg, masks: data/out/**/*}"
    assert "1 image without a mask at data/out/**/*.*: self.jpg." in refusal(tmp_path, layout)


def test_listing_looks_at_folders_and_at_no_file(tmp_path, monkeypatch):
    """A million files are as many names, not as many calls to the file system."""
    pairs = [(f"in/{i % 3}/{i}.jpg", f"out/{i % 3}/{i}.png") for i in range(30)]
    write(tmp_path, *pairs)
    file = tmp_path / "data.yaml"
    file.write_text(f"train: {{images: in/**/*.jpg, masks: out}}\n{TREE}")
    looked = []
    stat, scandir = os.stat, os.scandir
    monkeypatch.setattr(os, "stat", lambda path, **of: looked.append(path) or stat(path, **of))
    listed = []
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    source = open_split(str(file), "train", 32, {})
    monkeypatch.undo()
    assert len(source) == 30
    assert len(listed) == 8
    assert not [path for path in map(str, looked) if path.endswith((".jpg", ".png"))]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ("nc: 2\nnames: [a, b]\ntrain: ../train/images", "yolo"),
        ('{"info": {}, "images": [], "annotations": [], "categories": []}', "coco"),
        ('{"version": "5", "shapes": [], "imagePath": "a.jpg", "imageData": null}', "labelme"),
    ],
)
def test_a_file_of_another_format_says_how_it_is_read(tmp_path, content, form):
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(HiersegError, match=rf"is unknown; .*hierseg prepare --from={form} "):
        load_spec(tmp_path / "data.yaml")


def test_two_splits_of_one_image_are_told(tmp_path):
    write(tmp_path, *((f"in/{i}.jpg", f"out/{i}.png") for i in range(3)))
    (tmp_path / "train.txt").write_text("0\n1\n")
    (tmp_path / "val.txt").write_text("1\n2\n")
    load(
        tmp_path,
        "train: {images: in, list: train.txt, masks: out}\n"
        "val: {images: in, list: val.txt, masks: out}",
    )
    (finding,) = inspect_dataset(load_spec(tmp_path / "data.yaml")).findings
    assert finding.kind == "duplicate_across_splits"
    assert finding.message == "in/1.jpg is in train and in val."


SPLITS = [
    {"train": {"images": "a/**/*_rgb.png", "masks": "b/**/*_id.png"}, "hierarchy": [1]},
    {"train": {"images": "a", "list": "x/train.txt", "masks": "b"}, "val": "a.txt"},
    {"train": "a", "labels": {"#000000": "x"}, "ignore": ["#E0E0C0", 7], "unknown": "ignore"},
]


@pytest.mark.parametrize("count", COUNTS)
def test_whatever_a_split_says_is_read_or_ends_in_a_sentence(tmp_path, count):
    file = tmp_path / "data.yaml"

    def read(path):
        spec = load_spec(path)
        for split in spec.splits:
            assert spec.image_dir(split).is_relative_to(spec.root)
        assert spec.values.labels(np.full((2, 2), 255), path).shape == (2, 2)

    def outcome(text):
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        return read_or_refused(file, read)

    specs = [{"hierarchy": [1], "names": ["x", "y"]} | split for split in SPLITS]
    whole = [json.dumps(spec) for spec in specs[:2]]
    assert fuzz(count, as_text(changed(specs)), outcome, whole=whole)["read"]


def test_a_layout_is_plain_yaml(tmp_path):
    write(tmp_path, ("in/1.jpg", "out/1.png"))
    load(tmp_path, "train: {images: in/*.jpg, masks: out/*.png}")
    spec = load_spec(tmp_path / "data.yaml")
    write_spec(spec)
    assert yaml.safe_load(spec.file.read_text())["train"] == {
        "images": "in/*.jpg",
        "masks": "out/*.png",
    }
