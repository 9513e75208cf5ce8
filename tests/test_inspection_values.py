"""What values of masks tell the doctor: how they are numbered, ignored, compressed; what to write.

The lines that it says to write are written, and nothing is wrong any more.
"""

import re

import cv2
import numpy as np
import pytest
import yaml

from hierseg_jax.data.inspection.blur import as_bytes, find_blur
from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.inspection.value_findings import check_values
from hierseg_jax.data.read.spec import load_spec
from tests.inspection_data import label, write_pair

FOLDERS = "train: train/images\nval: val/images\n"
KINDS = {
    "untrained_class",
    "missing_class",
    "shifted_labels",
    "mostly_ignored",
    "blurred_mask",
    "unknown_labels",
}


def write(root, change, text, suffix=".npy"):
    """Pictures with masks of 0 to 3, and 255, changed."""
    for seed, split in enumerate(("train", "train", "val", "val")):
        stem = f"{split}{seed}"
        write_pair(root, split, stem, seed, label_hw=change(label()))
        if suffix != ".npy":
            file = root / split / "masks" / f"{stem}.npy"
            cv2.imwrite(str(file.with_suffix(suffix)), np.load(file))
            file.unlink()
    (root / "data.yaml").write_text(FOLDERS + text)
    return root / "data.yaml"


def found(file):
    return [f for f in inspect_dataset(load_spec(file)).findings if f.kind in KINDS]


def as_drawn(mask):
    return np.uint8(255) * np.uint8(mask == 2)


def without_first(mask):
    return np.where((mask == 0) | (mask == 255), 255, mask - np.uint8(1))


def with_much_ignored(mask):
    return np.where(mask < 3, 7, mask).astype(np.uint8)


def told(findings, kind):
    (finding,) = [f for f in findings if f.kind == kind]
    assert re.search(r"train/masks/train0\.npy", finding.message)
    return finding.message


@pytest.mark.parametrize(
    ("text", "change", "kind", "line"),
    [
        ("names: [bg, person]", as_drawn, "untrained_class", "{0: bg, 255: person}"),
        ("names: [cat, 'yes']", as_drawn, "untrained_class", "{0: cat, 255: 'yes'}"),
        (
            "names: [bg, a, b, c]",
            lambda mask: mask + np.uint8(mask < 4),
            "shifted_labels",
            "{1: bg, 2: a, 3: b, 4: c}",
        ),
        (
            "names: [a, b, c]",
            lambda mask: np.where(mask == 0, 255, mask).astype(np.int32) - 256 * (mask == 0),
            "shifted_labels",
            "{1: a, 2: b, 3: c}",
        ),
        (
            "names: [bg, a, b, c]",
            lambda mask: np.where(mask < 4, 80 * mask, mask).astype(np.uint8),
            "shifted_labels",
            "{0: bg, 80: a, 160: b, 240: c}",
        ),
        ("names: [a, b, c]", label, "shifted_labels", "{0: ignore, 1: a, 2: b, 3: c}"),
        (
            "names: [bg, a, b, c]",
            without_first,
            "shifted_labels",
            "{0: a, 1: b, 2: c, 255: bg}",
        ),
    ],
)
def test_the_line_that_is_told_mends_the_data(tmp_path, text, change, kind, line):
    change = (lambda mask: mask) if change is label else change
    file = write(tmp_path, change, text)
    assert f"write `labels: {line}` in data.yaml" in told(found(file), kind)
    file.write_text(f"{FOLDERS}{text}\nlabels: {line}")
    assert found(file) == []


def test_many_classes_are_not_all_written_out(tmp_path):
    names = [f"class {i}" for i in range(1, 151)]
    file = write(
        tmp_path, lambda mask: mask + np.uint8(147) * (mask < 4), yaml.safe_dump({"names": names})
    )
    message = told(found(file), "shifted_labels")
    assert "`labels: {1: class 1, 2: class 2, ..., 150: class 150}` in data.yaml" in message


@pytest.mark.parametrize(
    ("text", "change"),
    [
        # A last class that is rare, a background that is nowhere, and values that have names.
        ("names: [bg, a, b, c, d]", lambda mask: mask),
        ("names: [bg, a, b, c, d]", lambda mask: mask + np.uint8(mask < 4)),
        ("labels: {0: bg, 1: a, 2: b, 3: c, 255: d}", lambda mask: mask),
        ("names: [bg, a, b, c]", lambda mask: np.where(mask == 3, 9, mask).astype(np.uint8)),
        ("labels: {0: bg, 255: a}", as_drawn),
        ("names: [bg, a]\nignore: [255]", as_drawn),
    ],
)
def test_what_may_be_meant_is_not_called_shifted(tmp_path, text, change):
    findings = found(write(tmp_path, change, text))
    assert not [f for f in findings if f.kind in ("shifted_labels", "mostly_ignored")]
    assert not [f for f in findings if "write `labels" in f.message]


