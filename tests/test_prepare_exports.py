"""Folders as Roboflow, CVAT and Ultralytics lay them out are prepared as they come."""

import pytest

from hierseg_jax.data.prepare.prepare import prepare
from tests.annotated_data import SMALL, SQUARE, coco, save_image, save_json

LINES = "0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0.6 0.6 0.9 0.6 0.9 0.9\n"


def document(categories):
    content = coco(
        [{"category_id": 1, "segmentation": SQUARE}, {"category_id": 2, "segmentation": SMALL}]
    )
    return {**content, "categories": categories}


def roboflow(raw):
    """A category 0 that none is annotated with is the group of the others."""
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        *({"id": i, "name": n, "supercategory": "pets"} for i, n in ((1, "cat"), (2, "dog"))),
    ]
    for split in ("train", "valid", "test"):
        save_json(raw / split / "_annotations.coco.json", document(categories))
        save_image(raw / split / "0.jpg")
    (raw / "README.roboflow.txt").write_text("")


def cvat_coco(raw, splits=("Train", "Validation"), below=True):
    categories = [{"id": i, "name": n, "supercategory": ""} for i, n in ((1, "cat"), (2, "dog"))]
    for split in splits:
        content = document(categories)
        if len(splits) == 1:
            content["images"].append({**content["images"][0], "id": 70, "file_name": "1.jpg"})
            content["annotations"] += [{**a, "image_id": 70} for a in content["annotations"]]
        save_json(raw / "annotations" / f"instances_{split}.json", content)
        for image in content["images"]:
            save_image(raw / "images" / (split if below else "") / image["file_name"])


def ultralytics(raw, path="../datasets/coco8-seg", extra=""):
    for split in ("train", "val"):
        save_image(raw / "images" / split / f"{split}.jpg")
        (raw / "labels" / split).mkdir(parents=True)
        (raw / "labels" / split / f"{split}.txt").write_text(LINES)
    (raw / "labels/train.cache").write_bytes(b"\x80")
    (raw / "coco8-seg.yaml").write_text(
        f"path: {path}\ntrain: images/train\nval: images/val\ntest: # optional\n\n"
        f"names:\n  0: cat\n  1: dog\n{extra}"
    )


def cvat_ultralytics(raw):
    ultralytics(raw, path="./")
    for split in ("train", "val"):
        (raw / f"{split}.txt").write_text(f"data/images/{split}/{split}.jpg\n")
    file = raw / "coco8-seg.yaml"
    file.write_text(
        file.read_text().replace("images/train", "train.txt").replace("images/val", "val.txt")
    )
    file.rename(raw / "data.yaml")


EXPORTS = {
    "Roboflow's COCO": (roboflow, ("train", "val", "test")),
    "CVAT's COCO of subsets": (cvat_coco, ("train", "val")),
    "CVAT's COCO": (lambda raw: cvat_coco(raw, ("default",), below=False), ("train", "val")),
    "Ultralytics' coco8-seg": (
        lambda raw: ultralytics(raw, extra="download: https://x\n"),
        ("train", "val"),
    ),
    "CVAT's Ultralytics": (cvat_ultralytics, ("train", "val")),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_prepared_as_it_comes(tmp_path, name):
    make, splits = EXPORTS[name]
    raw = tmp_path / "my data ü"
    make(raw)
    done = prepare(raw, tmp_path / "out", link=True)
    assert done.spec.splits == splits
    hierarchy = done.spec.hierarchy
    assert hierarchy.class_names == ("background", "cat", "dog")
    levels = ("supercategory", "class") if name.startswith("Roboflow") else ("class",)
    assert hierarchy.level_names == levels
    for split in splits:
        shares = done.summary["splits"][split]["levels"]["class"]
        assert all(shares[each]["images"] == 1 for each in ("background", "cat", "dog"))
