"""What a new user writes first and can't be read ends in a sentence with the line to write."""

import re

import cv2
import numpy as np
import pytest

from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.image_files import read_mask
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import local_path

NAMES = "names: [background, a]\n"


def write(root, *paths, value=1):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".txt"):
            (root / path).write_text("0 0 0 1 0 1 1")
        else:
            cv2.imwrite(str(root / path), np.full((4, 6), value, np.uint8))


def load(root, text, names=NAMES):
    file = root / "data.yaml"
    file.write_text(f"{text}\n{names}")
    spec = load_spec(file)
    source = FolderSource(spec.layout("train"), spec.hierarchy.num_classes, spec.values)
    return [source[i]["label"] for i in range(len(source))]


def refusal(root, text, names=NAMES):
    with pytest.raises((HiersegError, FileNotFoundError)) as error:
        load(root, text, names)
    assert "\n" not in str(error.value)
    return str(error.value)


def told_by_doctor(root):
    return " ".join(f.message for f in inspect_dataset(load_spec(root / "data.yaml")).findings)


@pytest.mark.parametrize(
    ("paths", "typed"),
    [
        (["train/1.jpg", "train/1_mask.png", "train/2.jpg", "train/2_mask.png"], "train"),
        (["train/1.jpg", "train/1.png"], "{images: train, masks: train}"),
        (["1.jpg", "1_mask.png", "2.jpg", "2_mask.png"], "{images: ., masks: .}"),
        (["raw/1.png", "raw/2.png", "ids/1_L.png", "ids/2_L.png"], "{images: raw, masks: ids}"),
        (["images/training/1.jpg", "annotations/training/1.png"], "images/training"),
        (["CamVid/train/1.png", "CamVid/trainannot/1.png"], "CamVid/train"),
        (["train/images/1.jpg", "train/masks/1_mask.png"], "train/images"),
    ],
)
def test_the_line_that_the_message_and_the_doctor_name_reads_the_masks(tmp_path, paths, typed):
    write(tmp_path, *paths)
    sentence = refusal(tmp_path, f"train: {typed}")
    line = re.search(r"`(\{images: .*?\})`", sentence)[1]
    assert line in told_by_doctor(tmp_path)
    assert len(load(tmp_path, f"train: {line}")) == len(paths) // 2


def test_a_star_without_quotes_is_told_of(tmp_path):
    write(tmp_path, "1.jpg", "1_mask.png")
    sentence = refusal(tmp_path, "train: {images: *.jpg, masks: *_mask.png}")
    assert sentence.endswith("; put quotes around what begins with a star, '*.png'.")
    assert len(load(tmp_path, "train: {images: '*.jpg', masks: '*_mask.png'}")) == 1


def test_several_folders_that_may_hold_the_masks_are_named(tmp_path):
    write(tmp_path, *(f"{folder}/1.png" for folder in ("JPEGImages", "Class", "Object")))
    sentence = refusal(tmp_path, "train: JPEGImages")
    assert "masks: FOLDER}`; files of the images' names are in Class, Object." in sentence


def test_labels_of_yolo_are_known_without_its_other_keys(tmp_path):
    write(tmp_path, "images/train/1.jpg", "labels/train/1.txt")
    assert "hierseg prepare --from=yolo" in refusal(tmp_path, "train: images/train")
    assert "--from=yolo" in refusal(tmp_path, "train: images/train\ndownload: https://x")


def test_masks_stored_as_jpeg_are_found_and_refused(tmp_path):
    write(tmp_path, "train/images/1.jpg", "train/masks/1.jpg", "masks.jpg")
    export = "so masks can't be read from them; export the masks as PNG."
    sentence = refusal(tmp_path, "train: train/images")
    assert "1 file of these names is JPEG or WebP." in sentence
    assert export in sentence
    assert export in told_by_doctor(tmp_path)
    assert export in refusal(tmp_path, "train: {images: train/images, masks: train/masks}")
    assert export in refusal(tmp_path, "train: {images: a/*, masks: b/*.jpg}")
    (tmp_path / "masks.jpg").rename(tmp_path / "mask.png")
    with pytest.raises(HiersegError, match=r"mask\.png is a JPEG image, whatever its name"):
        read_mask(tmp_path / "mask.png")


