"""Each fault of a data set is found and named, and nothing else is."""

import shutil

import cv2
import numpy as np
import pytest

from hierseg_jax.data.inspection.findings import KINDS
from hierseg_jax.data.inspection.inspect_dataset import inspect_dataset
from hierseg_jax.data.inspection.split_statistics import split_statistics
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.system.wording import printable
from tests.inspection_data import SIZE, label, make_data, picture, write_pair
from tests.test_folder import png


def inspect(file):
    return inspect_dataset(load_spec(file))


def test_a_data_set_in_order_has_no_findings(tmp_path):
    inspection = inspect(make_data(tmp_path))
    assert inspection.findings == ()
    source = FolderSource(tmp_path / "train/images", 4)
    stems = tuple(e.pair.image.stem for e in inspection.usable("train"))
    assert stems == source.names == ("train0", "train1", "train2", "train3")


def with_many_that_show_nothing(root):
    for i in range(12):
        write_pair(root, "train", f"bare{i}", 70 + i, label_hw=np.zeros(SIZE, np.uint8))


def without_file(name):
    return lambda root: (root / name).unlink()


def with_bytes(name, data):
    return lambda root: (root / name).write_bytes(data)


def with_mask(label_hw):
    return lambda root: np.save(root / "train/masks/train1.npy", label_hw)


def cut_off(root):
    file = root / "val/images/val1.png"
    file.write_bytes(file.read_bytes()[:-30])


def without_pairs(root):
    shutil.rmtree(root / "val")
    (root / "val/images").mkdir(parents=True)
    (root / "val/masks").mkdir()


def without_class_in_val(root):
    for i in range(3):
        label_hw = label()
        label_hw[label_hw == 3] = 1
        np.save(root / f"val/masks/val{i}.npy", label_hw)


def without_val(root):
    file = root / "data.yaml"
    file.write_text(file.read_text().replace("val: val/images", "val:"))


def of_one_scene(root):
    """By a camera that stands still: a few pixels are all that changes."""
    image = picture(70)
    for number in range(10):
        split = "train" if number < 5 else "val"
        stem = "still" if number == 5 else f"still{number}"
        write_pair(root, split, stem, 70)
        changed = image.copy()
        changed[2:4, 2 + 3 * number : 4 + 3 * number] = 255
        cv2.imwrite(str(root / f"{split}/images/{stem}.png"), changed)


def without_train(root):
    file = root / "data.yaml"
    file.write_text(file.read_text().replace("train: train/images", "train:"))


def with_val_in_train(root):
    file = root / "data.yaml"
    file.write_text(file.read_text().replace("val: val/images", "val: train/images"))


def copied(source, target):
    def copy(root):
        shutil.copy(root / source, root / target)

    return copy


