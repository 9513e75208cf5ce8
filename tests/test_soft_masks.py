"""White on black with soft edges is one thing; greys that are areas are classes."""

import cv2
import numpy as np
import pytest

from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.prepare.soft_masks import white_share
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.spec import read_classes
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

SIZE = (90, 120)


def discs(smooth=False, white=255):
    """White discs, hard or drawn smoothly, and where they are."""
    masks = []
    for number in range(12):
        mask_hw = np.zeros(SIZE, np.uint8)
        line = cv2.LINE_AA if smooth else cv2.LINE_8
        cv2.ellipse(mask_hw, (60, 45), (20 + number, 25), 10.0 * number, 0, 360, white, -1, line)
        masks.append(mask_hw)
    return masks


def save(root, masks, suffix=".png"):
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, mask in enumerate(masks):
        small = rng.integers(0, 256, (5, 6, 3), np.uint8)
        cv2.imwrite(str(root / f"images/{number}.jpg"), cv2.resize(small, SIZE[::-1]))
        cv2.imwrite(str(root / f"masks/{number}{suffix}"), mask)
    return root


def labels_of(prepared):
    spec = prepared.spec
    source = FolderSource(spec.layout("train"), spec.hierarchy.num_classes, spec.values)
    return {name: source[index]["label"] for index, name in enumerate(map(str, source.names))}


@pytest.mark.parametrize(("smooth", "suffix"), [(False, ".jpg"), (True, ".png"), (True, ".bmp")])
def test_what_is_half_as_bright_as_white_is_the_object(tmp_path, smooth, suffix):
    raw = save(tmp_path / "raw", discs(smooth), suffix)
    prepared = prepare(raw, tmp_path / "out", val_share=0)
    assert prepared.spec.hierarchy.class_names == ("background", "object")
    assert "edges are grey" in " ".join(prepared.notes)
    hard = discs()
    for name, label_hw in labels_of(prepared).items():
        expected_hw = hard[int(name)] > 0
        assert set(np.unique(label_hw)) == {0, 1}
        # Halves of pixels, and what JPEG makes of them, are told either way.
        edge_hw = cv2.dilate(expected_hw.astype(np.uint8), np.ones((3, 3))) != cv2.erode(
            expected_hw.astype(np.uint8), np.ones((3, 3))
        )
        np.testing.assert_array_equal((label_hw == 1)[~edge_hw], expected_hw[~edge_hw])


def test_the_object_has_the_name_of_a_table_or_of_the_tree(tmp_path):
    raw = save(tmp_path / "raw", discs(smooth=True))
    (raw / "classes.txt").write_text("background\npolyp\n")
    assert prepare(raw, tmp_path / "a").spec.hierarchy.class_names[1] == "polyp"
    tree = Hierarchy.from_mapping(["cell"], ["background", "cell"], ["class"])
    assert prepare(raw, tmp_path / "b", hierarchy=tree).spec.hierarchy.class_names[1] == "cell"
    more = Hierarchy.from_mapping(["a", "b"], ["background", "a", "b"], ["class"])
    with pytest.raises(HiersegError, match=r"two classes, and there are 3: background, a, b"):
        prepare(raw, tmp_path / "c", hierarchy=more)


