"""Colours follow the tree, all eyes tell them apart, and users may choose their own."""

import functools
import itertools
import json
import pathlib

import numpy as np
import pytest

from hierseg_jax.data.read.common_tree import load_hierarchy
from hierseg_jax.data.read.spec import load_spec, read_tree_file
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.settings.building import check_tree_of_data
from hierseg_jax.settings.data_section import DataSettings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.colors import parse_colors, tree_colors
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Group, Hierarchy

TREES = pathlib.Path(__file__).parents[1] / "configs"
CLOTHES = Hierarchy.from_mapping(
    {"person": {"body": [1, 6], "clothing": [2, 3, 4], "things": [5]}},
    ["background", "head", "upper", "lower", "footwear", "carried", "skin"],
)
GRID = Hierarchy.from_mapping(
    {
        f"g{i}": {f"h{j}": [*range(3 * j, 3 * j + 3)] for j in range(3 * i, 3 * i + 3)}
        for i in range(5)
    }
)
CAR = Hierarchy.from_mapping(
    {
        "car": {
            "front": {"front_body": [1, 2], "front_window": [3], "front_lights": [4, 5]},
            "back": {"back_body": [6, 7, 8], "back_window": [9], "back_lights": [10, 11]},
            "side": {"doors": [12, 13, 14, 15], "mirrors": [16, 17], "wheels": [18]},
        }
    }
)
# How far two siblings, a node and its parent, and two of a level lie apart at least, in OKLab,
# where black and white are 1 apart and 0.02 is just noticed side by side.
CASES = {
    "person part": (PASCAL_PERSON_PART, 0.1, 0.1, 0.06),
    "clothes": (CLOTHES, 0.1, 0.1, 0.05),
    "five levels": (
        read_tree_file(TREES / "figures_5_levels.yaml", PASCAL_PERSON_PART.class_names),
        *(0.1, 0.1, 0.05),
    ),
    "cityscapes": (read_tree_file(TREES / "trees/cityscapes.yaml"), 0.08, 0.08, 0.04),
    "one class": (Hierarchy.from_mapping([1]), 0.1, 0.1, 0.1),
    "seven classes": (Hierarchy.from_mapping([*range(1, 8)]), 0.1, 0.1, 0.1),
    "twenty classes": (Hierarchy.from_mapping([*range(20)]), 0.055, 0.055, 0.055),
    "45 classes in 15 groups": (GRID, 0.035, 0.035, 0.025),
    "ADE20K": (read_tree_file(TREES / "trees/ade20k.yaml"), 0.01, 0.01, 0.01),
    "parts of cars": (CAR, 0.06, 0.06, 0.045),
}
# Machado, Oliveira, Fernandes (2009), table of severity 1.0, of linear RGB.
EYES = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def oklab(rgb, eyes="normal"):
    """Ottosson (2020), in two steps from linear sRGB, of a colour as some eyes see it."""
    value = np.array(rgb) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    red, green, blue = np.clip(np.array(EYES[eyes]) @ linear, 0, 1)
    long = np.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    middle = np.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = np.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return np.array(
        [
            0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
            1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
            0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
        ]
    )


@functools.cache
def colors_of(case):
    return tree_colors(CASES[case][0].children, CASES[case][0].class_names)


def families(children, names, parent=None):
    """Every parent's name with its children's."""
    yield parent, [child.name if isinstance(child, Group) else names[child] for child in children]
    for child in children:
        if isinstance(child, Group):
            yield from families(child.children, names, child.name)


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("case", CASES)
def test_siblings_and_parents_are_told_apart_by_all_eyes(case, eyes):
    tree, of_siblings, of_parents, _ = CASES[case]
    colors = colors_of(case)
    seen = {name: oklab(color, eyes) for name, color in colors.items()}
    for parent, names in families(tree.children, tree.class_names):
        pairs = [seen[one] - seen[other] for one, other in itertools.combinations(names, 2)]
        assert not pairs or np.linalg.norm(pairs, axis=1).min() > of_siblings
        for name in names:
            if parent not in (None, name):
                assert np.linalg.norm(seen[name] - seen[parent]) > of_parents, (name, parent)


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("case", CASES)
def test_what_a_picture_shows_of_a_level_is_told_apart_by_all_eyes(case, eyes):
    tree, *_, of_level = CASES[case]
    seen = {name: oklab(color, eyes) for name, color in colors_of(case).items()}
    for level in tree.levels:
        shown = [seen[name] for name in level.class_names if name in seen]
        pairs = [one - other for one, other in itertools.combinations(shown, 2)]
        assert not pairs or np.linalg.norm(pairs, axis=1).min() > of_level


@pytest.mark.parametrize("case", CASES)
def test_every_colour_is_bright_and_no_two_nodes_share_one(case):
    tree = CASES[case][0]
    colors = colors_of(case)
    assert set(colors) == {*tree.node_names} - {*tree.class_names[: tree.foreground.start]}
    assert len(set(colors.values())) == len(colors)
    for lightness, a, b in map(oklab, colors.values()):
        assert 0.48 < lightness < 0.95
        assert np.hypot(a, b) > 0.09


def hue(rgb):
    _, a, b = oklab(rgb)
    return np.degrees(np.arctan2(b, a))


