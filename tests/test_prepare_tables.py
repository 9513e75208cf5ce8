"""VOC, CamVid and what is no format at all: what a new user brings, and what is written where."""

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.formats import find_format
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.system.errors import HiersegError
from tests.annotated_data import (
    MAKERS,
    SIZE,
    make_camvid,
    make_voc,
    make_yolo,
    save_image,
    save_mask,
)
from tests.raw_data import fault


def seen(spec, split="train"):
    source = FolderSource(spec.layout(split), spec.hierarchy.num_classes, spec.values)
    names = dict(enumerate(spec.hierarchy.labels.names))
    return {
        names.get(int(v), "ignored") for i in range(len(source)) for v in source[i]["label"].flat
    }


def test_suffixes_of_voc_in_capital_letters_and_in_its_lists(tmp_path):
    raw = make_voc(tmp_path)
    root = raw / "VOC2012"
    for file in [*root.glob("JPEGImages/*"), *root.glob("SegmentationClass/*")]:
        file.rename(file.with_suffix(file.suffix.upper()))
    (root / "ImageSets/Segmentation/train.txt").write_text("a.jpg\nb.png\n")
    done = prepare(raw, tmp_path / "out")
    assert seen(done.spec) == {"background", "cat", "dog", "ignored"}
    assert "No training mask holds aeroplane, bicycle," in str(done.notes)


def test_arrays_of_an_older_labelme_lie_in_the_folder_of_masks(tmp_path):
    raw = tmp_path / "raw"
    save_image(raw / "JPEGImages/a.jpg")
    (raw / "SegmentationClass").mkdir()
    mask = np.zeros((12, 16), np.int32)
    mask[:3], mask[3:5] = 1, -1
    np.save(raw / "SegmentationClass/a.npy", mask)
    (raw / "class_names.txt").write_text("_background_\ntree\n")
    assert seen(prepare(raw, tmp_path / "out").spec) == {"background", "tree", "ignored"}


def test_masks_of_voc_stored_as_jpeg_are_refused(tmp_path):
    raw = make_voc(tmp_path)
    for file in raw.glob("VOC2012/SegmentationClass/*"):
        cv2.imwrite(str(file.with_suffix(".jpg")), cv2.imread(str(file)))
        file.unlink()
    assert "There are JPEG or WebP files. These change the values" in fault(raw, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("class_dict.csv", "Car,64,0,128\nSky,128,128,128\nvoid,0,0,0\n"),
        ("label_colors.txt", "# colours\n64 0 128\tCar\n128 128 128\tSky\n0 0 0\t\tVoid\n"),
    ],
)
def test_no_class_of_a_table_is_taken_for_its_header(tmp_path, name, table):
    raw = make_camvid(tmp_path)
    (raw / "class_dict.csv").unlink()
    (raw / name).write_text(table)
    done = prepare(raw, tmp_path / "out")
    assert done.spec.hierarchy.class_names == ("Car", "Sky")
    assert seen(done.spec) == {"Car", "Sky", "ignored"}


def test_a_labelmap_of_cvat_names_colours_in_any_folders(tmp_path):
    raw = tmp_path / "raw"
    for number in range(3):
        save_image(raw / f"images/{number}.jpg")
        colours_hwc = np.zeros((*SIZE, 3), np.uint8)
        colours_hwc[: 5 + number], colours_hwc[8:] = (128, 0, 64), (255, 255, 255)  # BGR
        save_mask(raw / f"masks/{number}.png", colours_hwc)
    lines = (
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nsky:255,255,255::\ncar:64,0,128::\n"
    )
    (raw / "labelmap.txt").write_text(lines)
    done = prepare(raw, tmp_path / "out")
    assert seen(done.spec) == {"background", "car", "sky"}
    assert f"The classes are those of {raw / 'labelmap.txt'}." in done.notes
    (raw / "labelmap.txt").write_text("bus:1 2 3::\n")
    assert "labelmap.txt: line 1" in fault(raw, tmp_path / "broken")
    for colourless in ("0:background\n1:cat\n", "background:::\ncat:::\n"):
        (raw / "labelmap.txt").write_text(colourless)
        spec = prepare(raw, tmp_path / f"colourless{len(colourless)}").spec
        assert "colour_400080" in spec.hierarchy.class_names
    # TFLite's has names alone.
    (raw / "labelmap.txt").write_text("???\nsky\ncar\n")
    (raw / "class_dict.csv").write_text("name,r,g,b\nair,255,255,255\nbike,64,0,128\nno,0,0,0\n")
    assert seen(prepare(raw, tmp_path / "other").spec) == {"no", "bike", "air"}


