"""Wherever a picture's mirror image is shown, left and right change places; nowhere else."""

import dataclasses

import numpy as np
import pytest
import yaml

from hierseg_jax.data.augment.choice import choose_augmentation
from hierseg_jax.data.augment.geometry import flip, optical_distortion, rotate
from hierseg_jax.data.inspection.sides import mixed_up
from hierseg_jax.data.resize import Resize
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.view import View
from hierseg_jax.settings.building import check_tree_of_data
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.set_up import set_up
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.pairs import parse_pairs, unpaired
from tests.figure_folder import write_figures
from tests.runs import small_settings, train_here

LEFT, RIGHT = 2, 5
SWAP = np.arange(256, dtype=np.uint8)
SWAP[[LEFT, RIGHT]] = RIGHT, LEFT


def landscape(height, width):
    """Red grows to the right, green downwards: their gradients tell a mirror image."""
    x, y = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    return np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)


def handedness(image_hwc):
    """Positive where a landscape is only turned, negative in its mirror image."""
    (red_y, red_x), (green_y, green_x) = (
        np.gradient(image_hwc[..., i].astype(float)) for i in (0, 1)
    )
    return red_x * green_y - red_y * green_x


def test_left_and_right_that_are_no_pair_are_known_by_their_names():
    names = (
        *("bg", "left_arm", "right_arm", "r_eye", "l_eye", "EarL", "EarR", "LeftShoe", "RightShoe"),
        *(
            "leg-L",
            "leg-R",
            "leftover",
            "rightover",
            "lamp",
            "ramp",
            "L1",
            "left_only",
            "a l",
            "a r",
        ),
    )
    assert unpaired(names, ((1, 2),)) == (
        ("l_eye", "r_eye"),
        ("LeftShoe", "RightShoe"),
        ("leg-L", "leg-R"),
        ("a l", "a r"),
    )
    tree = Hierarchy.from_mapping([1, 2, 3, 4], ["bg", "l_a", "r_a", "x", "y"], pairs=[["x", "y"]])
    sentence = mixed_up(tree)
    line = yaml.safe_load(sentence.split("`")[1])
    assert not mixed_up(
        dataclasses.replace(tree, pairs=parse_pairs(**line, class_names=tree.class_names))
    )
    assert len(line["pairs"]) == 2


@pytest.mark.parametrize("size", [(80, 80), (40, 160)])
@pytest.mark.parametrize("transform", [rotate, flip, optical_distortion])
def test_left_becomes_right_exactly_where_the_picture_is_mirrored(transform, size):
    image, label = landscape(*size), np.full(size, LEFT, np.uint8)
    seen = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        new_image, new_label = transform(rng, image, label, mirrored=SWAP)
        sign = handedness(new_image)
        # Where rows or columns repeat, at an edge's mirror, there is no telling.
        right, left = new_label == RIGHT, new_label == LEFT
        assert (right | left).all()
        assert (sign[right] > 0).sum() <= 0.02 * label.size
        assert (sign[left] < 0).sum() <= 0.02 * label.size
        seen |= {(sign[right] < 0).any(), not right.any()}
        _, plain = transform(np.random.default_rng(seed), image, label)
        assert (plain == LEFT).all()
    assert True in seen


def test_a_flip_both_ways_is_a_turn_and_keeps_left_and_right():
    image, label = landscape(8, 8), np.full((8, 8), LEFT, np.uint8)
    by_flip = {}
    for seed in range(40):
        new_image, new_label = flip(np.random.default_rng(seed), image, label, mirrored=SWAP)
        mirrored = tuple(bool(new_image[0, 0, i] > 100) for i in (0, 1))  # in x, in y
        by_flip.setdefault(mirrored, set()).update(np.unique(new_label).tolist())
    assert by_flip == {(True, False): {RIGHT}, (False, True): {RIGHT}, (True, True): {LEFT}}


