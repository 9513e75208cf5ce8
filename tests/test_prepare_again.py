"""A second preparation keeps the numbers of classes that a data.yaml has, or says what it lacks."""

import numpy as np
import pytest

from hierseg_jax.data.prepare.prepare import prepare
from tests.annotated_data import labelme, make_coco, make_labelme, save_image, save_json
from tests.raw_data import contents, fault


def add_an_ant(raw):
    """A class before all others by the alphabet."""
    shapes = [("ant", "rectangle", [[1, 1], [9, 9]]), ("dog", "rectangle", [[6, 6], [4, 4]])]
    save_json(raw / "z.json", labelme(shapes, imagePath="z.jpg"))
    save_image(raw / "z.jpg")


def test_a_new_class_is_put_behind_the_others_and_moves_none(tmp_path):
    raw, out = make_labelme(tmp_path), tmp_path / "out"
    spec = prepare(raw, out).spec
    masks = contents(out)
    add_an_ant(raw)
    message = fault(raw, out)
    assert f"has annotations of ant, and {out / 'data.yaml'} no such class; put it at" in message
    text = (out / "data.yaml").read_text()
    assert spec.hierarchy.class_names == ("background", "cat", "dog")
    edited = text.replace("[background, cat, dog]", "[background, cat, dog, ant]")
    (out / "data.yaml").write_text(edited.replace("[cat, dog]", "[cat, dog, ant]"))
    again = prepare(raw, out).spec
    assert again.hierarchy.class_names == ("background", "cat", "dog", "ant")
    kept = {file: digest for file, digest in contents(out).items() if "masks" in file}
    assert {file: masks[file] for file in masks if "masks" in file}.items() <= kept.items()
    (file,) = out.glob("*/masks/z.png")
    values = again.values.read(file)
    assert set(np.unique(values)) == {0, 2, 3}


def test_groups_that_were_added_stay(tmp_path):
    raw, out = make_labelme(tmp_path), tmp_path / "out"
    prepare(raw, out)
    text = (out / "data.yaml").read_text()
    (out / "data.yaml").write_text(text.replace("[cat, dog]", "{animal: [cat, dog]}"))
    message = fault(raw, out)
    assert "data.yaml: hierarchy: the tree has 2 levels, but there are 1 level names. Me" in message
    grouped = (out / "data.yaml").read_text().replace("[class]", "[animal, class]")
    (out / "data.yaml").write_text(grouped)
    before = contents(out)
    prepared = prepare(raw, out)
    assert prepared.spec.hierarchy.num_levels == 2
    assert contents(out) == before | {"summary.json": contents(out)["summary.json"]}


def test_names_that_were_put_in_another_order_are_noticed(tmp_path):
    raw, out = make_labelme(tmp_path), tmp_path / "out"
    prepare(raw, out)
    text = (out / "data.yaml").read_text()
    swapped = text.replace("[background, cat, dog]", "[background, dog, cat]")
    assert swapped != text
    (out / "data.yaml").write_text(swapped)
    with pytest.raises(ValueError, match="is there already with another content"):
        prepare(raw, out)


def test_classes_that_were_left_out_or_renamed_in_labels_stay_so(tmp_path):
    raw, out = make_labelme(tmp_path), tmp_path / "out"
    prepare(raw, out)
    kept = "names: [background, cat]\nhierarchy: [cat]\n"
    text = (out / "data.yaml").read_text().partition("names:")[0]
    (out / "data.yaml").write_text(f"{text}{kept}labels: {{0: background, 1: cat, 2: ignore}}\n")
    spec = prepare(raw, out).spec
    assert spec.hierarchy.class_names == ("background", "cat")


def test_a_renamed_class_is_told_from_a_new_one_or_refused(tmp_path):
    raw, out = make_labelme(tmp_path), tmp_path / "out"
    prepare(raw, out)
    text = (out / "data.yaml").read_text()
    renamed = text.replace("dog", "hound")
    (out / "data.yaml").write_text(renamed)
    before = contents(out)
    prepare(raw, out)
    assert contents(out) == before | {"summary.json": contents(out)["summary.json"]}
    add_an_ant(raw)
    added = renamed.replace("hound]", "hound, ant]")
    (out / "data.yaml").write_text(added)
    message = fault(raw, out)
    assert "has annotations of dog, and" in message
    assert "has hound in their place, so that names which were changed there can't be" in message


@pytest.mark.parametrize(
    "hierarchy", ["[cat, dog, lamp]", "[{pet: [cat, dog]}, lamp]", "{thing: [cat, dog, lamp]}"]
)
def test_groups_may_be_taken_away_renamed_or_others(tmp_path, hierarchy):
    raw, out = make_coco(tmp_path), tmp_path / "out"
    prepare(raw, out)
    given = (out / "data.yaml").read_text().splitlines()
    kept = [line for line in given if not line.startswith(("level_names", "hierarchy", " ", "-"))]
    (out / "data.yaml").write_text("\n".join([*kept, f"hierarchy: {hierarchy}", ""]))
    before = contents(out)
    spec = prepare(raw, out).spec
    assert spec.hierarchy.class_names == ("background", "cat", "dog", "lamp")
    assert contents(out) == before | {"summary.json": contents(out)["summary.json"]}
