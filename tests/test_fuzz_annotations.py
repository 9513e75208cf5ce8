"""Damaged annotations of COCO, labelme, VIA, CVAT and others end in a mask, or in a sentence."""

import base64
import json
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import strategies as st

from hierseg_jax.data.prepare import coco, cvat, labelme, supervisely, via, yolo
from hierseg_jax.data.prepare.classes import find_classes
from hierseg_jax.data.prepare.picture import Wishes
from hierseg_jax.data.prepare.shapes import draw_shapes
from hierseg_jax.system.errors import HiersegError
from tests import annotated_data
from tests.annotated_data import SIZE, SMALL, SQUARE
from tests.fuzzing import COUNTS, as_text, changed, damaged, fuzz, read_or_refused

PATCH = base64.b64encode(cv2.imencode(".png", np.eye(3, dtype=np.uint8))[1].tobytes()).decode()
COCO = annotated_data.coco(
    [
        {"category_id": 1, "segmentation": SQUARE},
        {"category_id": 3, "segmentation": SMALL + SQUARE, "iscrowd": 0, "area": 4.0},
        {"category_id": 3, "segmentation": {"size": [12, 16], "counts": [5, 20, 167]}},
        {
            "category_id": 1,
            "iscrowd": 1,
            "segmentation": {"size": [12, 16], "counts": "j06600LL040L04400n2"},
        },
        {"category_id": 5, "segmentation": []},
    ]
)
LABELME = annotated_data.labelme(
    [
        ("cat", "polygon", [[2, 2], [8, 2.5], [8, 8]]),
        ("dog", "rectangle", [[6, 6], [4, 4]]),
        ("dog", "circle", [[6, 6], [4, 4]]),
        ("_background_", "linestrip", [[0, 0], [3, 4], [16, 12]]),
        ("__ignore__", "point", [[3, 3]]),
        ("cat", "mask", [[1, 1], [3, 3]]),
    ]
)
LABELME["shapes"][-1]["mask"] = PATCH
LABELME["shapes"][0]["holes"] = [[1, 2]]  # no key of labelme's
REGIONS = [
    ({"name": "polygon", "all_points_x": [2, 8, 8], "all_points_y": [2, 2.5, 8]}, {"a": "cat"}),
    ({"name": "rect", "x": 1, "y": 2, "width": 5, "height": 4}, {"a": {"dog": True}}),
    ({"name": "ellipse", "cx": 8, "cy": 6, "rx": 6, "ry": 3, "theta": 1.5}, {"b": "cat"}),
    ({"name": "circle", "cx": 8, "cy": 6, "r": 4}, {}),
    ({"name": "polyline", "all_points_x": [0, 9], "all_points_y": [1, 1]}, {"a": "cat"}),
    ({"name": "point", "cx": 8, "cy": 6}, {"a": "cat", "b": "x"}),
]
VIA = {
    "a.png9": {
        "filename": "a.png",
        "regions": [{"shape_attributes": s, "region_attributes": a} for s, a in REGIONS],
    },
    "b.png9": {"filename": "b.png", "regions": []},
}
VIA_TABLE = "filename,region_shape_attributes,region_attributes\n" + "".join(
    'a.png,"{}","{}"\n'.format(*(json.dumps(each).replace('"', '""') for each in region))
    for region in REGIONS
)
CVAT = b"""<?xml version="1.0"?>
<annotations><version>1.1</version><meta><task><labels><label><name>cat</name></label></labels></task>
</meta><image id="0" name="a.png" subset="train" width="16" height="12">
<polygon label="cat" points="2.5,3;7.1,3;7,9" z_order="1"></polygon>
<box label="dog" xtl="1" ytl="2" xbr="5" ybr="9.5" rotation="30" z_order="0"/>
<ellipse label="dog" cx="4" cy="5" rx="2" ry="3" rotation="10"/>
<mask label="cat" rle="2, 3, 1" left="14" top="11" width="3" height="2"/>
<polyline label="cat" points="0,0;3,4"/><points label="cat" points="1,1"/></image></annotations>"""
SUPERVISELY = {
    "size": {"height": 12, "width": 16},
    "objects": [
        {
            "classTitle": "cat",
            "geometryType": "polygon",
            "points": {
                "exterior": [[2, 2], [8, 2.5], [8, 8]],
                "interior": [[[3, 3], [4, 3], [4, 5]]],
            },
        },
        {
            "classTitle": "dog",
            "geometryType": "bitmap",
            "bitmap": {
                "origin": [3, 4],
                "data": base64.b64encode(zlib.compress(base64.b64decode(PATCH))).decode(),
            },
        },
        {
            "classTitle": "dog",
            "geometryType": "rectangle",
            "points": {"exterior": [[2, 2], [8, 4]], "interior": []},
        },
    ],
}
YOLO = [b"0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0.5 0.5 0.2 0.2\n", b"1 0 0 1 0 1 1 0 1 0.2 0.5\r\n\r\n"]


