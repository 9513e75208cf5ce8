"""Pictures and masks in anybody's folders become a data set: pairs, splits, classes, the tree."""

import json

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.class_tables import find_table
from hierseg_jax.data.prepare.formats import find_format
from hierseg_jax.data.prepare.mask_pairs import find_pairs
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.annotated_data import SIZE, labels_of, save_image, save_json, save_mask
from tests.raw_data import contents, fault, run_prepare

NAMES = ["background", "cat", "dog"]


def mask_of(number, values=(0, 1, 2)):
    """Of three stripes, and one row that tells masks apart: uint8 [H, W]."""
    mask_hw = np.repeat(np.array(values, np.uint8), [6, 6, 4])[None].repeat(SIZE[0], 0)
    mask_hw[number % SIZE[0]] = values[1]
    return mask_hw


def write(root, *pairs, values=(0, 1, 2)):
    """A raw folder with pictures and masks of these names."""
    for number, (image, mask) in enumerate(pairs):
        save_image(root / image)
        save_mask(root / mask, mask_of(number, values))
    return root


def numbered(image, mask, count=6):
    return [(image.format(i), mask.format(i)) for i in range(count)]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.jpg", "{}.png"),
        ("{}.jpg", "{}_mask.png"),
        ("{}.png", "{}_mask.png"),
        ("a{}-rgb.png", "a{}-labels.png"),
        ("img_{}.png", "mask_{}.png"),
        ("images/{}.jpg", "masks/{}.png"),
        ("images/img_{}.png", "masks/mask_{}.png"),
        ("images/{}_leftImg8bit.jpg", "labels/{}_labelTrainIds.png"),
        ("deep/er/rgb/{}.png", "deep/er/v1.2/labels/{}.png"),
        ("photos/{}.jpg", "photos/masks/{}.png"),
        ("shots/{}.jpg", "shots_seg/{}.bmp"),
    ],
)
def test_every_picture_finds_its_own_mask(tmp_path, image, mask):
    raw = write(tmp_path / "raw", *numbered(image, mask, 12))
    pairs, unmasked = find_pairs(raw)
    assert not unmasked
    found = {(pair.image, pair.mask) for pair in pairs}
    assert found == {(raw / a, raw / b) for a, b in numbered(image, mask, 12)}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{split}/{i}.jpg", "{split}/{i}_mask.png"),
        ("images/{split}/{i}.jpg", "labels/{split}/{i}.png"),
        ("img_dir/{split}/{i}.jpg", "ann_dir/{split}/{i}.png"),
        ("{split}/images/{i}.png", "{split}/masks/{i}.png"),
    ],
)
def test_splits_that_folders_are_called_after_stay(tmp_path, image, mask):
    """Of the same names in both splits, too."""
    pairs = [
        (image.format(split=split, i=i), mask.format(split=split, i=i))
        for split in ("train", "valid")
        for i in range(3)
    ]
    raw = write(tmp_path / "raw", *pairs)
    (raw / "classes.txt").write_text("\n".join(NAMES))
    spec = prepare(raw, tmp_path / "out").spec
    for first, split in enumerate(("train", "val")):
        found = labels_of(spec, split)
        assert sorted(found) == ["0", "1", "2"]
        for i, label in enumerate(found.values()):
            np.testing.assert_array_equal(label, mask_of(3 * first + i))


def test_the_command_splits_what_has_no_splits_and_says_where_names_are_from(tmp_path):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png", 10))
    flags = (f"--raw_dir={raw}", f"--out_dir={tmp_path / 'out'}")
    done = run_prepare(*flags, "--val_share=0.3")
    assert done.returncode == 0, done.stderr
    assert "has no table of its classes (such as _classes.csv or classes.txt)" in done.stdout
    assert "names: [background, class_1, class_2]" in (tmp_path / "out/data.yaml").read_text()
    before = contents(tmp_path / "out")
    done = run_prepare(*flags, "--val_share=0.3")
    assert (done.returncode, contents(tmp_path / "out")) == (0, before)
    assert "20 were there already" in done.stdout
    counts = [len([*(tmp_path / "out" / split / "masks").iterdir()]) for split in ("train", "val")]
    assert sum(counts) == 10
    assert min(counts) > 0


