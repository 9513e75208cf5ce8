"""Masks of colours, and values that are not counted."""

import cv2
import numpy as np
import pytest
from hypothesis import strategies as st

from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.mask_colours import named_colours
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.data.read.value_names import parse_ignored, parse_labels
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.fuzzing import COUNTS, fuzz
from tests.test_folder import png

TREE = "train: images\nnames: [background, road, car]\nhierarchy: {all: [road, car]}\n"
LABELS = 'labels: {"#000000": background, "#804080": road, "#40C000": car, "#4080c0": car}\n'
HIERARCHY = Hierarchy.from_mapping({"all": ["road", "car"]}, ["background", "road", "car"])
# Four named colours, and the white of borders.
COLOURS = [0x000000, 0x804080, 0x40C000, 0x4080C0, 0xE0E0C0]
EXPECTED = [0, 1, 2, 2, 255]


def rgb(colours):
    """Stripes, uint8 [4, 2 * n, 3]."""
    line = [(c >> 16, c >> 8 & 255, c & 255) for c in colours for _ in range(2)]
    return np.array([line] * 4, np.uint8)


def data(root, text, mask, name="a.png", image=None):
    """A source of one example, whose mask is an array, RGB or not, or the bytes of a file."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(exist_ok=True)
    file = root / "masks" / name
    if isinstance(mask, bytes):
        file.write_bytes(mask)
        size = image
    else:
        size = mask.shape[:2]
        if name.endswith(".npy"):
            np.save(file, mask)
        else:
            assert cv2.imwrite(str(file), mask[..., ::-1] if mask.ndim == 3 else mask)
    cv2.imwrite(str(root / "images/a.png"), np.zeros((*size, 3), np.uint8))
    (root / "data.yaml").write_text(TREE + text)
    spec = load_spec(root / "data.yaml")
    return FolderSource(spec.layout("train"), 3, spec.values)


def sentence_of(source):
    with pytest.raises(HiersegError) as error:
        source.label(0)
    assert str(error.value).startswith(str(source.mask_file(0)))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_colours_are_read_by_their_names(tmp_path, name):
    source = data(tmp_path, LABELS, rgb(COLOURS), name)
    assert source[0]["label"][0].tolist() == np.repeat(EXPECTED, 2).tolist()
    assert source[0]["label"].dtype == np.uint8
    spec = load_spec(tmp_path / "data.yaml")
    assert spec.labels[-1] == ("#804080", "road")
    write_spec(spec)
    assert load_spec(spec.file) == spec
    inspection = inspect_dataset(spec)
    assert inspection.usable("train")[0].counts_l.tolist() == [8, 8, 16, 8]


def test_a_palette_is_read_by_its_colours_where_colours_have_names(tmp_path):
    palette = b"".join(colour.to_bytes(3) for colour in COLOURS)
    mask = png(np.array([[0, 1, 2, 3, 4]]), 4, 3, palette)
    source = data(tmp_path, LABELS, mask, image=(1, 5))
    assert source.label(0)[0].tolist() == EXPECTED


def test_the_border_of_voc_may_have_a_name(tmp_path):
    source = data(tmp_path, LABELS.replace("#000000", "#E0E0C0"), rgb([0xE0E0C0, 0x804080]))
    assert source.label(0)[0].tolist() == [0, 0, 1, 1]


def test_colours_without_names_are_listed_with_what_to_write(tmp_path):
    # At first the data.yaml says nothing of colours.
    sentence = sentence_of(data(tmp_path, "", rgb(COLOURS)))
    assert "is a colour PNG (RGB); " in sentence
    line = sentence[sentence.index("`labels") + 1 : sentence.rindex("`")] + "\n"
    for name in ("background", "car", "car", "road", "ignore"):
        line = line.replace("NAME", name, 1)
    read = data(tmp_path, line, rgb(COLOURS)).label(0)[0]
    assert read.tolist() == np.repeat(EXPECTED, 2).tolist()
    indices = rgb([0, 0x010101, 0x020202])
    assert "of three equal channels; " in sentence_of(data(tmp_path, "", indices))
    odd = rgb([*COLOURS, 0x010203, 0x000001])
    source = data(tmp_path, LABELS, odd)
    sentence = sentence_of(source)
    assert "holds 2 colours without a name in `labels`: #000001, #010203 (" in sentence
    assert "write `unknown: ignore`" in sentence
    found = inspect_dataset(load_spec(tmp_path / "data.yaml")).findings
    assert [f.file for f in found if f.kind == "unknown_labels"] == ["masks/a.png"]
    source = data(tmp_path, LABELS + "unknown: ignore\n", odd)
    assert source.label(0)[0].tolist() == np.repeat([*EXPECTED, 255, 255], 2).tolist()
    source = data(tmp_path, LABELS + 'ignore: ["#010203", "#000001"]\n', odd)
    assert source.label(0)[0].tolist() == np.repeat([*EXPECTED, 255, 255], 2).tolist()
    assert next(iter(source.inventory()))[0].startswith("labels: #000000 background, #4080C0 car")


@pytest.mark.parametrize(
    ("text", "mask", "expected"),
    [
        ("", np.array([[-1, 0, 2, 255]], np.int32), [255, 0, 2, 255]),
        ("", np.array([[-1, 0, 2, 1]], np.int8), [255, 0, 2, 1]),
        ("", np.array([[-1, 0, 2, 1]], np.float32), [255, 0, 2, 1]),
        ("ignore: [65535, 7]", np.array([[7, 0, 65535, 1]], np.uint16), [255, 0, 255, 1]),
        ("ignore: 0", np.array([[7, 0, 2]]), None),
        ("ignore: 0", np.array([[0, 1, 2]], np.uint8), [255, 1, 2]),
        ("unknown: ignore", np.array([[3, 2, 300, -7]]), [255, 2, 255, 255]),
        ("ignore: [9]\nlabels: {0: background, 5: car, 255: road}", np.array([[0, 5, 9, 255, -1]]),
         [0, 2, 255, 1, 255]),
        ("unknown: ignore\nlabels: {5: car}", np.array([[0, 5]], np.uint8), [255, 2]),
    ],
)  # fmt: skip
def test_values_that_are_not_counted(tmp_path, text, mask, expected):
    source = data(tmp_path, text, mask, "a.npy")
    if expected is None:
        assert "holds the labels 7; the tree has the classes 0 to 2" in sentence_of(source)
        return
    assert source.label(0)[0].tolist() == expected
    spec = load_spec(tmp_path / "data.yaml")
    write_spec(spec)
    assert load_spec(spec.file) == spec
    told = [name for name, size in source.inventory() if not size]
    assert len(told) == len([line for line in text.split("\n") if line])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('labels: {"#12345": road}', "'#12345' is no value of a mask; these are whole numbers"),
        ('labels: {"#1234GG": road}', "or colours such as '#80FF00'"),
        ('labels: {"#123456": road, 7: car}', "values are numbers or colours; here are both"),
        ('labels: {"#aa0000": road, "#AA0000": car}', "a colour stands twice"),
        ('labels: {"#aa0000": raod}', "did you mean road?"),
        ("ignore: [x]", "ignore: 'x' is no value of a mask; expected a list of whole numbers"),
        ("ignore: [1.5]", "ignore: 1.5 is no value"),
        ("ignore: [yes]", "ignore: True is no value"),
        ("ignore: ['#AA0000']", "masks of colours need a name for every colour, in `labels`"),
        ("labels: {7: road}\nignore: ['#AA0000']", "ignore: values are numbers or colours"),
        ("labels: {7: road}\nignore: [7]", "ignore: 7 is called 'road' in `labels`; leave it out"),
        ("unknown: road", "unknown: 'road' is nothing that can be done"),
    ],
)
def test_bad_colours_end_in_one_sentence(tmp_path, text, sentence):
    (tmp_path / "data.yaml").write_text(TREE + text)
    with pytest.raises(HiersegError) as error:
        load_spec(tmp_path / "data.yaml")
    assert sentence in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/data.yaml: ")
    assert "\n" not in str(error.value)


hexadecimal = st.integers(0, 0xFFFFFF).map("#{:06X}".format)
keys = st.one_of(
    hexadecimal,
    hexadecimal.map(str.lower),
    st.integers(-2, 300),
    st.text("#0123456789abcdefXG", max_size=8),
    st.none() | st.booleans() | st.floats(),
)
names = st.sampled_from(["background", "road", "car", "all", "ignore"]) | st.text(max_size=3)
tables = st.one_of(
    st.dictionaries(hexadecimal, st.sampled_from(["background", "road", "car", "ignore"])),
    st.dictionaries(keys, names | st.none() | st.integers(), max_size=4),
)


@pytest.mark.parametrize("count", COUNTS)
def test_colour_tables(count):
    def outcome(case):
        table, ignored = case
        try:
            labels = parse_labels(table, HIERARCHY)
            skipped = parse_ignored(ignored, labels)
        except HiersegError as error:
            sentence = str(error)
            whole = sentence.startswith(("labels: ", "ignore: ")) and sentence.isprintable()
            return "refused" if whole else sentence
        if not labels or not isinstance(labels[0][0], str):
            return "numbers"
        values = named_colours(labels, HIERARCHY, skipped, skips_unknown=True)
        colours = np.array([[int(colour[1:], 16) for colour, _ in labels]], np.int32)
        own = [255 if n == "ignore" else HIERARCHY.class_names.index(n) if n != "all" else None
               for _, n in labels]  # fmt: skip
        found = values.labels(colours, "a.png")[0].tolist()
        assert all(a == b for a, b in zip(found, own, strict=True) if b is not None)
        return "read"

    lists = st.none() | st.lists(keys, max_size=3)
    whole = [({"#AA0000": "road", "#000000": "background"}, ["#0000BB"])]
    ends = fuzz(count, st.tuples(tables, lists), outcome, whole=whole)
    assert ends["read"]
    assert ends.keys() <= {"read", "refused", "numbers"}
