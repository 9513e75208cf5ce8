"""The legend of a video: what it names, and that this doesn't come and go with a few pixels."""

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.reports.drawing.legend import SOFT
from hierseg_jax.reports.drawing.painter import Painter
from hierseg_jax.reports.drawing.presence import BEGIN, CLEAR, END, VISIBLE, Presence
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.runtime.web import site
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy

PIXELS = 1_000_000
NOTHING, SPECK, CLEARLY = 0, PIXELS // VISIBLE, PIXELS // CLEAR


def named(frames):
    """Of one class with so many pixels in frame after frame: whether each one names it."""
    presence, seen = Presence.before(1), []
    for count in frames:
        presence = presence.after(np.array([count]), PIXELS)
        seen.append(bool(presence.named_k[0]))
    return seen


def test_what_is_clearly_there_is_named_at_once_and_a_speck_when_it_stays():
    assert named([CLEARLY]) == [True]
    assert named([SPECK - 1] * 5 * BEGIN) == [False] * 5 * BEGIN
    assert named([SPECK] * (BEGIN + 1)) == [False] * (BEGIN - 1) + [True] * 2
    assert not any(named([*[SPECK] * (BEGIN - 1), NOTHING] * 5))


def test_what_was_named_stays_until_it_has_been_gone_for_a_while():
    assert all(named([CLEARLY, *[NOTHING] * (END - 1), SPECK, *[NOTHING] * (END - 1)]))
    assert named([CLEARLY, *[NOTHING] * END])[-2:] == [True, False]


@given(st.lists(st.sampled_from([NOTHING, SPECK, CLEARLY]), max_size=200))
def test_a_name_stays_for_a_while_or_is_of_something_clear(frames):
    seen = named(frames)
    changes = [i for i in range(1, len(seen)) if seen[i] != seen[i - 1]]
    for before, after in itertools.pairwise(changes):
        assert after - before >= (END if seen[before] else 1)
    for i, count in enumerate(frames):
        assert seen[i] or count < CLEARLY


def test_classes_of_a_level_are_told_apart_and_so_are_levels():
    painter = Painter(PASCAL_PERSON_PART.levels, steady=True, legend="corner")
    image_hwc = np.full((400, 400, 3), 100, np.uint8)
    part_hw = np.zeros((400, 400), np.uint8)
    part_hw[:40, :40] = 1
    parts, body = PASCAL_PERSON_PART.levels[-1], PASCAL_PERSON_PART.levels[0]
    first = painter.draw(image_hwc, part_hw, parts)
    part_hw[200, 200:216] = 3  # a speck of another class: the legend stays as it is
    np.testing.assert_array_equal(painter.draw(image_hwc, part_hw, parts)[250:], first[250:])
    for _ in range(BEGIN):
        last = painter.draw(image_hwc, part_hw, parts)
    assert (last[250:] != first[250:]).any()
    painter.draw(image_hwc, np.zeros_like(part_hw), body)
    for _ in range(2):  # what came while another level was drawn is not known of this one
        np.testing.assert_array_equal(
            painter.draw(image_hwc, np.zeros_like(part_hw), parts), image_hwc
        )
    drawn = painter.draw(image_hwc, np.zeros_like(part_hw), body)
    np.testing.assert_array_equal(drawn, image_hwc)  # the other level has seen nothing yet


def test_levels_side_by_side_have_their_names():
    levels = PASCAL_PERSON_PART.levels
    image_hwc = np.full((400, 400, 3), 100, np.uint8)
    part_hw = np.ones((400, 400), np.uint8)
    maps = {level.name: level.leaf_to_class[part_hw].astype(np.uint8) for level in levels}
    painter = Painter(levels, legend="corner")
    together = painter.draw_levels(image_hwc, maps, levels)
    for i, level in enumerate(levels):
        panel = together[:, 400 * i : 400 * (i + 1)]
        alone = painter.draw(image_hwc, maps[level.name], level)
        title = (panel == SOFT[::-1]).all(2).sum()
        assert title > (alone == SOFT[::-1]).all(2).sum(), level.name
    small = {name: map_hw[:40, :40] for name, map_hw in maps.items()}
    tiny = Painter(levels, legend="corner").draw_levels(image_hwc[:40, :40], small, levels)
    assert (tiny[:, 80:] == levels[-1].colors[1][::-1]).all(2).any()  # no room for titles
    nothing = {level.name: np.zeros((400, 400), np.uint8) for level in levels}
    np.testing.assert_array_equal(
        painter.draw_levels(image_hwc, nothing, levels), np.concatenate([image_hwc] * 3, axis=1)
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_page_names_the_same_classes_as_the_runtime(tmp_path):
    rng = np.random.default_rng(0)
    classes = 4
    # Runs of frames, some of them long, so that classes come, stay and go.
    choices, shares = [NOTHING, SPECK - 1, SPECK, CLEARLY - 1, CLEARLY], [0.4, 0.4, 0.1, 0.05, 0.05]
    runs = rng.choice(choices, (100, classes), p=shares)
    counts_fk = np.repeat(runs, rng.choice([1, 5, END - 1, END, 40], len(runs)), axis=0)
    presence, expected = Presence.before(classes), []
    for counts_k in counts_fk:
        presence = presence.after(counts_k, PIXELS)
        expected.append(presence.named_k.tolist())
    for file in Path(site.__file__).with_name("page").glob("*.js"):
        shutil.copy(file, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tree = Hierarchy.from_mapping({"a": [3, {"b": [1]}], "c": [4, 2]})
    model = Metadata("deploy", tree, (32, 32), 4, "mini", "float32", "0").to_json()
    order = tree.levels[-1].in_tree_order
    assert order == (0, 3, 1, 4, 2)
    with_background = [[PIXELS - int(sum(each)), *each.tolist()] for each in counts_fk]
    (tmp_path / "run.js").write_text(
        'import { entries } from "./legend.js";\n'
        f"const [model, frames] = {json.dumps([model, with_background])};\n"
        "const level = model.levels.at(-1);\n"
        "const presence = new Map();\n"
        "const found = frames.map((counts) =>\n"
        "  entries(model, level, counts, presence).map(({ there }) => there));\n"
        "const still = entries(model, level, frames[0], null).map(({ index }) => index);\n"
        "console.log(JSON.stringify({ found, still }));\n"
    )
    done = subprocess.run(
        ["node", "run.js"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    answer = json.loads(done.stdout)
    assert answer["found"] == [[named[i - 1] for i in order if i] for named in expected]
    assert answer["still"] == [i for i in order if i and counts_fk[0][i - 1] >= SPECK]
    assert 0.2 < np.mean(expected) < 0.9