CSV = "Pixel Value, Class\n 0, background\n 1, cat\n 2, dog\n"
ADE = "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.1\t9\t9\t1\tcat, puss\n2\t0.1\t9\t9\t1\tdog\n"
COLOURS = {"cat": [1, 1, 1], "dog": [2, 2, 2]}
PATHS = [
    {"name": "background", "evaluate": True},
    {"name": "animal--pet--cat", "evaluate": True},
    {"name": "animal--dog"},
    {"name": "void--unlabeled", "evaluate": False},
]


@pytest.mark.parametrize(
    ("file", "text", "classes", "labels"),
    [
        ("train/_classes.csv", CSV, NAMES, ()),
        ("_classes.csv", "0,background\n2,cat\n", NAMES[:2], ((0, "background"), (2, "cat"))),
        ("classes.txt", "background\ncat\n\ndog\n", NAMES, ()),
        ("labels.txt", "__ignore__\n_background_\ncat\ndog\n", ["_background_", "cat", "dog"], ()),
        ("id2label.json", json.dumps({2: "dog", 1: "cat", 0: "background"}), NAMES, ()),
        ("labels.txt", "# COCO's\n0: background\n1: cat\n2: dog\n", NAMES, ()),
        (
            "classes.txt",
            "dog\ncat\nbackground\n",
            ["background", "dog", "cat"],
            ((0, "dog"), (1, "cat"), (2, "background")),
        ),
        (
            "objectInfo150.txt",
            ADE,
            ["cat", "dog"],
            ((0, "ignore"), (1, "cat"), (2, "dog")),
        ),
        (
            "obj_class_to_machine_color.json",
            json.dumps(COLOURS),
            NAMES,
            (("#000000", "background"), ("#010101", "cat"), ("#020202", "dog")),
        ),
        (
            "config_v1.2.json",
            json.dumps({"version": "1.2", "labels": PATHS}),
            NAMES,
            (*enumerate(NAMES), (3, "ignore")),
        ),
    ],
)
def test_tables_of_tools_name_the_classes(tmp_path, file, text, classes, labels):
    values = (0, 2, 2) if "2,cat" in text else (1, 1, 2) if text == ADE else (0, 1, 2)
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"), values=values)
    if labels and isinstance(labels[0][0], str):
        for mask in raw.glob("*_mask.png"):
            cv2.imwrite(str(mask), cv2.imread(str(mask), cv2.IMREAD_COLOR))
    (raw / file).parent.mkdir(exist_ok=True)
    (raw / file).write_text(text)
    done = prepare(raw, tmp_path / "out")
    hierarchy = done.spec.hierarchy
    assert [*hierarchy.class_names] == classes
    assert done.spec.labels == labels
    assert hierarchy.background == (None if text == ADE else 0)
    assert f"The classes are those of {raw / file}." in done.notes
    tree = ["animal", "  pet", "    cat", "  dog"] if "config" in file else classes[1:]
    assert str(hierarchy).splitlines() == ([*classes[:1], *tree] if text != ADE else classes)


def test_a_tree_of_ones_own_takes_the_table_s_names(tmp_path):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"))
    (raw / "classes.txt").write_text("\n".join(NAMES))
    tree = Hierarchy.from_mapping({"pet": ["dog", "cat"]}, ["bg", "dog", "cat"])
    spec = prepare(raw, tmp_path / "out", hierarchy=tree).spec
    assert spec.hierarchy == tree
    assert spec.labels == ((0, "bg"), (1, "cat"), (2, "dog"))
    other = Hierarchy.from_mapping({"pet": ["dog", "cow"]}, ["bg", "dog", "cow"])
    message = fault(raw, tmp_path / "other", hierarchy=other)
    assert message.startswith(f"{raw / 'classes.txt'}: the tree has no class and no group 'cat'")
    named = {"labels": ((0, "bg"), (1, "cow"), (2, "dog"))}
    spec = prepare(raw, tmp_path / "named", hierarchy=other, **named).spec
    assert spec.labels == named["labels"]


