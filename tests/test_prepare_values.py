"""What a --hierarchy file says of the values of masks holds for those that stay as they are."""

import numpy as np
import pytest

from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.spec import load_spec
from tests.annotated_data import SIZE, make_cityscapes, make_coco, save_image, save_mask
from tests.raw_data import fault, run_prepare

COLOURS = {0: (0, 0, 0), 1: (0, 0, 255), 7: (9, 9, 9)}  # BGR


@pytest.mark.parametrize("coloured", [False, True])
def test_ignored_values_and_colours_of_masks_are_those_of_the_tree_file(tmp_path, coloured):
    mask = np.zeros(SIZE, np.uint8)
    mask[2:8], mask[10:] = 1, 7
    stored = np.array([COLOURS.get(v, (0, 0, 0)) for v in range(8)], np.uint8)[mask]
    save_image(tmp_path / "raw/JPEGImages/a.png")
    save_mask(tmp_path / "raw/SegmentationClass/a.png", stored if coloured else mask)
    tree = tmp_path / "tree.yaml"
    named = 'labels: {"#000000": background, "#FF0000": cat}\nunknown: ignore\n'
    tree.write_text("names: [background, cat]\n" + (named if coloured else "ignore: [7]\n"))
    flags = (f"--raw_dir={tmp_path / 'raw'}", f"--out_dir={tmp_path / 'out'}", "--val_share=0")
    done = run_prepare(*flags, f"--hierarchy={tree}")
    assert done.returncode == 0, done.stderr
    spec = load_spec(tmp_path / "out/data.yaml")
    label = FolderSource(spec.layout("train"), 2, spec.values)[0]["label"]
    np.testing.assert_array_equal(label, np.where(mask == 7, 255, mask))


@pytest.mark.parametrize("make", [make_coco, make_cityscapes])
def test_masks_of_named_classes_take_no_values(tmp_path, make):
    said = {"ignored": (7,)}
    message = fault(make(tmp_path), tmp_path / "out", **said)
    assert "`ignore` is for masks that stay as they are" in message
