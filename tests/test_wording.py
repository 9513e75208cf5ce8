"""Words for people: tables of any script, and names that were nearly right."""

import pytest

from hierseg_jax.system.wording import aligned, columns, did_you_mean, level_called, padded


@pytest.mark.parametrize(
    ("text", "width"),
    [("torso", 5), ("上半身", 6), ("Straße", 6), ("e\u0301tage", 5), ("ﾊﾝﾄﾞ", 4), ("", 0)],
)
def test_a_terminal_shows_wide_letters_in_two_columns_and_combining_accents_in_none(text, width):
    assert columns(text) == width
    assert padded(text, 9) == text + " " * (9 - width)
    assert padded(text, 9, ">") == " " * (9 - width) + text


def test_cells_of_any_script_stand_below_one_another():
    rows = aligned([("头", "1"), ("torso", "1200"), ("上半身", "30")], "<>")
    assert rows == ["头         1", "torso   1200", "上半身    30"]
    assert {columns(row) for row in rows} == {12}


def test_a_name_that_is_nearly_right_is_proposed_as_it_is_written():
    known = ("Torso", "head", "heads")
    assert did_you_mean("torse", known, "x") == "did you mean Torso?"
    assert did_you_mean("HEAD", known, "x", 2) == "did you mean head or heads?"
    assert did_you_mean("wheel barrow", known, "they are few.") == "they are few."
    assert did_you_mean(7, known, "they are few.") == "they are few."
    assert did_you_mean("torso", (), "there are none.") == "there are none."


def test_a_level_is_called_one_once():
    assert [*map(level_called, ("part", "level_2", "Level"))] == ["level part", "level_2", "Level"]