@pytest.mark.parametrize("name", ["reference", "modern"])
def test_every_augmentation_exchanges_the_pairs_and_is_unchanged_without(name):
    image, label = landscape(32, 32), np.full((32, 32), LEFT, np.uint8)
    size = 32, 32
    plain = choose_augmentation(name, size, Resize())
    paired = choose_augmentation(name, size, Resize(), SWAP)
    without = choose_augmentation(name, size, Resize(), np.arange(256, dtype=np.uint8))
    exchanged = 0
    for seed in range(120):
        expected = plain(np.random.default_rng(seed), image, label)
        for found in (paired, without):
            new = found(np.random.default_rng(seed), image, label)
            np.testing.assert_array_equal(new[0], expected[0])
            same = np.where(new[1] == RIGHT, LEFT, new[1])
            np.testing.assert_array_equal(same, expected[1])
            exchanged += (new[1] == RIGHT).any()
            assert found is paired or not (new[1] == RIGHT).any()
    assert exchanged > 0


NAMES = "[background, torso, head, arm, forearm, thigh, shin]"
DATA = (
    "train: train/images\nval: val/images\n"
    f"names: {NAMES}\nlevel_names: [half, part]\n"
    "hierarchy: {upper: [1, 2, 3, 4], lower: [5, 6]}\n"
)


def write_data(file, pairs=""):
    file.write_text(DATA + pairs)
    return str(file)


def tree(pairs=()):
    names = NAMES.strip("[]").split(", ")
    groups = {"upper": [1, 2, 3, 4], "lower": [5, 6]}
    return Hierarchy.from_mapping(groups, names, ["half", "part"], pairs)


@pytest.mark.parametrize(
    ("of_checkpoint", "of_data", "taken"),
    [
        ((), "pairs: [[3, 4]]", ((3, 4),)),
        (((3, 4),), "", ((3, 4),)),
        (((3, 4),), "pairs: [[5, 6]]", ((5, 6),)),
        ((), "", ()),
    ],
)
def test_a_mirror_takes_the_pairs_of_the_data_else_those_of_the_checkpoint(
    tmp_path, of_checkpoint, of_data, taken
):
    data = write_data(tmp_path / "data.yaml", of_data)
    own = small_settings(data__spec=str(tmp_path / "other.yaml")).data
    found = check_tree_of_data(tree(of_checkpoint), own, data, "The checkpoint")
    assert found.pairs == taken
    assert found == tree()


def test_pairs_that_a_run_set_over_its_own_data_stay(tmp_path):
    data = write_data(tmp_path / "data.yaml", "pairs: [[5, 6]]")
    settings = small_settings(data__spec=data, data__hierarchy="tree.yaml").data
    own = tree([[3, 4]])
    assert check_tree_of_data(own, settings, data, "The checkpoint").pairs == ((3, 4),)
    without = dataclasses.replace(own, pairs=())
    assert check_tree_of_data(without, settings, data, "The checkpoint").pairs == ((5, 6),)


def test_evaluation_looks_at_the_mirror_image_with_the_pairs_of_its_data(tmp_path):
    data = write_data(write_figures(tmp_path))
    workdir = tmp_path / "run"
    options = {"data__spec": data, "model__hierarchical": True, "loss": "crossentropy"}
    train_here(workdir, epochs=1, batch_size=24, augment=False, **options)
    # No pairs of this tree can be these: the error tells that they were looked at.
    other = write_data(tmp_path / "other.yaml", "pairs: [[head, shin]]")
    with pytest.raises(HiersegError, match="upper of level half has no mirror image"):
        evaluate_checkpoint(str(workdir), task="val", data=other, view=View(flip=True))


@pytest.mark.parametrize("augment", [True, False])
def test_a_run_tells_of_sides_that_its_mirror_mixes_up(tmp_path, capsys, augment):
    file = write_figures(tmp_path)
    file.write_text(DATA.replace("arm, forearm", "l_arm, r_arm"))
    set_up(small_settings(data__spec=str(file), augment=augment), tmp_path / "run", False)
    told = "Write `pairs: [[l_arm, r_arm]]` in data.yaml" in capsys.readouterr().err
    assert told == augment
