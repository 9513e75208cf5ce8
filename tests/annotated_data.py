"""Small raw data sets as tools for annotation leave them, made for the tests."""

import json
import pathlib

import cv2
import numpy as np

from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.spec import load_spec

SIZE = (12, 16)
SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]
SMALL = [[4, 4, 6, 4, 6, 6, 4, 6]]


def save_image(file, size=SIZE):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(size[0] * size[1] * 3) % 251
    cv2.imwrite(str(file), pixels.reshape(*size, 3).astype(np.uint8))


def save_mask(file, mask):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), mask)


def save_json(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def coco(annotations, images=1):
    """A document of pictures 0.jpg, 1.jpg, ..., whose annotations are of the first one."""
    return {
        "images": [
            {"id": 7 + i, "file_name": f"{i}.jpg", "height": 12, "width": 16} for i in range(images)
        ],
        "categories": [
            {"id": 1, "name": "cat", "supercategory": "animal"},
            {"id": 3, "name": "dog", "supercategory": "animal"},
            {"id": 5, "name": "lamp", "supercategory": "none"},
        ],
        "annotations": [
            {"id": 90 + i, "image_id": 7, "bbox": [0, 0, 2, 2], **annotation}
            for i, annotation in enumerate(annotations)
        ],
    }


def make_coco(root):
    """As COCO's download: a file of instances and a folder for each split."""
    raw = root / "coco"
    for split in ("train2017", "val2017"):
        document = coco(
            [
                {"category_id": 3, "segmentation": SMALL},
                {"category_id": 1, "segmentation": SQUARE},
                {"category_id": 5, "segmentation": [[0, 10, 4, 10, 4, 12, 0, 12]]},
            ]
        )
        save_json(raw / "annotations" / f"instances_{split}.json", document)
        save_json(raw / "annotations" / f"captions_{split}.json", {"images": []})
        save_image(raw / split / "0.jpg")
    return raw


def labelme(shapes, **keys):
    """A document of labelme; shapes: (label, type, points)."""
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": [
            {"label": label, "shape_type": kind, "points": points, "group_id": None, "flags": {}}
            for label, kind, points in shapes
        ],
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": 12,
        "imageWidth": 16,
        **keys,
    }


def make_labelme(root):
    raw = root / "labelme"
    for name in ("a", "b", "c"):
        shapes = [
            ("cat", "polygon", [[2, 2], [8, 2], [8, 8], [2, 8]]),
            ("dog", "rectangle", [[6, 6], [4, 4]]),
            ("__ignore__", "rectangle", [[0, 10], [4, 12]]),
        ]
        save_json(raw / f"{name}.json", labelme(shapes, imagePath=f"{name}.jpg"))
        save_image(raw / f"{name}.jpg")
    return raw


def make_yolo(root):
    """As Roboflow exports it, with paths of another machine."""
    raw = root / "yolo"
    for split in ("train", "valid"):
        for name in ("a", "b"):
            save_image(raw / split / "images" / f"{name}_{split}.jpg")
        labels = raw / split / "labels" / f"a_{split}.txt"
        labels.parent.mkdir()
        labels.write_text(
            "1 0.25 0.3333333 0.375 0.3333333 0.375 0.5 0.25 0.5\n"
            "0 0.125 0.1666667 0.5 0.1666667 0.5 0.6666667 0.125 0.6666667\n"
        )
    (raw / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [cat, dog]\n"
    )
    return raw


def make_voc(root):
    """VOC's lists, the test's without masks, and a border of 255."""
    raw = root / "VOCdevkit"
    folder = raw / "VOC2012"
    mask = np.zeros(SIZE, np.uint8)
    mask[2:8, 2:8], mask[4:6, 4:6], mask[2] = 8, 12, 255  # cat, dog, border
    lists = {"train": ["a", "b"], "val": ["c"], "trainval": ["a", "b", "c"], "test": ["d"]}
    for split, names in lists.items():
        file = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(names))
        for name in names:
            save_image(folder / "JPEGImages" / f"{name}.jpg")
            if split != "test":
                save_mask(folder / "SegmentationClass" / f"{name}.png", mask)
    return raw


def make_cityscapes(root, kind="labelTrainIds"):
    """Of two cities; the values are car and road, and some that are not scored."""
    raw = root / "cityscapes"
    car, road, other = (13, 0, 255) if kind == "labelTrainIds" else (26, 7, 5)
    mask = np.full(SIZE, road, np.uint8)
    mask[2:8, 2:8], mask[10:] = car, other
    for place in ("train/aachen", "val/lindau"):
        name = f"{pathlib.Path(place).name}_000000_000019"
        save_image(raw / "leftImg8bit" / place / f"{name}_leftImg8bit.png")
        save_mask(raw / "gtFine" / place / f"{name}_gtFine_{kind}.png", mask)
    return raw


def make_camvid(root):
    """As Kaggle has it: a sky above a car, and some Void."""
    raw = root / "camvid"
    mask_bgr = np.full((*SIZE, 3), 128, np.uint8)
    mask_bgr[2:8, 2:8], mask_bgr[10:] = (128, 0, 64), 0
    for split in ("train", "val"):
        save_image(raw / split / f"{split}_0.png")
        save_mask(raw / f"{split}_labels" / f"{split}_0_L.png", mask_bgr)
    (raw / "class_dict.csv").write_text(
        "name,r,g,b\nCar,64, 0, 128\nSky,128,128,128\nVoid,0, 0, 0\n"
    )
    return raw


MAKERS = {
    "coco": make_coco,
    "labelme": make_labelme,
    "yolo": make_yolo,
    "voc": make_voc,
    "cityscapes": make_cityscapes,
    "camvid": make_camvid,
}


def named(out, split="train", index=0):
    """Names of the labels of a picture, as data.yaml has them, and `ignored`."""
    spec = load_spec(out / "data.yaml")
    source = FolderSource(spec.image_dir(split), spec.hierarchy.num_classes, spec.values)
    names = np.full(256, "ignored", object)
    names[: len(spec.hierarchy.labels.names)] = spec.hierarchy.labels.names
    return names[source[index]["label"]]


def expected(inner, outer, border, rest="background"):
    names = np.full(SIZE, rest, object)
    names[2:8, 2:8], names[4:6, 4:6] = outer, inner
    names[10:12, 0:4] = border
    return names


def labels_of(spec, split):
    """Labels of a split, uint8 [H, W] each, by the stem of the picture."""
    layout = spec.layout(split)
    source = FolderSource(layout, spec.hierarchy.num_classes, spec.values)
    stems = sorted(file.stem for file in spec.image_dir(split).iterdir())
    return {stem: source[i]["label"] for i, stem in enumerate(stems)}
