"""Masks with palettes: read by their numbers, unless these are of one file alone."""

import numpy as np
import pytest

from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.annotated_data import SIZE, labels_of, save_image, save_mask
from tests.raw_data import fault
from tests.test_folder import png

BLACK, RED, GREEN, BLUE = 0x000000, 0xFF0000, 0x00FF00, 0x0000FF


def save_palette(file, numbers_hw, *colours):
    file.parent.mkdir(parents=True, exist_ok=True)
    palette = b"".join(colour.to_bytes(3) for colour in colours)
    file.write_bytes(png(numbers_hw, 8, 3, palette))


def stripes(*values):
    """uint8 [H, W], of a stripe for each value."""
    at = np.linspace(0, len(values), SIZE[1], endpoint=False).astype(int)
    return np.repeat(np.array(values, np.uint8)[at][None], SIZE[0], 0)


def save_renumbered(raw):
    """As an optimizer of PNGs leaves them: the numbers of what a file has, from 0 on."""
    for i in range(6):
        save_image(raw / f"{i}.jpg")
        if i % 2:
            save_palette(raw / f"{i}_mask.png", stripes(0, 1), BLACK, BLUE)
        else:
            save_palette(raw / f"{i}_mask.png", stripes(0, 1, 2), BLACK, RED, BLUE)


def classes_of_all(spec):
    """Names of the classes of each picture of training."""
    names = spec.hierarchy.class_names
    return [{names[v] for v in np.unique(label)} for label in labels_of(spec, "train").values()]


def test_numbers_that_mean_another_colour_in_every_file_are_read_by_their_colours(tmp_path):
    save_renumbered(tmp_path / "raw")
    done = prepare(tmp_path / "raw", tmp_path / "out", val_share=0)
    assert set(done.spec.hierarchy.class_names) == {"background", "colour_FF0000", "colour_0000FF"}
    shown = classes_of_all(done.spec)
    assert sorted(map(len, shown)) == [2, 2, 2, 3, 3, 3]
    assert all("colour_0000FF" in names for names in shown)
    (note,) = [note for note in done.notes if "palettes that differ" in note]
    assert f"#0000FF is number 2 in {tmp_path / 'raw/0_mask.png'} and 1 in" in note


def test_a_tree_without_colours_is_no_help_there(tmp_path):
    save_renumbered(tmp_path / "raw")
    tree = Hierarchy.from_mapping(["cat", "dog"], ["background", "cat", "dog"])
    sentence = fault(tmp_path / "raw", tmp_path / "out", hierarchy=tree)
    assert "The palettes differ, so that numbers are no classes" in sentence
    assert '`labels: {"#000000": NAME, "#0000FF": NAME, "#FF0000": NAME}`' in sentence
    (tmp_path / "raw/classes.txt").write_text("background\ncat\ndog\n")
    assert "The palettes differ" in fault(tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize("second", [(BLACK, RED, BLUE), (BLACK, GREEN, 0x808080)])
def test_palettes_that_number_alike_are_read_by_their_numbers(tmp_path, second):
    """Equal ones, or those of two tools that show the same numbers in their own colours."""
    for i in range(6):
        save_image(tmp_path / f"raw/{i}.jpg")
        colours = second if i % 2 else (BLACK, RED, BLUE)
        save_palette(tmp_path / f"raw/{i}_mask.png", stripes(0, 1, 2), *colours)
    done = prepare(tmp_path / "raw", tmp_path / "out")
    assert done.spec.hierarchy.class_names == ("background", "class_1", "class_2")


def test_masks_of_colours_and_of_palettes_are_read_by_their_colours(tmp_path):
    raw = tmp_path / "raw"
    for i in range(6):
        save_image(raw / f"{i}.jpg")
    for i in range(3):
        save_palette(raw / f"{i}_mask.png", stripes(0, 1, 2), BLACK, RED, BLUE)
    bgr_of = {0: (0, 0, 0), 1: (0, 0, 255), 2: (255, 0, 0)}
    bgr = np.array([bgr_of[v] for v in stripes(0, 1, 2).ravel()], np.uint8).reshape(*SIZE, 3)
    for i in (3, 4):
        save_mask(raw / f"{i}_mask.png", bgr)
    save_mask(raw / "5_mask.png", np.zeros(SIZE, np.uint8))  # nothing there, and so without colours
    done = prepare(raw, tmp_path / "out", val_share=0)
    assert set(done.spec.hierarchy.class_names) == {"background", "colour_FF0000", "colour_0000FF"}
    assert sorted(map(len, classes_of_all(done.spec))) == [1, 3, 3, 3, 3, 3]
    assert any(
        note.startswith("Of 6 masks 4 with a palette or nothing but black") for note in done.notes
    )


@pytest.mark.parametrize(
    ("numbers", "colours"),
    [
        ((0, 1), (BLACK, BLUE, RED)),  # more colours than the file has
        ((0, 2), (BLACK, 0x808080, RED)),  # a number is passed over
        ((0, 1, 2), (BLACK, BLUE, BLUE)),  # two numbers of one colour
    ],
)
def test_colours_that_a_tool_chose_for_numbers_say_nothing(tmp_path, numbers, colours):
    """No optimizer leaves such palettes; that of half of the files differs from the others'."""
    for i in range(6):
        save_image(tmp_path / f"raw/{i}.jpg")
        if i % 2:
            save_palette(tmp_path / f"raw/{i}_mask.png", stripes(*numbers), *colours)
        else:
            save_palette(tmp_path / f"raw/{i}_mask.png", stripes(0, 1, 2), BLACK, RED, BLUE)
    done = prepare(tmp_path / "raw", tmp_path / "out")
    assert done.spec.hierarchy.class_names == ("background", "class_1", "class_2")


def test_palettes_beside_greys_or_of_other_colours_are_no_mixture_of_one_kind(tmp_path):
    raw = tmp_path / "raw"
    for i in range(6):
        save_image(raw / f"{i}.jpg")
        save_palette(raw / f"{i}_mask.png", stripes(0, 1, 2), BLACK, RED, BLUE)
    as_numbers = np.repeat(stripes(0, 1, 2)[..., None], 3, 2)
    as_numbers[0, 0] = (0, 0, 1)
    save_mask(raw / "5_mask.png", as_numbers)
    assert "one holds colours and the other numbers" in fault(raw, tmp_path / "out")
    save_renumbered(raw)
    save_mask(raw / "5_mask.png", stripes(0, 1, 2))
    assert "class_1" in prepare(raw, tmp_path / "out").spec.hierarchy.class_names
