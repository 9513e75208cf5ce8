"""Annotations of other tools are named, with what that tool can export in their place."""

import json

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.formats import find_format
from hierseg_jax.data.prepare.other_tools import about_tools

LABEL_STUDIO = [
    {
        "id": 1,
        "annotations": [
            {
                "id": 1,
                "completed_by": 1,
                "result": [{"type": "brushlabels", "value": {"format": "rle", "rle": [0, 1, 2]}}],
            }
        ],
        "data": {"image": "/data/upload/1/a.jpg"},
    }
]
TASKS = json.dumps(LABEL_STUDIO)
SEGMENTS = {"dataset": {"name": "me/street", "task_type": "segmentation-bitmap"}, "samples": []}
WEBSITE = "<annotation><filename>a.jpg</filename><object><polygon><pt/></polygon></object>"
BOXES = "<annotation>\n<object><bndbox><xmin>3</xmin></bndbox></object>\n</annotation>"
FILES = {
    "project-1.json": (TASKS, "Label Studio's; export `COCO` there, or of bru"),
    "street-v0.1.json": (json.dumps(SEGMENTS), "Segments.ai; export COCO's there"),
    "rows.json": ('[{"data_row": {"id": "a"}}]', "Labelbox's; convert it to COCO's"),
    "export.ndjson": ('{"data_row": {"id": "a"}}\n', "Labelbox's; convert it to COCO's"),
    "project.json": ('{"_via_settings": {"ui": {}}}', "a project of VIA without a single region"),
    "a.darwin.json": (
        '{"version": "2.0", "schema_ref": "https://darwin-public/2_0.json"}',
        "is V7's; export COCO's there",
    ),
    "task-1-annotation-31-by-1-tag-building-0.png": ("", "export `Brush labels to COCO` there"),
    "UPPER.XML": (WEBSITE, "polygons in XML; export or convert them to COCO's"),
    "default.json": ('{"dm_format_version": "1.0"}', "datumaro's; `datum convert` it"),
    "street/a.xml": (WEBSITE, "polygons in XML; export or convert them to COCO's"),
    "Annotations/a.xml": (BOXES, "has boxes alone, and no outlines to learn from"),
    "groundTruth/a.mat": ("MATLAB 5.0", "MATLAB's; write the label map in it as PNG"),
    "1st_manual/a_manual1.gif": ("GIF89a", "a_manual1.gif is a picture of a kind that is not read"),
    "train.csv": (
        "ImageId,EncodedPixels,ClassId\na.jpg,3 4,1\n",
        "has masks as run lengths; write",
    ),
}


def folder_with(folder, name, text):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    cv2.imwrite(str(folder / "a.jpg"), np.zeros((40, 60, 3), np.uint8))
    return folder


@pytest.mark.parametrize("name", FILES)
def test_a_tool_is_told_by_its_files(tmp_path, name):
    text, advice = FILES[name]
    with pytest.raises(ValueError, match="no data set that is known here") as error:
        find_format(folder_with(tmp_path, name, text))
    assert str(error.value).startswith(f"{name} ")
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{}"),
        ("a.json", "\udcff\x00"),
        ("a.xml", "<svg/>"),
        ("a.csv", "a,b\n1,2\n"),
        ("a.txt", WEBSITE),
    ],
)
def test_of_other_files_nothing_is_said(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    assert about_tools(tmp_path) == ""


def test_the_first_file_of_a_tool_is_named_behind_others(tmp_path):
    for index in range(60):
        (tmp_path / f"a{index:02}.json").write_text("{}")
    (tmp_path / "b.json").mkdir()
    (tmp_path / "c.json").symlink_to(tmp_path / "nowhere.json")
    assert " project-1.json " in about_tools(folder_with(tmp_path, "project-1.json", TASKS))


def test_only_the_beginning_of_a_file_is_read(tmp_path):
    """Exports of many masks are large, and tell what they are at once."""
    assert about_tools(folder_with(tmp_path, "a.json", " " * 3_000 + TASKS + " " * 10_000_000))
    assert not about_tools(folder_with(tmp_path, "a.json", " " * 10_000 + TASKS))