@pytest.mark.parametrize(
    ("values", "names", "labels"),
    [
        ((0, 1, 255), ["background", "class_1"], ()),
        ((0, 255, 255), ["background", "object"], ((0, "background"), (255, "object"))),
        (
            (0, 128, 255),
            ["background", "class_128", "class_255"],
            ((0, "background"), (128, "class_128"), (255, "class_255")),
        ),
        (
            (0, 40, 200),
            ["background", "class_40", "class_200"],
            ((0, "background"), (40, "class_40"), (200, "class_200")),
        ),
    ],
)
def test_without_a_table_classes_are_called_after_their_values(tmp_path, values, names, labels):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"), values=values)
    done = prepare(raw, tmp_path / "out")
    assert [*done.spec.hierarchy.class_names] == names
    assert done.spec.labels == labels
    assert "0 or black is taken for the background" in str(done.notes)
    assert ("255 is ignored" in str(done.notes)) == (255 in values and names[-1] == "class_1")
    assert ("255 is a class, for" in str(done.notes)) == (names[-1] == "class_255")


def test_masks_of_0_and_255_among_others_are_told_of(tmp_path):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"), values=(0, 1, 1))
    save_mask(raw / "2_mask.png", mask_of(2, (0, 255, 255)))
    notes = str(prepare(raw, tmp_path / "out").notes)
    assert "255 is ignored. If it is a class, write `255: NAME`" in notes
    assert f"1 mask with 0 have nothing else, the first {raw / '2_mask.png'}" in notes


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_without_a_table_colours_are_classes(tmp_path, suffix):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", f"{{}}_mask.{suffix}"))
    for mask in raw.glob("*_mask.*"):
        shown = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)[..., None] * np.uint8([0, 0, 100])
        cv2.imwrite(str(mask), shown)
    spec = prepare(raw, tmp_path / "out").spec
    assert spec.hierarchy.class_names == ("background", "colour_640000", "colour_C80000")
    labels = labels_of(spec, "train")
    for stem, label in labels.items():
        np.testing.assert_array_equal(label, mask_of(int(stem)))


def test_black_and_white_in_three_channels_are_an_object_as_in_one(tmp_path):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"), values=(0, 255, 255))
    for mask in raw.glob("*_mask.png"):
        cv2.imwrite(str(mask), cv2.cvtColor(cv2.imread(str(mask), 0), cv2.COLOR_GRAY2BGR))
    spec = prepare(raw, tmp_path / "out").spec
    assert spec.hierarchy.class_names == ("background", "object")
    for stem, label in labels_of(spec, "train").items():
        np.testing.assert_array_equal(label, mask_of(int(stem), (0, 1, 1)))


@pytest.mark.parametrize("channels", [1, 3])
def test_of_two_named_classes_white_is_the_second(tmp_path, channels):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"), values=(0, 255, 255))
    for mask in raw.glob("*_mask.png") if channels == 3 else ():
        cv2.imwrite(str(mask), cv2.cvtColor(cv2.imread(str(mask), 0), cv2.COLOR_GRAY2BGR))
    tree = Hierarchy.from_mapping(["person"], ["nothing", "person"], ["class"])
    done = prepare(raw, tmp_path / "out", hierarchy=tree)
    for stem, label in labels_of(done.spec, "train").items():
        np.testing.assert_array_equal(label, mask_of(int(stem), (0, 1, 1)))
    assert "If it is black, write a classes.txt of two lines there" in str(done.notes)
    assert "white is taken for person" in str(done.notes)
    reversed_tree = Hierarchy.from_mapping([0, 1], ["person", "background"], ["class"])
    assert "Put background first" in fault(raw, tmp_path / "bw", hierarchy=reversed_tree)
    for meant in ({"ignored": (255,)}, {"skips_unknown": True}):
        if channels == 1:
            spec = prepare(raw, tmp_path / f"{len(meant)}{[*meant]}", hierarchy=tree, **meant).spec
            label = next(iter(labels_of(spec, "train").values()))
            assert {*np.unique(label)} == {0, 255}
    three = Hierarchy.from_mapping(["a", "b"], ["nothing", "a", "b"], ["class"])
    assert "two classes, and there are 3" in fault(raw, tmp_path / "three", hierarchy=three)
    (raw / "classes.txt").write_text("person\nbackground")
    spec = prepare(raw, tmp_path / "inverted", hierarchy=tree).spec
    for stem, label in labels_of(spec, "train").items():
        np.testing.assert_array_equal(label, mask_of(int(stem), (1, 0, 0)))


