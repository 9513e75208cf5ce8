"""Lists of pictures tell the splits, where folders don't."""

import pytest

from hierseg_jax.data.prepare.prepare import prepare
from tests.test_prepare_masks import numbered, write


def splits(out):
    return {
        split: sorted(file.stem for file in (out / split / "images").glob("*"))
        for split in ("train", "val", "test")
    }


def save_lists(folder, **lists):
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    "line", ["{}", "{}.jpg", "images/{}.jpg", "/home/them/images/{}.jpg /home/them/masks/{}.png"]
)
@pytest.mark.parametrize("folder", ["", "splits"])
def test_lists_tell_the_splits(tmp_path, line, folder):
    raw = write(tmp_path / "raw", *numbered("images/p{}.jpg", "masks/p{}.png", 6))
    given = {"train": (1, 2, 5), "valid": (0, 4), "test_list": (3,)}
    lists = {name: [line.format(*[f"p{i}"] * 2) for i in of] for name, of in given.items()}
    save_lists(raw / folder, **lists, classes=["background", "cat", "dog"])
    done = prepare(raw, tmp_path / "out")
    expected = {"train": ["p1", "p2", "p5"], "val": ["p0", "p4"], "test": ["p3"]}
    assert splits(tmp_path / "out") == expected
    assert any(note.startswith("Splits are those of") for note in done.notes)
    assert done.spec.hierarchy.class_names == ("background", "cat", "dog")


def test_what_no_list_names_is_for_training_and_folders_tell_equal_names_apart(tmp_path):
    raw = write(
        tmp_path / "raw",
        *numbered("day/images/{}.jpg", "day/masks/{}.png", 3),
        *numbered("night/images/{}.jpg", "night/masks/{}.png", 3),
    )
    save_lists(raw, train=["day/images/0.jpg", "night/images/1.jpg"], val=["night/images/0.jpg"])
    done = prepare(raw, tmp_path / "out")
    found = splits(tmp_path / "out")
    assert found["val"] == ["night__0"]
    assert len(found["train"]) == 5
    assert any("In none of these lists" in n and "3 pictures" in n for n in done.notes)


def test_a_list_of_a_test_alone_leaves_the_rest_to_be_split(tmp_path):
    raw = write(tmp_path / "raw", *numbered("p{}.jpg", "p{}_mask.png", 12))
    save_lists(raw, test=["p3", "p4"], train_val=[f"p{i}" for i in range(12)], val=["a", "b", "p1"])
    prepare(raw, tmp_path / "out")
    found = splits(tmp_path / "out")
    assert found["test"] == ["p3", "p4"]
    assert len(found["train"]) + len(found["val"]) == 10
    assert found["val"]


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"a/train": range(4), "b/train": range(2)}, "both list a split, and neither is followed"),
        ({"train": range(4), "val": range(3, 6)}, "both name"),
    ],
)
def test_lists_that_contradict_each_other_are_not_followed(tmp_path, lists, said):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"))
    prepare(raw, tmp_path / "plain")
    for name, lines in lists.items():
        folder, _, stem = name.rpartition("/")
        save_lists(raw / folder, **{stem: lines})
    assert any(said in note for note in prepare(raw, tmp_path / "out").notes)
    assert splits(tmp_path / "out") == splits(tmp_path / "plain")