def areas(values):
    mask_hw = np.zeros(SIZE, np.uint8)
    for number, value in enumerate(values):
        mask_hw[:, number * 120 // len(values) :] = value
    return mask_hw


@pytest.mark.parametrize(
    "values",
    [
        (0, 255),
        (0, 128, 255),
        (0, 1, 2, 255),
        (*range(21), 255),
        (0, 30, 60, 90, 120, 150, 180, 210, 240),
        (0, 1, 2, 3),
        (0, 40, 214),
    ],
)
def test_areas_of_a_grey_are_classes(tmp_path, values):
    masks = [areas(values), areas(values[::-1])]
    raw = save(tmp_path / "raw", masks)
    assert white_share(sorted((raw / "masks").iterdir())) is None


def test_jpeg_of_several_greys_is_refused(tmp_path):
    raw = save(tmp_path / "raw", [areas((0, 80, 160, 255))] * 3, ".jpg")
    with pytest.raises(HiersegError, match=r"masks.0\.jpg is JPEG or WebP\. These change"):
        prepare(raw, tmp_path / "out")


def test_hardly_a_pixel_between_greys_is_no_class(tmp_path):
    masks = [areas((0, 128, 255)) for _ in range(8)]
    for number, mask_hw in enumerate(masks):
        mask_hw[3, 40] = 61 + number
        mask_hw[4, 80] = 190 + number
    raw = save(tmp_path / "raw", masks)
    prepared = prepare(raw, tmp_path / "out")
    assert prepared.spec.hierarchy.class_names == ("background", "class_128", "class_255")
    (told,) = [note for note in prepared.notes if "are ignored. If one is a class" in note]
    assert told.startswith("16 values (61, 62, 63, 64, 65, 66, 67, 68, ...) with 0.02% of the pix")


def test_rare_classes_that_are_counted_are_classes(tmp_path):
    masks = [areas((0, 15, 3)) for _ in range(8)]
    masks[0][0, 0], masks[1][0, 0], masks[2][0, 0], masks[3][0, 0] = 4, 5, 6, 7
    raw = save(tmp_path / "raw", masks)
    assert prepare(raw, tmp_path / "out").spec.hierarchy.num_classes == 7


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1, 1, 1, 2, 3), "No mask holds 0, for a background, and 1 has 60% of the pixels"),
        ((255,) * 9 + (128, 0), "0 is taken for the background, and 255 has 82% of the pixels"),
    ],
)
def test_a_likely_background_is_told_with_the_file_that_makes_it_one(tmp_path, values, said):
    raw = save(tmp_path / "raw", [areas(values)] * 4)
    (note,) = [n for n in prepare(raw, tmp_path / "a").notes if said in n]
    tree = tmp_path / "tree.yaml"
    tree.write_text("\n".join(note.split("`")[1::2]))
    told = read_classes(tree)
    prepared = prepare(raw, tmp_path / "b", hierarchy=told.hierarchy, labels=told.labels)
    assert prepared.spec.hierarchy.background == 0
    (label_hw, *_) = labels_of(prepared).values()
    np.testing.assert_array_equal(label_hw == 0, areas(values) == max(values, key=values.count))


def rims(rim, white=255, width=3):
    """Discs with a rim of a grey, which is a class."""
    masks = []
    for number in range(12):
        mask_hw = np.zeros(SIZE, np.uint8)
        for x in (30, 60, 90):
            cv2.circle(mask_hw, (x, 30 + number), 14, rim, -1)
            cv2.circle(mask_hw, (x, 30 + number), 14 - width, white, -1)
        masks.append(mask_hw)
    return masks


@pytest.mark.parametrize("rim", [85, 127, 128, 170])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_thin_classes_of_a_grey_are_classes(tmp_path, rim, width):
    raw = save(tmp_path / "raw", rims(rim, width=width))
    names = prepare(raw, tmp_path / "out").spec.hierarchy.class_names
    assert names == ("background", f"class_{rim}", "class_255")


def test_values_of_a_table_are_its_classes(tmp_path):
    raw = save(tmp_path / "raw", rims(128))
    (raw / "id2label.json").write_text('{"0": "background", "128": "border", "255": "cell"}')
    names = prepare(raw, tmp_path / "out").spec.hierarchy.class_names
    assert names == ("background", "border", "cell")
    raw = save(tmp_path / "soft", discs(smooth=True))
    (raw / "id2label.json").write_text('{"0": "leaf", "255": "background"}')
    prepared = prepare(raw, tmp_path / "b", val_share=0)
    assert prepared.spec.hierarchy.class_names == ("background", "leaf")
    label_hw = labels_of(prepared)["0"]
    assert (label_hw[45, 60], label_hw[2, 2]) == (0, 1)