def test_a_stray_value_in_one_mask_of_many_is_no_class(tmp_path):
    file = write(
        tmp_path, lambda mask: np.uint8(255) * (mask == 2).astype(np.uint8), "names: [a, b]"
    )
    mask = next((tmp_path / "train/masks").iterdir())
    np.save(mask, np.where(np.load(mask) == 255, 7, 0).astype(np.uint8))
    assert not [f for f in found(file) if f.kind == "shifted_labels"]


def test_one_mask_out_of_range_among_many_is_its_own_fault(tmp_path):
    file = write(tmp_path, lambda mask: np.minimum(mask, 2), "names: [a, b, c]")
    np.save(tmp_path / "train/masks/train0.npy", label())
    assert {f.kind for f in found(file)} == {"unknown_labels"}


@pytest.mark.parametrize(
    ("text", "suffix", "name"),
    [
        (
            "names: [a, b, c, d]\nignore: [7, 1]",
            ".npy",
            "`labels: {0: a, 1: b, 2: c, 3: d, 7: NAME}`",
        ),
        ("labels: {2: c, 3: d, 7: ignore, 1: ignore}", ".npy", "`7: NAME` in the `labels`"),
        (
            "labels: {'#020202': c, '#030303': d}\nunknown: ignore",
            ".png",
            "most of them hold '#070707'. If that is a class, or what the classes leave, write "
            "`'#070707': NAME` in the `labels`",
        ),
    ],
)
def test_a_split_that_is_mostly_ignored_is_told_with_the_value(tmp_path, text, suffix, name):
    file = write(tmp_path, with_much_ignored, text, suffix)
    of_splits = [f for f in found(file) if f.kind == "mostly_ignored"]
    assert [f.split for f in of_splits] == ["train", "val"]
    assert name in of_splits[0].message
    assert f"are ignored, 75% in train/masks/train0{suffix}" in of_splits[0].message


def test_ignored_numbers_that_can_have_no_name_are_to_be_stored_otherwise(tmp_path):
    file = write(
        tmp_path, lambda mask: np.where(mask < 3, -1, mask.astype(np.int16)), "names: [a, b, c, d]"
    )
    first, _ = [f for f in found(file) if f.kind == "mostly_ignored"]
    assert "most of them hold -1. If" in first.message
    assert "store it as a number from 0 to 255" in first.message


def regions(values):
    """Discs before quarters: uint8 [180, 240] with an index of `values` each."""
    index_hw = np.zeros((180, 240), np.uint8)
    index_hw[90:, 105:] = 1
    cv2.circle(index_hw, (90, 75), 52, 2, -1)
    cv2.circle(index_hw, (165, 120), 37, 3, -1)
    return np.asarray(values, np.uint8)[index_hw]


def jpeg(mask):
    return cv2.imdecode(cv2.imencode(".jpg", mask)[1], cv2.IMREAD_UNCHANGED)


def smaller(interpolation):
    return lambda mask: cv2.resize(mask, None, fx=0.7, fy=0.7, interpolation=interpolation)


@pytest.mark.parametrize("values", [(0, 3, 6, 9), (0, 255, 0, 255), (0, 60, 120, 20)])
@pytest.mark.parametrize("colours", [False, True])
def test_compressed_and_interpolated_masks_are_found_and_no_others(values, colours):
    mask = regions(values)
    mask = np.dstack([mask, mask[::-1], mask[:, ::-1]]) if colours else mask

    def blur(changed):
        if colours:
            rgb = changed.astype(np.int32)
            changed = (rgb[..., 0] << 16) + (rgb[..., 1] << 8) + rgb[..., 2]
        return find_blur(as_bytes(changed, colours=colours))

    assert blur(mask) is None
    assert blur(smaller(cv2.INTER_NEAREST)(mask)) is None
    for spoil in (jpeg, smaller(cv2.INTER_LINEAR), smaller(cv2.INTER_AREA)):
        count, share = blur(spoil(mask))
        assert count >= 50
        assert share >= 1 / 8


def test_a_compressed_mask_with_values_out_of_range_is_told_of_both(tmp_path):
    file = write(tmp_path, lambda mask: mask, "names: [a, b, c, d]")
    write_pair(tmp_path, "train", "train0", 0, (180, 240), jpeg(regions((0, 3, 0, 3))))
    assert {f.kind for f in found(file) if f.file == "train/masks/train0.npy"} == {
        "unknown_labels",
        "blurred_mask",
    }


def test_a_data_set_without_files_has_no_values(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [a, b]")
    assert check_values(load_spec(tmp_path / "data.yaml"), ()) == []