@pytest.mark.parametrize("case", ["person part", "clothes", "cityscapes"])
def test_what_lies_in_a_group_has_a_hue_like_its(case):
    tree = CASES[case][0]
    colors = colors_of(case)
    for parent, names in families(tree.children, tree.class_names):
        # A group alone with itself, as a whole person, leaves all hues to what it holds.
        if parent in (None, "body", "person") and len(tree.children) == 1:
            continue
        for name in names if parent else ():
            assert abs((hue(colors[name]) - hue(colors[parent]) + 180) % 360 - 180) < 125


def test_a_class_keeps_its_colour_at_every_level_and_in_every_process():
    tree = Hierarchy.from_mapping([{"legs": [1, 2]}, 3], ["background", "left", "right", "hat"])
    again = Hierarchy.from_json(json.loads(json.dumps(tree.to_json())))
    for level, same in zip(tree.levels, again.levels, strict=True):
        np.testing.assert_array_equal(level.colors, same.colors)
        assert level.colors[0].tolist() == [0, 0, 0]
    coarse, fine = tree.levels
    assert coarse.colors[2].tolist() == fine.colors[3].tolist()
    # The same on every machine: chosen by distances that are rounded.
    assert PASCAL_PERSON_PART.levels[0].colors.tolist() == [[0, 0, 0], [18, 248, 254]]


def test_users_colours_are_kept_and_the_others_keep_their_distance():
    given = {"clothing": "#0000FF", "skin": [255, 220, 180]}
    tree = Hierarchy.from_mapping(
        CLOTHES.to_json()["tree"], CLOTHES.class_names, CLOTHES.level_names, colors=given
    )
    assert tree == CLOTHES
    colors = dict(zip(tree.node_names, tree.palette.of(tree.node_names).tolist(), strict=True))
    assert colors["clothing"] == [0, 0, 255]
    assert colors["skin"] == [255, 220, 180]
    for eyes in EYES:
        others = [oklab(color, eyes) for name, color in colors.items() if name in ("head", "body")]
        assert min(np.linalg.norm(oklab(given["skin"], eyes) - other) for other in others) > 0.05
    for name in ("upper", "lower", "footwear"):
        assert abs((hue(colors[name]) - hue((0, 0, 255)) + 180) % 360 - 180) < 65


def write_data(file, colors):
    text = f"names: [background, a, b]\nhierarchy: {{both: [a, b]}}\ntrain: t\n{colors}\n"
    file.write_text(text)
    return file


def test_users_colours_go_from_the_data_to_the_exported_file(tmp_path):
    file = write_data(tmp_path / "a.yaml", "colors: {a: '#ff8000', both: [1, 2, 3]}")
    tree = load_hierarchy(str(file))
    assert dict(tree.colors) == {"a": (255, 128, 0), "both": (1, 2, 3)}
    props = Metadata("deploy", tree, (32, 32), 8, "esnet", "float32", "0").to_props()
    stored = json.loads(props["hierseg.levels"])
    assert [level["colors_rgb"][1] for level in stored] == [[1, 2, 3], [255, 128, 0]]
    assert Metadata.from_props(props, "a.onnx").hierarchy.colors == tree.colors
    spec = load_spec(file)
    write_spec(spec)
    assert load_spec(file).hierarchy.colors == tree.colors
    # Another set's are taken where the first has none, a checkpoint's where the data have none.
    other = write_data(tmp_path / "b.yaml", "colors: {a: '#000001', b: '#000002'}")
    assert dict(load_hierarchy(f"{file} + {other}").colors)["a"] == (255, 128, 0)
    assert dict(load_hierarchy(f"{file} + {other}").colors)["b"] == (0, 0, 2)
    checked = check_tree_of_data(tree, DataSettings(spec=str(file)), str(other), "a checkpoint")
    assert dict(checked.colors) == {"a": (0, 0, 1), "b": (0, 0, 2), "both": (1, 2, 3)}


def test_trees_without_colours_are_stored_as_before():
    assert set(CLOTHES.to_json()) == {"tree", "class_names", "level_names"}


@pytest.mark.parametrize(
    ("colors", "sentence"),
    [
        ("[a]", "colors: expected names with their colours, such as"),
        ("{c: '#ffffff'}", "colors: 'c' is no class or group; they are a, b, both."),
        ("{boht: '#ffffff'}", r"colors: 'boht' is no class or group; did you mean both\?"),
        (
            "{background: '#ffffff'}",
            "'background' is the background, which pictures leave",
        ),
        ("{a: red}", "colors: 'red' of 'a' is no colour; give '#ff8000' in quotes"),
        ("{a: '#fff'}", "'#fff' of 'a' is no colour"),
        ("{a: [1, 2]}", r"\[1, 2\] of 'a' is no colour"),
        ("{a: [1, 2, 256]}", "is no colour"),
        ("{a: [1, 2, true]}", "is no colour"),
        ("{a: }", "None of 'a' is no colour"),
    ],
)
def test_what_is_no_colour_is_refused_in_a_sentence(tmp_path, colors, sentence):
    file = write_data(tmp_path / "data.yaml", f"colors: {colors}")
    with pytest.raises(HiersegError, match=sentence) as caught:
        load_spec(file)
    assert str(caught.value).startswith(str(file))


def test_no_colours_are_none():
    assert parse_colors(None, ["a"], None) == parse_colors({}, ["a"], None) == ()