def test_values_beyond_the_classes_say_what_to_write(tmp_path):
    paths = ("train/images/1.jpg", "train/masks/1.png")
    write(tmp_path, *paths, value=2)
    sentence = refusal(tmp_path, "train: train/images")
    assert "`ignore: [2]` beside `names` leaves them out" in sentence
    (label,) = load(tmp_path, "train: train/images\nignore: [2]")
    assert set(label.ravel()) == {255}
    write(tmp_path, "a/1.jpg", "b/1_labelIds.png", value=26)
    sentence = refusal(tmp_path, "train: {images: a/*.jpg, masks: b/*_labelIds.png}")
    assert "`hierseg prepare --from=cityscapes` makes a data.yaml" in sentence


def test_a_single_class_is_asked_what_the_rest_is(tmp_path):
    write(tmp_path, "train/images/1.jpg", "train/masks/1.png")
    sentence = refusal(tmp_path, "train: train/images", "names: [person]")
    assert sentence.startswith(f"{tmp_path}/data.yaml: names: 'person' is the only class")
    (label,) = load(tmp_path, "train: train/images", re.search(r"`(names: .*?)`", sentence)[1])
    assert set(label.ravel()) == {1}


def test_a_folder_in_place_of_a_data_yaml_is_told_how_to_make_one(tmp_path):
    with pytest.raises(HiersegError, match=r"is a folder; expected a YAML .*hierseg prepare"):
        load_spec(tmp_path)
    (tmp_path / "mine.yaml").touch()
    sentence = f"is a folder; expected a YAML file such as {tmp_path / 'mine.yaml'}, which is in it"
    with pytest.raises(HiersegError, match=re.escape(sentence)):
        load_spec(tmp_path)


def test_a_list_of_another_machine_is_read_here(tmp_path):
    """As SegNet's CamVid has it."""
    write(tmp_path, "train/1.png", "trainannot/1.png", "train/2.png", "trainannot/2.png")
    away = "/SegNet/CamVid"
    lines = [f"{away}/train/{i}.png {away}/trainannot/{i}.png" for i in (1, 2)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    assert len(load(tmp_path, "train: train.txt")) == 2
    (tmp_path / "train.txt").write_text(f"{away}/train/3.png {away}/trainannot/3.png")
    assert f"names '{away}/train/3.png', which is not below" in refusal(
        tmp_path, "train: train.txt"
    )


@pytest.mark.parametrize("line", ["{}\t{}", "{},{}", "{} {}", "{}, {}"])
def test_a_mask_follows_its_image_behind_a_space_a_tab_or_a_comma(tmp_path, line):
    write(tmp_path, "a b/1, 2.png", "m/1.png")
    (tmp_path / "train.txt").write_text(line.format("a b/1, 2.png", "m/1.png"))
    assert len(load(tmp_path, "train: train.txt")) == 1


def test_folders_in_which_no_file_is_an_image_say_what_they_hold(tmp_path):
    write(tmp_path, "train/images/1.jpg", "train/masks/1.png")
    assert "may be in `train/images`: write that." in refusal(tmp_path, "train: train")
    assert "say it of each split: `train: {images: " in refusal(tmp_path, "train: a\nmasks: b")
    image = tmp_path / "train/images/1.jpg"
    image.rename(image.with_suffix(".heic"))
    assert "holds files of .heic; convert them." in refusal(tmp_path, "train: train/images")
    image.with_suffix(".heic").unlink()
    image.symlink_to(tmp_path / "gone.jpg")
    image.with_name("2.jpg").symlink_to("2.jpg")
    sentence = refusal(tmp_path, "train: train/images")
    assert "has 2 links to files that are gone; bring these back." in sentence
    assert "2 links to files that are gone" in told_by_doctor(tmp_path)


def test_the_home_is_found_in_flags_and_in_a_data_yaml(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "data/train/images/1.jpg", "data/train/masks/1.png")
    (tmp_path / "data/data.yaml").write_text(f"path: ~/data\ntrain: train/images\n{NAMES}")
    assert load_spec("~/data/data.yaml").root == tmp_path / "data"
    assert local_path("~/out") == tmp_path / "out"
    assert str(local_path("~other/out")) == "~other/out"