def test_pictures_shown_in_masks_place_are_no_masks_and_those_without_one_are_told(tmp_path):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_semantic.png"))
    for i in range(6):
        save_mask(raw / f"{i}_semantic_color.png", mask_of(i))
        save_mask(raw / f"{i}_instances.png", mask_of(i))
    save_image(raw / "new.jpg")
    pairs, unmasked = find_pairs(raw)
    assert {pair.mask.name for pair in pairs} == {f"{i}_semantic.png" for i in range(6)}
    assert unmasked == (f"Left out, for there is no mask: 1 picture, the first {raw / 'new.jpg'}.",)
    assert unmasked[0] in prepare(raw, tmp_path / "out").notes


def test_what_may_be_meant_otherwise_is_refused(tmp_path):
    raw = write(tmp_path / "raw", *numbered("images/{}.jpg", "masks/{}.png"))
    write(raw, *numbered("images/{}.jpg", "labels/{}.png"))
    assert "may both be the mask of" in fault(raw, tmp_path / "out")
    photos = tmp_path / "photos"
    for name in ("1.jpg", "10.png", "11.png", "2.jpg"):
        save_image(photos / name)
    assert find_pairs(photos)[0] == []
    lossy = tmp_path / "lossy"
    for i in range(3):
        save_image(lossy / f"{i}.jpg")
        save_image(lossy / f"{i}_mask.jpg")
    assert "0_mask.jpg is JPEG or WebP. These change the values" in fault(lossy, tmp_path / "out")
    two = write(tmp_path / "two", *numbered("train/{}.jpg", "train/{}_mask.png"))
    (two / "classes.txt").write_text("background\ncat\ndog\n")
    (two / "train/classes.txt").write_text("background\ndog\ncat\n")
    assert "name other classes" in fault(two, tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("_classes.csv", "0,background,1\n", "expected lines of a value and a name"),
        ("_classes.csv", "Pixel Value, Class\nx, cat\n", "'x' is no value"),
        ("_classes.csv", "0,a\n0,b\n", "0 has two names"),
        ("_classes.csv", "0,a\n300,b\n", "names 300; classes have values from 0 to 255"),
        ("_classes.csv", "0,a\n1,\n", "1 has a blank name"),
        ("classes.txt", "1 cat\n1 dog\n", "1 has two names"),
        ("classes.txt", f"{'9' * 5000} cat\n", "is no value"),
        ("id2label.json", '{"1": "cat", "01": "dog"}', "1 has two names"),
        (
            "obj_class_to_machine_color.json",
            '{"cat": [1, 1, 1], "dog": [1, 1, 1]}',
            "'dog' has the colour of 'cat'",
        ),
        ("id2label.json", "[1]", "expected a name for every value"),
        ("id2label.json", '{"a": "cat"}', "'a' is no value"),
        ("objectInfo150.txt", "Name\ncat\n", "expected columns `Idx` and `Name`"),
        ("objectInfo150.txt", "Idx\tName\nx\tcat\n", "line 2: expected a number and a name"),
        ("obj_class_to_machine_color.json", '{"cat": [1, 2]}', "'cat' has no colour of three"),
    ],
)
def test_tables_that_cannot_be_read_are_named(tmp_path, file, text, sentence):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"))
    (raw / file).write_text(text)
    message = fault(raw, tmp_path / "out")
    assert message.startswith(str(raw / file))
    assert sentence in message


def test_a_configuration_of_something_else_is_no_table(tmp_path):
    save_json(tmp_path / "config.json", {"labels": ["a"], "lr": 1})
    assert find_table(tmp_path) is None


def test_a_prepared_data_set_is_not_prepared_again(tmp_path):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"))
    out = prepare(raw, tmp_path / "out").spec.root
    with pytest.raises(ValueError, match="is a data set already"):
        find_format(out)


@pytest.mark.parametrize(
    ("mask_hw", "sentence"),
    [
        (np.zeros(SIZE, np.uint8), "hold [0] alone"),
        (np.full(SIZE, 255, np.uint8), "hold [255] alone"),
        (np.arange(192, dtype=np.uint8).reshape(SIZE), "as masks do that were interpolated"),
        (np.full(SIZE, 1000, np.int32), "holds 1000 to 1000; classes have values from 0 to 255"),
        (np.full(SIZE, -5, np.int32), "holds -5 to -5; classes"),
    ],
)
def test_values_that_are_no_classes_are_refused(tmp_path, mask_hw, sentence):
    raw = tmp_path / "raw"
    for i in range(2):
        save_image(raw / f"{i}.jpg")
        np.save(raw / f"{i}_mask.npy", mask_hw)
    assert sentence in fault(raw, tmp_path / "out")


