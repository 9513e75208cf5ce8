"""Names of classes are written in their own letters, and what can't be written is said."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from hierseg_jax.reports.drawing.legend import (
    Entry,
    Layout,
    draw_legend,
    fitted,
    letter_size,
    most_rows,
)
from hierseg_jax.reports.drawing.lettering import PillowLetters
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.settings import Settings
from hierseg_jax.system.fonts import find_fonts, letters_missing, missing_note
from hierseg_jax.train.record import Recorder
from hierseg_jax.train.sample_pictures import draw_samples
from hierseg_jax.tree.hierarchy import Hierarchy

# Of Linear A, which hardly any font has.
UNWRITABLE = "\U00010600"


def none(letter):
    return []


DEJAVU = find_fonts([], none)


def legend_of(names, size=(100, 400)):
    layout = Layout.of("level", names, size[1], letter_size(size), DEJAVU)
    entries = [Entry(name, (255, 0, 0)) for name in names]
    return draw_legend(layout, "level", entries, most_rows(size), DEJAVU)


def written(name):
    """The legend of one class with that name: of its letters what is not paper."""
    strip_hw3 = legend_of([name])
    return strip_hw3 - strip_hw3[0, 0]


@pytest.mark.parametrize("name", ["tête", "Fuß", "рука", "χέρι", "ձեռք", "ხელი", "יד", "يد"])
def test_letters_of_european_and_other_writing_are_drawn(name):
    assert letters_missing(DEJAVU.files[0], name) == ""
    drawn, questions = written(name), written("?" * len(name))
    assert drawn.any()
    assert drawn.shape != questions.shape or (drawn != questions).any()


def test_opencv_writes_what_only_it_has():
    assert letters_missing(DEJAVU.files[0], "頭") == "頭"
    drawn, box = written("頭"), written(UNWRITABLE)
    assert drawn.shape != box.shape or (drawn != box).any()


def test_letters_that_nothing_has_are_named_once(tmp_path, capsys):
    tree = Hierarchy.from_mapping([1, 2], ["background", UNWRITABLE, f"a {UNWRITABLE}"])
    fonts = find_fonts(tree.class_names, none)
    assert fonts.missing == UNWRITABLE
    assert f"has the letters {UNWRITABLE} of" in missing_note(fonts.missing)
    assert missing_note(find_fonts(["рука"], none).missing) == ""
    if find_fonts(tree.class_names).missing:  # no font of this machine has it
        assert UNWRITABLE in Painter(tree.levels).note
        Recorder(tmp_path, Settings(tensorboard=False), tree, 0)
        assert capsys.readouterr().err.count(UNWRITABLE) == 1


def test_a_font_of_the_system_is_taken_for_what_dejavu_lacks(tmp_path):
    stix = DEJAVU.files[0].with_name("STIXGeneral.ttf")  # another font of matplotlib's
    asked = []

    def search(letter):
        asked.append(letter)
        return [Path("/nonexistent/Regular.ttf"), stix] if letter == "ᶄ" else []

    fonts = find_fonts(["ᶄᶊa", UNWRITABLE, "рука"], search)
    assert asked == ["ᶄ", UNWRITABLE]  # ᶊ came with the first
    assert fonts.files == (DEJAVU.files[0], stix)
    assert fonts.missing == UNWRITABLE
    assert fonts.file_for("ᶄ") == stix
    assert fonts.file_for("рука") == fonts.file_for("") == DEJAVU.files[0]


def test_few_questions_are_asked_however_many_letters_there_are():
    asked = []
    letters = "".join(chr(0x4E00 + i) for i in range(99))
    assert find_fonts([letters], lambda letter: asked.append(letter) or []).missing == letters
    assert len(asked) < 10


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (384, 259), (2000, 3000)])
def test_a_legend_is_as_wide_as_its_picture_and_lower_at_any_size(size):
    names = [f"a name that is much too long for any picture there is, {i}" for i in range(30)]
    height, width = legend_of(names, size).shape[:2]
    assert width == size[1]
    assert height <= max(0.6 * size[0], 28)  # a line can't be lower


def test_names_that_are_too_long_end_in_an_ellipsis():
    letters = PillowLetters(DEJAVU.files[0], 20)
    assert fitted("torso", letters, 1000) == "torso"
    cut = fitted("torso and legs", letters, 80)
    assert cut.endswith("…")
    assert letters.width(cut) <= 80
    assert cut[:-1] in "torso and legs"
    assert fitted("torso", letters, 0) == "…"


def test_a_painter_draws_every_picture_as_if_it_were_the_first():
    levels = Hierarchy.from_mapping(
        {"körper": [1, 2]}, ["background", "рука", "нога"], ["a", "b"]
    ).levels
    painter = Painter(levels)
    rng = np.random.default_rng(0)
    for size in ((60, 80), (60, 80), (90, 70), (60, 80)):
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        for level in levels:
            labels = rng.integers(0, level.num_classes, size).astype(np.uint8)
            drawn = painter.draw(image, labels, level)
            np.testing.assert_array_equal(drawn, Painter([level]).draw(image, labels, level))


def test_samples_with_any_letters_are_drawn_without_warnings(tmp_path):
    tree = Hierarchy.from_mapping([1, 2], ["background", f"頭 {UNWRITABLE}", "рука"], ["$a_b$"])
    samples = {
        "image": np.zeros((1, 16, 16, 3), np.uint8),
        "label": np.ones((1, 16, 16), np.uint8),
        "prediction": np.ones((1, 16, 16), np.uint8),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_samples(samples, tree, tmp_path / "samples.png")
    assert cv2.imread(str(tmp_path / "samples.png")) is not None