def read_coco(file):
    document = coco.read_document(file)
    used = document.used
    names = document.categories.values()
    parents = coco.parents_of([document], used, str(file))
    values = find_classes(names, used, str(file), Wishes(), parents).values
    for key in document.images:
        assert coco.draw_image(document, key, values, True, SIZE).shape == SIZE


def read_labelme(file):
    annotation, stored = labelme.read_annotation(file)
    used = {shape.label for shape in annotation.shapes}
    values = find_classes(sorted(used), used, str(file), Wishes()).values
    assert draw_shapes(annotation, values, False, SIZE).shape == SIZE
    if stored:
        labelme.unpack_image(file)


def read_via(file):
    if b"shape_attributes" not in file.read_bytes():
        raise HiersegError(f"{file} is none of VIA's.")
    raw = via.read(file.parent, Wishes())
    for picture in raw.pictures:
        assert picture.draw(SIZE).shape == SIZE


def read_cvat(file):
    if not cvat.found_in(file.parent):
        raise HiersegError(f"{file} is none of CVAT's.")
    annotated_data.save_image(file.parent / "a.png")
    raw = cvat.read(file.parent, Wishes())
    for picture in raw.pictures:
        assert picture.draw(SIZE).shape == SIZE


def read_supervisely(file):
    annotation = supervisely.read_annotation(file, set())
    used = {shape.label for shape in annotation.shapes}
    values = find_classes(sorted(used), used, str(file), Wishes()).values
    assert draw_shapes(annotation, values, False, SIZE).shape == SIZE


def read_yolo(file):
    assert yolo.draw_lines(yolo.read_lines(file, 2), [1, 2], True, SIZE).shape == SIZE


def json_texts(tree):
    return as_text(changed([tree])).map(lambda text: text.encode("utf-8", "surrogatepass"))


WORDS = ["0", "1", "-1", "2", "0.5", "1.01", "1e9", "nan", "inf", "1_0", "1e400", "\u0661", "\n"]
LINES = st.lists(st.sampled_from(WORDS), max_size=30).map(lambda words: " ".join(words).encode())


TARGETS = [
    ("coco", "a.json", read_coco, [json.dumps(COCO).encode()]),
    ("labelme", "a.json", read_labelme, [json.dumps(LABELME).encode()]),
    ("via", "a.json", read_via, [json.dumps(VIA).encode()]),
    ("via table", "a.csv", read_via, [VIA_TABLE.encode()]),
    ("cvat", "a.xml", read_cvat, [CVAT]),
    ("supervisely", "a.json", read_supervisely, [json.dumps(SUPERVISELY).encode()]),
    ("yolo", "a.txt", read_yolo, YOLO),
]
"""Format, name of a file, how it is read, and whole ones."""

ODD = {
    "coco": json_texts(COCO),
    "labelme": json_texts(LABELME),
    "via": json_texts(VIA),
    "via table": damaged([VIA_TABLE.encode()]),
    "cvat": st.tuples(st.sampled_from(WORDS), st.sampled_from(sorted(set(CVAT.split(b'"'))))).map(
        lambda odd: CVAT.replace(odd[1], odd[0].encode())
    ),
    "supervisely": json_texts(SUPERVISELY),
    "yolo": LINES,
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("source", "name", "read", "seeds"), TARGETS, ids=[t[0] for t in TARGETS])
def test_annotations(tmp_path, source, name, read, seeds, count):
    file = tmp_path / name

    def outcome(data):
        file.write_bytes(data)
        return read_or_refused(file, read)

    inputs = st.one_of(damaged(seeds), ODD[source], ODD[source])
    assert fuzz(count, inputs, outcome, whole=seeds)["read"]