def test_minus_one_is_ignored_and_mixtures_are_refused(tmp_path):
    raw = tmp_path / "raw"
    for i in range(2):
        save_image(raw / f"{i}.jpg")
        np.save(raw / f"{i}_mask.npy", mask_of(i).astype(np.int16) - 1)
    spec = prepare(raw, tmp_path / "out").spec
    assert spec.hierarchy.class_names == ("background", "class_1")
    raw = write(tmp_path / "mixed", *numbered("{}.jpg", "{}_mask.png"))
    save_mask(raw / "3_mask.png", np.zeros((*SIZE, 3), np.uint8))
    assert "one holds colours and the other numbers" in fault(raw, tmp_path / "other")


def test_what_is_left_out_is_told(tmp_path):
    raw = write(tmp_path / "raw", *numbered("images/train/{}.jpg", "masks/train/{}.png"))
    write(
        raw, ("images/more.jpg", "masks/more.png"), ("images/train/lost.jpg", "masks/train/odd.png")
    )
    save_image(raw / "results/1.jpg")
    assert [*prepare(raw, tmp_path / "out").notes][-5:] == [
        f"Left out, for there is no mask: 1 picture, the first {raw / 'images/train/lost.jpg'}.",
        f"Masks of no picture: 1 file, the first {raw / 'masks/train/odd.png'}.",
        f"In folders called after neither: 1 file, the first {raw / 'results/1.jpg'}.",
        "In no folder of a split, and taken as those of training: 1 picture, as "
        f"{raw / 'images/more.jpg'}.",
        "Validation has 1 picture, and tells little of a network: a larger --val_share, in "
        "another --out_dir, takes more.",
    ]


def test_other_yaml_files_are_in_no_way(tmp_path):
    raw = write(tmp_path / "raw", *numbered("{}.jpg", "{}_mask.png"))
    (raw / "mkdocs.yml").write_text("site_name: mine\n")
    (raw / "odd.yaml").write_text("a: [\n")
    assert find_format(raw) == "masks"
    (raw / "mine.yaml").write_text("train: nowhere\nnames: [a, b]\nlabels: 3\n")
    with pytest.raises(ValueError, match=r"mine\.yaml.*: mend it, or take it out of there"):
        find_format(raw)
    # A list of splits is none; that two masks may be meant is what stands in the way.
    (raw / "mine.yaml").write_text("train: [1, 2]\ntest: [3]\n")
    assert find_format(raw) == "masks"
    save_mask(raw / "masks/0_mask.png", mask_of(0))
    with pytest.raises(ValueError, match="may both be the mask of"):
        find_format(raw)


def test_names_choose_what_is_validated_and_the_command_counts_it(tmp_path):
    pairs = numbered("images/clip1_{}.jpg", "masks/clip1_{}.png")
    pairs += numbered("images/clip2_{}.jpg", "masks/clip2_{}.png", 3)
    raw, out = write(tmp_path / "raw", *pairs), tmp_path / "out"
    done = run_prepare(raw, f"--out_dir={out}", "--val_names=clip2_*")
    assert done.returncode == 0, done.stderr
    assert "\ntrain: 6 images" in f"\n{done.stdout}"
    assert "\nval: 3 images" in done.stdout
    found = sorted(file.name for file in (out / "val/images").iterdir())
    assert found == ["clip2_0.jpg", "clip2_1.jpg", "clip2_2.jpg"]
    prepared = prepare(raw, tmp_path / "called", val_names="clip2_*")
    assert prepared.summary == json.loads((out / "summary.json").read_text())
    # In place of the validation that the source itself has.
    pairs = numbered("train/images/clip1_{}.jpg", "train/masks/clip1_{}.png")
    pairs += numbered("val/images/clip2_{}.jpg", "val/masks/clip2_{}.png", 3)
    split, other = write(tmp_path / "split", *pairs), tmp_path / "other"
    done = run_prepare(split, f"--output={other}", "--val_names=clip1_1*", "--val_names=clip1_2*")
    assert done.returncode == 0, done.stderr
    found = sorted(file.name for file in (other / "val/images").iterdir())
    assert found == ["clip1_1.jpg", "clip1_2.jpg"]
    assert "--val_names takes the place of its own validation, which had 3 pictures." in (
        done.stdout
    )
    for flags, sentence in (
        (["--val_names=clip3_*"], "is called 'clip3_*' (--val_names); capitals and "),
        (["--val_names="], "is called '' (--val_names); capitals and "),
        (["--val_names=clip2_*", "--val_share=0.2"], "--val_share and --val_names both say what"),
    ):
        refused = run_prepare(raw, f"--out_dir={tmp_path / 'new'}", *flags)
        assert refused.returncode == 1
        assert sentence in refused.stderr
    assert not (tmp_path / "new").exists()