def scaled_and_recompressed(root):
    image = cv2.resize(picture(2), None, fx=1.25, fy=1.25, interpolation=cv2.INTER_AREA)
    (root / "val/images/val1.png").unlink()
    cv2.imwrite(str(root / "val/images/val1.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 60])
    np.save(root / "val/masks/val1.npy", label(image.shape[:2]))


def speckled():
    label_hw = label()
    label_hw[4::4, 4:16:4] = 2
    label_hw[4::4, 20:60:4] = 0
    return label_hw


def all_of_one_long_shape(root):
    for seed, file in enumerate(sorted(root.glob("*/images/*"))):
        size = (48, 128 + 4 * seed)
        write_pair(root, file.parent.parent.name, file.stem, seed, size)
    write_pair(root, "train", "another", 50)  # of hundreds one may be otherwise
    for number in range(8):
        write_pair(root, "train", f"more{number}", 60 + number, (48, 136))


def with_16_bits(root):
    cv2.imwrite(str(root / "train/images/train1.png"), picture(1).astype(np.uint16) * 257)


def without_class_in_train(root):
    for i in range(4):
        label_hw = label()
        label_hw[label_hw == 3] = 1
        np.save(root / f"train/masks/train{i}.npy", label_hw)


def with_road_outside(root):
    file = root / "data.yaml"
    file.write_text(file.read_text().replace("background", "road"))


def with_yaml(text):
    return lambda root: (root / "data.yaml").write_text(
        f"train: train/images\nval: val/images\n{text}"
    )


def with_labels_of_groups(root):
    file = root / "data.yaml"
    labels = "{0: background, 1: upper, 2: upper, 3: legs}"
    file.write_text(f"{file.read_text()}\nlabels: {labels}\n")


def with_palettes(root):
    """Of two masks that number the same colours differently."""
    colours = {0: (0, 0, 0), 1: (200, 0, 0), 2: (0, 200, 0), 3: (0, 0, 200), 255: (9, 9, 9)}
    for stem, exchanged in (("train0", {}), ("train1", {1: 2, 2: 1})):
        file = root / "train" / "masks" / f"{stem}.npy"
        palette = b"".join(bytes(colours.get(exchanged.get(i, i), (0, 0, 0))) for i in range(256))
        file.with_suffix(".png").write_bytes(png(np.load(file), 8, 3, palette))
        file.unlink()


def mostly_ignored(root):
    for i in range(4):
        label_hw = label()
        label_hw[: 25 + i] = 255
        np.save(root / f"train/masks/train{i}.npy", label_hw)


def with_sides(root):
    file = root / "data.yaml"
    file.write_text(file.read_text().replace("torso, head", "left leg, right leg"))


def blurred():
    return cv2.blur(np.repeat(np.uint8([0, 3, 0, 3]), 16)[None].repeat(48, 0), (3, 3))


FAULTS = {
    "untrained_class": (without_class_in_train, ""),
    "missing_folder": (lambda root: shutil.rmtree(root / "val"), "val/images"),
    "empty_split": (without_pairs, ""),
    "missing_mask": (without_file("train/masks/train1.npy"), "train/images/train1.png"),
    "missing_image": (without_file("train/images/train1.png"), "train/masks/train1.npy"),
    "shared_stem": (copied("train/images/train1.png", "train/images/train1.jpg"), None),
    "unreadable_image": (cut_off, "val/images/val1.png"),
    "unreadable_mask": (with_bytes("val/masks/val1.npy", b"no array"), "val/masks/val1.npy"),
    "size_mismatch": (with_mask(label().T), "train/masks/train1.npy"),
    "unknown_labels": (with_mask(label() + np.uint16(1)), "train/masks/train1.npy"),
    "odd_background": (with_road_outside, ""),
    "unpaired_sides": (with_sides, ""),
    "shifted_labels": (
        with_yaml("names: [road, car, bus]\nunknown: ignore"),
        "train/masks/train0.npy",
    ),
    "differing_palettes": (with_palettes, "train/masks/train1.png"),
    "mostly_ignored": (mostly_ignored, "train/masks/train3.npy"),
    "blurred_mask": (with_mask(blurred()), "train/masks/train1.npy"),
    "absent_split": (without_val, ""),
    "nothing_to_train": (without_train, ""),
    "shared_folder": (with_val_in_train, ""),
    "duplicate_across_splits": (
        copied("train/images/train2.png", "val/images/val1.png"),
        "val/images/val1.png",
    ),
    "near_duplicate_across_splits": (scaled_and_recompressed, "val/images/val1.jpg"),
    "one_scene": (of_one_scene, "val/images/still.png"),
    "missing_class": (without_class_in_val, ""),
    "untold_class": (with_labels_of_groups, ""),
    "single_class": (with_mask(np.zeros(SIZE, np.uint8)), "train/masks/train1.npy"),
    "background_alone": (with_many_that_show_nothing, "train/masks/bare0.npy"),
    "speckle": (with_mask(speckled()), "train/masks/train1.npy"),
    "passed_over": (with_bytes("train/images/more.gif", b"RIFF"), "train/images/more.gif"),
    "counted_rest": (with_yaml("names: [unlabeled, torso, head, legs]"), ""),
    "unread": (with_16_bits, "train/images/train1.png"),
    "duplicate_within_split": (
        copied("train/images/train2.png", "train/images/train3.png"),
        "train/images/train3.png",
    ),
    "elongated": (
        lambda root: write_pair(root, "train", "wide", 50, (48, 128)),
        "train/images/wide.png",
    ),
    "one_long_shape": (all_of_one_long_shape, ""),
    "unusual_size": (
        lambda root: write_pair(root, "train", "large", 50, (160, 160)),
        "train/images/large.png",
    ),
}


def test_islands_of_the_background_are_counted_apart(tmp_path):
    data = make_data(tmp_path)
    label_hw = speckled()
    with_mask(label_hw)(tmp_path)
    (finding,) = inspect(data).findings
    of_background = len(range(4, SIZE[0], 4)) * len(range(20, 60, 4))
    assert f", {of_background} of them of the background." in finding.message
    assert f" has {of_background} islands" not in finding.message  # others are there as well


def test_every_kind_has_a_fault_here():
    assert FAULTS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_and_named_and_no_other_is(tmp_path, kind):
    break_it, file = FAULTS[kind]
    data = make_data(tmp_path)
    break_it(tmp_path)
    findings = inspect(data).findings
    assert {finding.kind for finding in findings} == {kind}
    if file is not None:
        assert findings[0].file == file
        assert file in findings[0].message
    assert not any(str(tmp_path) in finding.message for finding in findings)


def test_sizes_are_unusual_beyond_three_times_the_median(tmp_path):
    data = make_data(tmp_path)  # of 48 x 64
    write_pair(tmp_path, "train", "thrice", 50, (144, 144))
    write_pair(tmp_path, "train", "third", 51, (16, 16))
    assert not [f for f in inspect(data).findings if f.kind == "unusual_size"]
    write_pair(tmp_path, "train", "more", 52, (145, 145))
    write_pair(tmp_path, "train", "less", 53, (15, 15))
    files = {f.file for f in inspect(data).findings if f.kind == "unusual_size"}
    assert files == {"train/images/more.png", "train/images/less.png"}


def test_a_folder_of_images_below_the_images_is_passed_over(tmp_path):
    data = make_data(tmp_path)
    (tmp_path / "train/images/more").mkdir()
    (tmp_path / "train/masks/.hidden").write_text("")
    (finding,) = inspect(data).findings
    assert finding.message == "train/images/more is a folder, which is not looked into."


def test_a_mask_can_have_two_faults(tmp_path):
    data = make_data(tmp_path)
    np.save(tmp_path / "train/masks/train1.npy", np.full((3, 3), 77))
    kinds = [finding.kind for finding in inspect(data).findings]
    assert kinds == ["size_mismatch", "unknown_labels"]


def test_a_twin_is_told_whether_its_mask_is_the_same(tmp_path):
    data = make_data(tmp_path)
    copied("train/images/train0.png", "train/images/train1.png")(tmp_path)
    copied("train/images/train0.png", "val/images/val0.png")(tmp_path)
    np.save(tmp_path / "val/masks/val0.npy", label()[:, ::-1])
    within, across = inspect(data).findings
    assert within.message.endswith("their masks are the same.")
    assert across.message == (
        "val/images/val0.png equals train/images/train0.png, pixel for pixel; their masks differ."
    )
    assert across.other == "train/images/train0.png"


def test_classes_missing_at_every_level_are_named_once(tmp_path):
    data = make_data(tmp_path)
    without_class_in_val(tmp_path)
    messages = [finding.message for finding in inspect(data).findings]
    assert messages == [
        "No mask of val holds legs (level part).",
        "No mask of val holds lower (level half).",
    ]


def test_plain_images_are_no_near_duplicates_of_one_another(tmp_path):
    data = make_data(tmp_path)
    for split, grey in (("train", 90), ("val", 91)):
        image = np.full((*SIZE, 3), grey, np.uint8)
        cv2.imwrite(str(tmp_path / f"{split}/images/{split}0.png"), image)
    assert inspect(data).findings == ()


def test_statistics_equal_counts_by_hand(tmp_path):
    data = make_data(tmp_path)
    with_mask(np.zeros(SIZE, np.uint8))(tmp_path)
    (tmp_path / "train/masks/train2.npy").write_bytes(b"")
    of = split_statistics(inspect(data))["train"]
    stripe = 48 * 16
    assert (of["pairs"], of["usable"]) == (4, 3)
    assert (of["height"], of["width"]) == ([48, 48, 48], [64, 64, 64])
    assert of["ignored_pixels"] == 8 / (3 * 48 * 64)
    assert of["levels"]["part"]["torso"] == {
        "pixels": 2 * stripe,
        "pixel_share": 2 * stripe / (3 * 48 * 64 - 8),
        "images": 2,
        "image_share": 2 / 3,
    }
    assert of["levels"]["half"]["upper"]["pixels"] == 4 * stripe
    assert of["levels"]["half"]["background"]["pixels"] == 6 * stripe - 8
    assert of["levels"]["half"]["background"]["images"] == 3


def test_names_that_a_terminal_would_obey_are_shown_as_escapes():
    assert printable("a\x1b[2J\n\udcffé.png") == r"a\x1b[2J\n\udcffé.png"


def test_a_data_set_without_any_split_is_refused(tmp_path):
    data = make_data(tmp_path)
    data.write_text("hierarchy: {body: [1, 2]}")
    with pytest.raises(ValueError, match="gives no image folder"):
        inspect(data)
    with pytest.raises(ValueError, match="--distance is 17"):
        inspect_dataset(load_spec(make_data(tmp_path)), 17)


def test_edges_between_two_values_are_no_fault_where_all_others_are_ignored(tmp_path):
    data = make_data(tmp_path)
    for file in tmp_path.glob("*/masks/*.npy"):
        sharp_hw = np.zeros(SIZE, np.uint8)
        cv2.circle(sharp_hw, (30, 24), 15, 255, -1)
        np.save(file, cv2.GaussianBlur(sharp_hw, (0, 0), 1))
    named = "names: [background, cell]\nlabels: {0: background, 255: cell}\nunknown: ignore\n"
    data.write_text(f"train: train/images\nval: val/images\n{named}")
    assert not inspect(data).findings
    three = named.replace("cell]", "cell, rim]").replace("cell}", "cell, 128: rim}")
    data.write_text(f"train: train/images\nval: val/images\n{three}")
    assert "blurred_mask" in {finding.kind for finding in inspect(data).findings}
