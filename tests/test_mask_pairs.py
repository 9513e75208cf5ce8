"""Which mask is whose, by names alone; what may be meant in two ways is refused."""

import pytest

from hierseg_jax.data.prepare.class_masks import _find
from hierseg_jax.data.prepare.mask_pairs import find_pairs


def touch(root, *names):
    for name in names:
        for i in (1, 2, 10) if "#" in name else (0,):
            file = root / name.replace("#", str(i))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return root


def pairs_of(root, *names):
    """`# ` in a name is 1, 2 and 10. Picture -> mask, by what their paths have for 1."""
    pairs, _ = find_pairs(touch(root, *names))
    found = {str(p.image.relative_to(root)): str(p.mask.relative_to(root)) for p in pairs}
    for image, mask in found.items():
        number = next((i for i in ("10", "2", "1") if i in image.split("/")[-1]), "")
        assert number in mask.split("/")[-1]
    return {a: b for a, b in found.items() if "2" not in a.split("/")[-1] and "10" not in a}


@pytest.mark.parametrize(
    ("names", "image", "mask"),
    [
        (["#.jpg", "#.png"], "1.jpg", "1.png"),
        (["#.jpg", "#_mask.png", "#_pred.png"], "1.jpg", "1_mask.png"),
        (["#.jpg", "#_mask.png", "#_mask_color.png"], "1.jpg", "1_mask.png"),
        (["a#.jpg", "a#_labelIds.png", "a#_labelTrainIds.png"], "a1.jpg", "a1_labelTrainIds.png"),
        (["img-#.png", "mask-#.png"], "img-1.png", "mask-1.png"),
        (["target_#.png", "target_#_mask.png"], "target_1.png", "target_1_mask.png"),
        (["images/#.jpg", "masks/#.png", "overlay/#.jpg"], "images/1.jpg", "masks/1.png"),
        (["images/#.jpg", "masks/#.png", "predictions/#.png"], "images/1.jpg", "masks/1.png"),
        (["images/#.jpg", "masks/#.png", "masks_pred/#.png"], "images/1.jpg", "masks/1.png"),
        (["rgb/#.png", "thermal/#.png", "labels/#.png"], "rgb/1.png", "labels/1.png"),
        (["images/#.jpg", "results/masks/#.png", "masks/#.png"], "images/1.jpg", "masks/1.png"),
        (["thermal/images/#.jpg", "thermal/masks/#.png"], "thermal/images/1.jpg",
         "thermal/masks/1.png"),
        (["images/manual_#.jpg", "masks/manual_#.png", "masks/label_#.png"],
         "images/manual_1.jpg", "masks/manual_1.png"),
        (["image_2/#.png", "semantic/#.png", "semantic_rgb/#.png"], None, None),
        (["xray/#.png", "masks/#.png"], "xray/1.png", "masks/1.png"),
        (["img/#.png", "masks_human/#.png", "masks_machine/#.png"], "img/1.png",
         "masks_machine/1.png"),
        (["a/images/#.jpg", "a/v1.2/labels/#.png", "a/v1.2/instances/#.png"], "a/images/1.jpg",
         "a/v1.2/labels/1.png"),
        (["Bild ä/#.x v1.JPG", "Bild ä_masks/#.x v1.PNG"], "Bild ä/1.x v1.JPG",
         "Bild ä_masks/1.x v1.PNG"),
        (["label_printer/images/label_#.jpg", "label_printer/masks/label_#.png"],
         "label_printer/images/label_1.jpg", "label_printer/masks/label_1.png"),
    ],
)  # fmt: skip
def test_one_mask_is_meant(tmp_path, names, image, mask):
    found = pairs_of(tmp_path / "labels of mine", *names)
    assert found == ({image: mask} if image else {"image_2/1.png": "semantic/1.png"})


@pytest.mark.parametrize(
    "names",
    [
        ["1.jpg", "10.png", "2.jpg"],
        ["images/#.jpg", "depth/#.png"],
        ["day/day1_#.jpg", "masks/day2_#.png"],
        ["images/beach.jpg", "masks/boat.png"],
        ["images/f0.jpg", "masks/f81.png", "masks/f92.png"],
        ["#.jpg", "#_1.png", "#_2.png"],
        ["left/#.jpg", "right/#.jpg"],
        ["images/#.jpg", "predictions/masks/#.png"],
        ["p_-5.jpg", "p_5_mask.png"],
    ],
)
def test_what_has_other_names_is_no_mask(tmp_path, names):
    assert find_pairs(touch(tmp_path, *names))[0] == []


@pytest.mark.parametrize(
    "names",
    [
        ["#.jpg", "#_mask.png", "#_gt.png"],
        ["images/#.jpg", "masks/#.png", "labels/#.png"],
        ["images/#.jpg", "v1/labels/#.png", "v2/labels/#.png"],
        ["shots/#.jpg", "more/#.jpg", "masks/#.png"],
        ["images/#.jpg", "photos/#.jpg", "masks/#.png"],
        ["a.jpg", "a.png", "a_mask.png"],
        ["#.jpg", "#.png", "#.jpeg", "#_mask.png"],
    ],
)
def test_what_may_be_meant_in_two_ways_is_refused(tmp_path, names):
    with pytest.raises(ValueError, match=r"may (both )?be the mask of"):
        find_pairs(touch(tmp_path, *names))


