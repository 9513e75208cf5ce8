"""Lists of pictures tell the splits, where folders don't."""

import pytest

from hierseg_jax.data.prepare import listed_splits
from hierseg_jax.data.prepare.prepare import prepare
from tests.annotated_data import save_image
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
        (
            {"a/train": range(4), "b/train": range(2)},
            "list different pictures for one split",
        ),
        ({"train2017": range(4), "val2017": range(3, 6)}, "both name"),
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


def test_lists_name_pictures_by_all_that_they_say_of_their_place(tmp_path):
    """A line of one folder is no picture of another, but may be a place on another machine."""
    raw = write(
        tmp_path / "raw",
        *[(f"A/images/{i}.jpg", f"A/masks/{i}.png") for i in range(3)],
        *[(f"B/images/{i}.jpg", f"B/masks/{i}.png") for i in range(3, 6)],
    )
    # Of A there are more pictures elsewhere.
    save_lists(raw, train=["C:\\data\\B\\images\\3.jpg", "/d/B/images/4.jpg", "B/images/5.jpg"])
    save_lists(raw, val=[f"A/images/{i}.jpg" for i in range(1, 6)])
    prepare(raw, tmp_path / "out")
    assert splits(tmp_path / "out") == {
        "train": ["a__0", "b__3", "b__4", "b__5"],
        "val": ["a__1", "a__2"],
        "test": [],
    }


def test_lists_may_name_pictures_that_have_no_mask(tmp_path):
    raw = write(tmp_path / "raw", *numbered("images/p{}.jpg", "masks/p{}.png", 6))
    for i in range(6, 16):
        save_image(raw / f"images/p{i}.jpg")
    save_lists(raw, train=[f"p{i}" for i in range(4)], val=[f"p{i}" for i in range(4, 16)])
    prepare(raw, tmp_path / "out")
    assert splits(tmp_path / "out")["val"] == ["p4", "p5"]


@pytest.mark.parametrize(
    ("val", "said"),
    [
        ("p0\np1\n".encode("utf-16"), "is no UTF-8 text"),
        (b"", "lists none of the pictures that have masks"),
        (b"cat\ndog\n", "lists none of the pictures that have masks"),
    ],
)
def test_a_list_that_is_not_followed_beside_others_is_named(tmp_path, val, said):
    raw = write(tmp_path / "raw", *numbered("images/p{}.jpg", "masks/p{}.png", 6))
    save_lists(raw, train=["p2", "p3", "p4"])
    (raw / "val.txt").write_bytes(val)
    notes = prepare(raw, tmp_path / "out").notes
    assert any(note.startswith(f"{raw / 'val.txt'} {said}") for note in notes)


def test_a_list_that_may_not_be_read_is_named_and_stops_nothing(tmp_path, monkeypatch):
    def refuse(file):
        raise PermissionError(13, "Permission denied", str(file))

    raw = write(tmp_path / "raw", *numbered("images/p{}.jpg", "masks/p{}.png", 6))
    save_lists(raw, train=["p2", "p3", "p4"])
    monkeypatch.setattr(listed_splits, "read_ids", refuse)  # root reads all files
    told = f"{raw / 'train.txt'}: Permission denied. It is not followed as a list of a split."
    assert told in prepare(raw, tmp_path / "out").notes


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_list_that_leaves_none_for_training_is_not_followed(tmp_path, split):
    raw = write(tmp_path / "raw", *numbered("images/p{}.jpg", "masks/p{}.png", 6))
    save_lists(raw, **{split: [f"p{i}" for i in range(6)]})
    notes = prepare(raw, tmp_path / "out").notes
    assert any("No picture is left for training by" in n for n in notes)
    assert splits(tmp_path / "out")["train"]


def test_folders_of_validation_alone_are_split_anew(tmp_path):
    raw = write(tmp_path / "raw", *numbered("val/images/p{}.jpg", "val/masks/p{}.png", 6))
    notes = prepare(raw, tmp_path / "out").notes
    assert any("6 pictures for validation: these are split anew" in note for note in notes)
    found = splits(tmp_path / "out")
    assert found["train"]
    assert found["val"]


@pytest.mark.parametrize(
    "name", ["exclude_from_test", "test_results", "train_log", "validation_ground_truth", "cat_val"]
)
def test_other_texts_are_no_lists_of_splits(tmp_path, name):
    raw = write(tmp_path / "raw", *numbered("images/{}.jpg", "masks/{}.png", 6))
    prepare(raw, tmp_path / "plain")
    save_lists(raw, **{name: ["1", "2", "3"]})
    prepare(raw, tmp_path / "out")
    assert splits(tmp_path / "out") == splits(tmp_path / "plain")


def test_copies_of_a_list_say_the_same(tmp_path):
    raw = write(tmp_path / "raw", *numbered("images/{}.jpg", "masks/{}.png", 6))
    save_lists(raw, val=["1", "2"])
    save_lists(raw / "splits", val=["images/2.jpg", "images/1.jpg"])
    prepare(raw, tmp_path / "out")
    assert splits(tmp_path / "out")["val"] == ["1", "2"]


def test_pictures_of_one_name_in_many_folders_are_told_by_these(tmp_path):
    raw = write(tmp_path / "raw", *numbered("clip{}/image.png", "clip{}/mask.png", 9))
    save_lists(raw, val=["clip1", "clip2/image.png", "clip3/image"])
    prepare(raw, tmp_path / "out")
    assert len(splits(tmp_path / "out")["val"]) == 2