def test_pictures_of_a_test_alone_are_split_anew_and_those_without_masks_may_be_negatives(tmp_path):
    """As data sets of defects have it, which train on pictures without any."""
    raw = tmp_path / "raw"
    for i in range(12):
        save_image(raw / f"train/good/{i:03}.png")
        save_image(raw / f"test/images/{i:03}.png")
        save_mask(raw / f"test/masks/{i:03}.png", mask_of(i))
    prepared = prepare(raw, tmp_path / "out", val_share=0.25)
    assert {s: of["images"] for s, of in prepared.summary["splits"].items()} == {
        "train": 10,
        "val": 2,
    }
    told = " ".join(prepared.notes)
    assert "No picture with a mask is for training, and 12 pictures for a test: these are" in told
    assert "training can learn that from them: `config.data.negatives`" in told
    named = prepare(raw, tmp_path / "b", val_names="00*")
    assert named.summary["splits"]["val"]["images"] == 10


def first_and_second(number, value):
    """A mask of the left, and one of the right."""
    first_hw, second_hw = np.zeros((2, *SIZE), np.uint8)
    first_hw[: 2 + number, :4], second_hw[3:7, 9:12] = value, value
    return first_hw, second_hw


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize(
    ("image", "mask", "second"),
    [
        ("a ({}).png", "a ({})_mask.png", "a ({})_mask_1.png"),
        ("images/{:04}.jpg", "masks/{:04}.png", "masks/{:04}_2.png"),
        ("{:04}.jpg", "{:04}.png", "{:04}_2.png"),
        ("{:04}.jpg", "{:04}_mask.png", "{:04}_2_mask.png"),
    ],
)
def test_masks_that_are_numbered_on_are_united(tmp_path, image, mask, second, value):
    raw = tmp_path / "raw"
    for i in range(6):
        save_image(raw / image.format(i))
        first_hw, second_hw = first_and_second(i, value)
        save_mask(raw / mask.format(i), first_hw)
        if i % 2:
            save_mask(raw / second.format(i), second_hw)
    if "mask" in second:  # one that is not read is no picture either
        (raw / second.format(2)).with_suffix(".gif").touch()
    done = prepare(raw, tmp_path / "out")
    assert "3 masks numbered on" in str(done.notes)
    labels = labels_of(done.spec, "train") | labels_of(done.spec, "val")
    assert len(labels) == 6
    for name, label_hw in labels.items():
        number = int("".join(filter(str.isdecimal, name)))
        first_hw, second_hw = first_and_second(number, 1)
        np.testing.assert_array_equal(label_hw, first_hw | second_hw * (number % 2))


@pytest.mark.parametrize("stray", ["test/images/2_1.jpg", "docs/1_2.gif"])
def test_of_a_picture_elsewhere_no_more_than_its_own_mask_is_kept_from_others(tmp_path, stray):
    raw = tmp_path / "raw"
    for i in range(4):
        save_image(raw / f"train/images/{i}.jpg")
        for mask_hw, end in zip(first_and_second(i, 255), ("", "_1"), strict=True):
            save_mask(raw / f"train/masks/{i}{end}.png", mask_hw)
    (raw / stray).parent.mkdir(parents=True)
    if stray.endswith("gif"):
        (raw / stray).touch()
    else:
        save_image(raw / stray)
    done = prepare(raw, tmp_path / "out", val_share=0.25)
    united = {i for i in range(4) if f"{i}_1" not in stray}
    assert f"{len(united)} masks numbered on" in str(done.notes)
    for name, label_hw in (labels_of(done.spec, "train") | labels_of(done.spec, "val")).items():
        first_hw, second_hw = first_and_second(int(name), 1)
        second_hw *= int(name) in united
        np.testing.assert_array_equal(label_hw, first_hw | second_hw)