def test_films_keep_their_own_masks(tmp_path):
    """Of the same names; one film lacks some, and one all."""
    files = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg", "a/masks/1.png"]
    pairs, unmasked = find_pairs(touch(tmp_path, *files, "a/masks/2.png", "b/masks/1.png"))
    found = {str(p.image.relative_to(tmp_path)): str(p.mask.relative_to(tmp_path)) for p in pairs}
    assert found == {
        f"{name}.jpg": f"{name[0]}/masks{name[1:]}.png" for name in ("a/1", "a/2", "b/1")
    }
    first = tmp_path / "b/2.jpg"
    assert unmasked == (f"Left out, for there is no mask: 2 pictures, the first {first}.",)
    assert sorted(pair.name for pair in pairs) == ["a__1", "a__2", "b__1"]


def test_splits_and_names_are_those_of_folders(tmp_path):
    files = ["train_day/images/1.jpg", "train_night/images/1.jpg", "TestDataset/images/1.jpg"]
    masks = [file.replace("images", "masks").replace("jpg", "png") for file in files]
    pairs, _ = find_pairs(touch(tmp_path / "all", *files, *masks))
    assert sorted(pair[:2] for pair in pairs) == [
        ("test", "1"),
        ("train", "day__1"),
        ("train", "night__1"),
    ]
    pairs, _ = find_pairs(touch(tmp_path / "one", "deep/er/images/1.jpg", "deep/er/masks/1.png"))
    assert [pair[:2] for pair in pairs] == [("", "1")]


@pytest.mark.parametrize(
    "names",
    [
        ["#.jpg", "#_1stHO.png", "#_2ndHO.png"],
        ["#.jpg", "#_1.png", "#_2.png"],
        ["#.jpg", "#_mask.png", "#_mask_color.png"],
        ["#.jpg", "#_head.png"],
        ["images/#.jpg", "Category_ids/#.png", "Human_ids/#.png"],
    ],
)
def test_these_are_no_masks_of_classes(tmp_path, names):
    assert _find(touch(tmp_path, *names)).masks == {}


def test_masks_of_classes_are_told_apart_by_all_of_a_name(tmp_path):
    names = ["a_1.jpg", "a_10.jpg", "a.jpg", "b.jpg"]
    masks = ["a_1_left_arm.png", "a_1_leg_mask.png", "a_10_leg.png", "a_leg.png", "a_leg_vis.png"]
    found, unmasked = _find(touch(tmp_path, *names, *masks))
    assert {i.name: {c: m.name for c, m in of.items()} for i, of in found.items()} == {
        "a_1.jpg": {"left_arm": "a_1_left_arm.png", "leg": "a_1_leg_mask.png"},
        "a_10.jpg": {"leg": "a_10_leg.png"},
        "a.jpg": {"leg": "a_leg.png"},
    }
    assert [note.split(":")[0] for note in unmasked] == [
        "Left out, for there is no mask",
        "Of no class and no picture",
    ]
    (tmp_path / "a_1_leg.png").touch()
    with pytest.raises(ValueError, match=r"a_1_leg\.png and .* may both be the mask of leg"):
        _find(tmp_path)


def test_a_picture_s_own_words_are_no_class_and_no_reason(tmp_path):
    names = ["old_house.jpg", "old_house_roof.png", "old_house_door.png", "old_house_door_old.png"]
    found, notes = _find(touch(tmp_path, *names))
    ((image, masks),) = found.items()
    assert {name: mask.name for name, mask in masks.items()} == {
        "roof": "old_house_roof.png",
        "door": "old_house_door.png",
    }
    assert notes == (f"Of no class and no picture: 1 file, the first {image.parent / names[3]}.",)


def test_pictures_of_equal_words_have_no_masks_in_common(tmp_path):
    touch(tmp_path, "img_1.jpg", "photo_1.jpg", "img_1_head.png", "img_1_arm.png")
    with pytest.raises(ValueError, match=r"Masks of .*img_1\.jpg may be those of .*photo_1\.jpg"):
        _find(tmp_path)


def test_some_masks_beside_their_pictures_say_so_and_most_do_not(tmp_path):
    """`7.png` is a picture, or else the mask of `7.jpg`, and then `7_mask.png` is a second one."""
    touch(tmp_path, *(f"{i}.{kind}" for i in range(9) for kind in ("jpg", "png")))
    assert len(find_pairs(tmp_path)[0]) == 9
    (tmp_path / "7_mask.png").touch()
    with pytest.raises(ValueError, match="may be the mask of"):
        find_pairs(tmp_path)


def test_masks_of_two_kinds_are_refused_though_one_alone_has_the_pictures_names(tmp_path):
    """As the retinas of DRIVE, of which `mask` tells where the camera sees."""
    for i in range(21, 27):
        touch(tmp_path, f"images/{i}_training.tif", f"1st_manual/{i}_manual1.png")
        touch(tmp_path, f"mask/{i}_training_mask.png")
    with pytest.raises(
        ValueError, match=r"21_training_mask\.png and .*21_manual1\.png may both be"
    ):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("images", "masks", "others"),
    [
        ("train/images/train_#.png", "train/masks/train_#.png", "test/masks/test_#.png"),
        ("images/aachen_#_19.png", "labels/aachen_#_19.png", "labels/more/bochum_#_19.png"),
        ("images/2020_site_#.png", "masks/2020_site_#.png", "masks_unlabeled/2020_river_#.png"),
        ("train/images/2007_#.png", "train/masks/2007_#.png", "test/masks/2007_2#.png"),
        ("a/images/#.png", "a/masks/#.png", "b/masks/case#.png"),
        ("aug/images/flip_#.jpg", "aug/masks/flip_#.png", "orig_masks/#.png"),
    ],
)
def test_masks_of_pictures_that_are_not_there_are_left_out(tmp_path, images, masks, others):
    names = [of.replace("#", str(i)) for of in (images, masks, others) for i in range(1, 9)]
    pairs, notes = find_pairs(touch(tmp_path, *names))
    assert len(pairs) == 8
    assert any(note.startswith("Masks of no picture: 8 files") for note in notes)