def test_small_classes_of_a_grey_are_classes(tmp_path):
    masks = []
    for number in range(6):
        mask_hw = np.zeros((400, 400), np.uint8)
        cv2.circle(mask_hw, (200, 200), 90, 250, -1)
        for i, grey in enumerate((50, 100, 150, 200)):
            cv2.circle(mask_hw, (40 + 80 * i, 40), 2 + number % 2, grey, -1)
        masks.append(mask_hw)
    raw = save(tmp_path / "raw", masks)
    for number in range(6):
        cv2.imwrite(str(raw / f"images/{number}.jpg"), np.zeros((400, 400, 3), np.uint8))
    assert prepare(raw, tmp_path / "out").spec.hierarchy.num_classes == 6


def test_a_mask_with_an_area_of_grey_among_soft_ones_is_named(tmp_path):
    masks = [cv2.GaussianBlur(mask_hw, (0, 0), 1) for mask_hw in discs()]
    masks[7][10:40, 10:60] = 120
    raw = save(tmp_path / "raw", masks)
    with pytest.raises(HiersegError, match=r"masks.7\.png has areas of grey, and other masks are"):
        prepare(raw, tmp_path / "out")


def test_white_surroundings_are_told(tmp_path):
    inverted = [255 - mask_hw for mask_hw in discs(smooth=True)]
    notes = prepare(save(tmp_path / "inverted", inverted), tmp_path / "b").notes
    assert any("of the pixels are white, and taken for object. If it is" in n for n in notes)


def test_masks_that_can_t_be_read_are_all_named(tmp_path):
    raw = save(tmp_path / "raw", discs(smooth=True))
    (raw / "classes.txt").write_text("background\npolyp\n")
    for number in (3, 5):
        file = raw / f"masks/{number}.png"
        file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(HiersegError, match=r"has 2 faults, and nothing was written"):
        prepare(raw, tmp_path / "out")


def circles(values, border=255, thickness=5):
    """Areas of index values with a border, as Pascal VOC has them."""
    masks = []
    for number in range(12):
        mask_hw = np.zeros((180, 240), np.uint8)
        value = values[number % len(values)]
        cv2.circle(mask_hw, (120, 80 + number), 45, value, -1)
        cv2.circle(mask_hw, (120, 80 + number), 45, border, thickness)
        masks.append(cv2.resize(mask_hw, SIZE[::-1], interpolation=cv2.INTER_LINEAR))
    return masks


def lines(greys, resized=False):
    masks = []
    for number in range(12):
        mask_hw = np.zeros((180, 240), np.uint8)
        cv2.circle(mask_hw, (200, 140), 20, 255, -1)
        for i, grey in enumerate(greys):
            cv2.line(mask_hw, (5, 10 + number + 12 * i), (150, 10 + 12 * i), grey, 3)
        size = SIZE[::-1] if resized else (240, 180)
        masks.append(cv2.resize(mask_hw, size, interpolation=cv2.INTER_LINEAR))
    return masks


@pytest.mark.parametrize(
    "masks",
    [
        circles(range(1, 13)),
        circles([3, 5]),
        circles([29], border=0),
        circles([250, 230], border=0),
        lines(range(60, 220, 20)),
        lines([85, 170], resized=True),
        rims(128, width=3),
    ],
    ids=["voc", "small", "dark", "bright", "baselines", "vessels", "rims"],
)
def test_areas_and_lines_of_other_values_are_no_edges(tmp_path, masks):
    raw = save(tmp_path / "raw", masks)
    files = sorted((raw / "masks").iterdir())
    assert white_share(files) is None
    for file, mask in zip(sorted(files, key=lambda file: int(file.stem)), masks, strict=True):
        cv2.imwrite(str(file.with_suffix(".jpg")), mask)
    assert white_share(sorted((raw / "masks").glob("*.jpg"))) is None


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("names", [["background", "leaf"], ["leaf", "background"], ["a", "b"]])
def test_a_table_of_two_lines_is_of_black_and_white(tmp_path, smooth, names):
    raw = save(tmp_path / "raw", discs(smooth))
    (raw / "classes.txt").write_text("\n".join(names))
    prepared = prepare(raw, tmp_path / "out", val_share=0)
    label_hw = labels_of(prepared)["0"]
    told = [prepared.spec.hierarchy.class_names[label_hw[at]] for at in ((2, 2), (45, 60))]
    assert told == names