@pytest.mark.parametrize("more", ["a (1)_1.png", "a (1)_1.jpg", "a (1)_1.HEIC"])
def test_pictures_that_are_numbered_on_are_no_masks_and_their_masks_not_united(tmp_path, more):
    """Whether they have masks or are read or not."""
    raw = tmp_path / "raw"
    for i in range(4):
        save_image(raw / f"a ({i}).png")
        save_mask(raw / f"a ({i})_mask.png", first_and_second(i, 255)[0])
    if more.endswith("HEIC"):
        (raw / more).touch()
    else:
        save_image(raw / more)
    save_mask(raw / "a (2)_mask_1.png", first_and_second(2, 255)[1])
    done = prepare(raw, tmp_path / "out")
    assert f"for {raw / more} is a picture that is numbered so: 1 mask, the first" in str(
        done.notes
    )
    for name, label_hw in (labels_of(done.spec, "train") | labels_of(done.spec, "val")).items():
        number = int("".join(filter(str.isdecimal, name)))
        np.testing.assert_array_equal(label_hw, first_and_second(number, 1)[0])


@pytest.mark.parametrize("zero", ["lesion", "background"])
def test_masks_of_which_0_is_no_background_are_not_united(tmp_path, zero):
    raw = tmp_path / "raw"
    for i in range(4):
        save_image(raw / f"images/{i}.jpg")
        first_hw, second_hw = first_and_second(i, 1)
        save_mask(raw / f"masks/{i}.png", first_hw)
        save_mask(raw / f"masks/{i}_2.png", second_hw)
    other = {"lesion": "background", "background": "lesion"}[zero]
    tree = Hierarchy.from_mapping(["lesion"], ["background", "lesion"], ["class"])
    options = {"hierarchy": tree, "labels": ((0, zero), (1, other))}
    if zero == "background":
        assert "4 masks numbered on" in str(prepare(raw, tmp_path / "out", **options).notes)
    else:
        assert "don't show one thing" in fault(raw, tmp_path / "out", **options)


def test_a_mask_of_a_picture_that_is_gone_is_no_part_of_another_s(tmp_path):
    """Where pictures are numbered on as well: 3_1.jpg is not there."""
    raw = write(tmp_path / "raw", *numbered("images/{}.jpg", "masks/{}.png"))
    write(raw, ("images/2_1.jpg", "masks/2_1.png"))
    save_mask(raw / "masks/3_1.png", mask_of(3))
    notes = prepare(raw, tmp_path / "out").notes
    assert "Masks of no picture: 1 file" in str(notes)
    assert "numbered on" not in str(notes)


def test_several_masks_of_a_picture_that_show_several_things_are_refused(tmp_path):
    raw = write(tmp_path / "raw", *numbered("images/{}.jpg", "masks/{}.png"))
    save_mask(raw / "masks/3_1.png", mask_of(3))
    assert "masks of one picture, and don't show one thing" in fault(raw, tmp_path / "out")


@pytest.mark.parametrize("smooth", [False, True])
def test_several_inverted_masks_of_a_picture_are_refused(tmp_path, smooth):
    """What is black on white would vanish where white is united."""
    raw = tmp_path / "raw"
    for i in range(6):
        save_image(raw / f"images/{i}.jpg")
        for mask_hw, end in zip(first_and_second(i, 255), ("", "_1"), strict=True):
            soft_hw = cv2.GaussianBlur(255 - mask_hw, (3, 3), 0) if smooth else 255 - mask_hw
            save_mask(raw / f"masks/{i}{end}.png", soft_hw)
    assert "on a background of 0, which could be united" in fault(raw, tmp_path / "out")


def test_several_masks_of_a_picture_are_of_one_size(tmp_path):
    raw = tmp_path / "raw"
    for i in range(6):
        save_image(raw / f"images/{i}.jpg")
        save_mask(raw / f"masks/{i}.png", first_and_second(i, 255)[0])
    save_mask(raw / "masks/3_1.png", first_and_second(3, 255)[0][:-1])
    assert "3.png, of one picture, are not of one size" in fault(raw, tmp_path / "out")