@pytest.mark.parametrize("apart", [",", ";", " ; "])
@pytest.mark.parametrize(
    "names", [("train/1_sat.jpg", "train/1_mask.png"), ("hr/test/1.png", "hr-mask/test/1.png")]
)
def test_a_table_of_colours_names_the_classes_of_pictures_in_any_folders(tmp_path, names, apart):
    raw = tmp_path / "raw"
    image, mask = (raw / name for name in names)
    save_image(image)
    colours_hwc = np.zeros((*SIZE, 3), np.uint8)
    colours_hwc[:5], colours_hwc[5:7] = (128, 0, 64), (255, 255, 255)  # BGR
    save_mask(mask, colours_hwc)
    rows = (("name", "r", "g", "b"), ("Car", 64, 0, 128), ("void", 0, 0, 0), ("Sky", *[255] * 3))
    (raw / "class_dict.csv").write_text("".join(f"{apart.join(map(str, row))}\n" for row in rows))
    done = prepare(raw, tmp_path / "out")
    assert done.source == "masks"
    assert seen(done.spec) == {"Car", "Sky", "ignored"}
    assert f"The classes are those of {raw / 'class_dict.csv'}." in done.notes


def test_images_beside_masks_are_a_pair_of_folders(tmp_path):
    raw = make_camvid(tmp_path)
    for folder in ("val", "val_labels"):
        for file in (raw / folder).iterdir():
            file.unlink()
        (raw / folder).rmdir()
    (raw / "train").rename(raw / "images")
    (raw / "train_labels").rename(raw / "masks")
    assert seen(prepare(raw, tmp_path / "out").spec) == {"Car", "Sky", "ignored"}


def test_a_table_of_one_class_names_its_file(tmp_path):
    raw = make_camvid(tmp_path)
    (raw / "class_dict.csv").write_text("name,r,g,b\nCar,64,0,128\nVoid,0,0,0\n")
    assert f"{raw}/class_dict.csv: names: 'Car' is the only class" in fault(raw, tmp_path / "out")
    (raw / "class_dict.csv").write_text("name,r,g,b\nVoid,0,0,0\n")
    assert "class_dict.csv: it names no class" in fault(raw, tmp_path / "out")


def untold(folder):
    with pytest.raises(HiersegError) as error:
        find_format(folder)
    return str(error.value)


def test_a_folder_of_no_format_is_told_what_else_it_may_be(tmp_path):
    raw = make_yolo(tmp_path)
    assert f"yolo in it looks like yolo; give --raw_dir={raw}." in untold(tmp_path)
    folder = tmp_path / "other"
    save_image(folder / "train/a.png")
    assert "a data.yaml names any folders and patterns" in untold(folder)
    (folder / "data.yaml").write_text("train: train\n\tnames: [a, b]\n")
    assert untold(folder).startswith(f"{folder}/data.yaml: line 2")
    assert "mend it, or take it out of there" in untold(folder)
    (folder / "data.yaml").write_text("train: train\nnames: [a, b]\n")
    assert untold(folder).startswith(f"{folder} is a data set already, by the file data.yaml")
    assert f"train with --data={folder}/data.yaml." in untold(folder)


def test_a_file_or_a_dead_link_in_the_way_of_the_output_is_named(tmp_path):
    raw = MAKERS["coco"](tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert f"{tmp_path}/file is a file" in fault(raw, tmp_path / "file/below")
    assert f"{tmp_path}/link is a link that leads nowhere" in fault(raw, tmp_path / "link")
