"""What is given to the library by mistake is refused in a sentence, or means what it says."""

import dataclasses
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hierseg_jax
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.pipeline import eval_batches, train_batches
from hierseg_jax.data.prepare.prepare import prepare
from hierseg_jax.data.read.folder import FolderSource
from hierseg_jax.data.read.members import parse_members, spec_text
from hierseg_jax.evaluation.confusions import confusion_matrices
from hierseg_jax.evaluation.metrics import evaluate_levels
from hierseg_jax.evaluation.predictions import leaf_classes, leaf_scores
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.losses.flat import crossentropy, dice, focal, tversky
from hierseg_jax.losses.sum_of_names import FOR_FLAT, parse_loss
from hierseg_jax.losses.total import LossOptions, build_loss
from hierseg_jax.models import create_model
from hierseg_jax.runtime.pictures import as_picture
from hierseg_jax.settings.reading import read_settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import local_path
from hierseg_jax.train.set_up import set_up
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.tree.siblings import find_siblings

TREE = Hierarchy.from_mapping({"a": ["b", "c"], "d": ["e"]}, ["background", "b", "c", "e"])
NAMES = "crossentropy + dice + focal + iou + tversky + lovasz + boundary"
LOGITS, LABELS = np.zeros((2, 3, 4, 4), np.float32), np.ones((2, 3, 4), np.uint8)


FIGURES = FiguresSource("val", 32, count=4, seed=0)


def model_of(**options):
    return create_model("esnet_mini", TREE.num_classes, **options)


def batches_of(batch_size=2, seed=0, **options):
    sizes = {"size": (32, 32), "batch_size": batch_size}
    return train_batches(FIGURES, augment="none", seed=seed, **sizes, **options)


def test_both_confusion_matrices_count_the_same_pixels():
    rng = np.random.default_rng(0)
    for labels, classes in ((4, 4), (6, 4)):
        label, prediction = rng.integers(-2, 9, (2, 20, 30)).astype(np.int16)
        label[:5], prediction[3:8] = 255, 255
        found = confusion_matrix(label, prediction, classes, labels)
        expected = confusion_matrices(prediction[None], label[None], classes, num_labels=labels)
        np.testing.assert_array_equal(found, expected[0])
        assert found.shape == (labels, classes)


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda: confusion_matrix(LABELS, LABELS, 4), r"integers \[height, width\]; got uint8 \(2"),
        (lambda: confusion_matrix(LABELS[0] / 255, LABELS[0], 4), "got float64"),
        (lambda: confusion_matrix(LABELS[0], LABELS[0, 1:], 4), r"and uint8 \(2, 4\)"),
        (lambda: confusion_matrices(LABELS, LABELS, 4, np.ones(1, bool)), "each of 2 examples"),
        (lambda: leaf_classes(LOGITS, TREE, "auto"), "no decoding 'auto'; choose of leaf"),
        (lambda: leaf_scores(LOGITS, TREE, None), "There is no decoding None"),
        (lambda: leaf_classes(LOGITS[..., :3], TREE, "leaf"), "takes 4 logits a pixel, one for"),
        (lambda: leaf_scores(LOGITS, TREE, "path"), "takes 7 logits a pixel, one for each node"),
        (lambda: crossentropy(LOGITS, LABELS / 255), "integers; got float32. A mask that was"),
        (lambda: dice(LOGITS, LABELS.astype(np.float32)), "integers; got float32"),
        (lambda: dice(LOGITS, LABELS, valid_b=[True]), r"each of 2 examples; got the shape \(1,\)"),
        (lambda: dice(LOGITS, LABELS, smooth=0), "smooth above 0; got 0.5, 0.5 and 0."),
        (lambda: tversky(LOGITS, LABELS, alpha=-1), "alpha and beta of 0 or more"),
        (lambda: focal(LOGITS, LABELS, gamma=float("nan")), "focal needs gamma 0 or more; got nan"),
        (
            lambda: crossentropy(LOGITS, LABELS, label_smoothing=0.1, hard_share=2),
            "hard_share is 2; it must be above 0",
        ),
        (
            lambda: build_loss(
                "crossentropy",
                TREE,
                options=LossOptions(class_weights=((1, 1, 1), (1, 1, -9, 1))),
            ),
            "class_weights holds -9; a weight is 0 or more",
        ),
        (lambda: build_loss("dice", {"a": ["b"]}), "got {'a': .*Hierarchy.from_mapping makes"),
        (lambda: evaluate_levels(np.zeros((1, 4, 4), int), "tree", 2), "got 'tree'"),
        (lambda: hierseg_jax.load(threads=0), "number of threads is 0; it is 1 or more"),
        (lambda: prepare("raw", "out", hierarchy={"a": [1]}), "A hierarchy is a Hierarchy"),
        (lambda: prepare(None, "out"), "A path is text, or a pathlib.Path; got None"),
        (lambda: local_path(b"x"), "A path is text, or a pathlib.Path; got b'x'"),
        (lambda: read_settings("figures"), "got 'figures'. load_config gives that of a name"),
        (lambda: set_up({}, pathlib.Path("run")), r"Settings; read_settings\(config\) gives"),
        (lambda: parse_members([3]), "data.spec holds 3; give text"),
        (
            lambda: model_of(conditional_head=TREE),
            r"find_siblings\(hierarchy\) gives them, got Hier",
        ),
        (
            lambda: model_of(conditional_head=find_siblings(TREE)),
            "each of its 5 nodes, which num_c",
        ),
        (lambda: model_of(embedding_size="8"), "embedding_size is '8'; it is a whole number"),
        (lambda: batches_of(batch_size=0), "batch_size is 0 over 1 host; it must be at least 1"),
        (lambda: batches_of(batch_size=3, process_count=2), "a multiple of the number of hosts"),
        (lambda: batches_of(process_index=2, process_count=2), "with 2 hosts it is 0 to 1"),
        (lambda: batches_of(seed=-1), "seed is -1 and start_step 0; neither is negative"),
        (lambda: batches_of(start_step=-1), "start_step -1; neither is negative"),
        (lambda: eval_batches(FIGURES, size=(32, 32), batch_size=0), "batch_size is 0 over 1 host"),
    ],
)
def test_mistakes_are_refused_in_a_sentence(mistake, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    with pytest.raises(HiersegError, match=sentence) as error:
        mistake()
    assert "\n" not in str(error.value)


def test_a_format_that_there_is_not_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(HiersegError, match="no format 'cocoo'; choose one of coco, labelme"):
        prepare(tmp_path, tmp_path.with_name("out"), source="cocoo")


def test_numbers_of_numpy_are_numbers(tmp_path):
    assert build_loss({"dice": np.float32(2), "iou": np.int64(1)}, TREE).terms[0][0] == 2.0
    options = LossOptions(every_level=True, level_weights=np.array([1, 2]))
    assert len(build_loss("dice", TREE, options=options).terms) == 1
    for wrong in (True, np.True_, "1"):
        with pytest.raises(HiersegError, match="it must be above 0"):
            parse_loss({"dice": wrong})
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    with pytest.raises(HiersegError, match="images"):  # and not the number of classes
        FolderSource(tmp_path / "images", np.int64(7))


def test_a_path_names_a_data_set_whatever_signs_are_in_it():
    (member,) = parse_members(pathlib.Path("a + 2*b/data.yaml"))
    assert (member.name, member.weight) == ("a + 2*b/data.yaml", 1.0)
    assert spec_text(pathlib.Path("x.yaml")) == "x.yaml"
    assert len(parse_members([pathlib.Path("x.yaml"), "0.5*y.yaml"])) == 2


def test_a_picture_is_no_view_of_what_was_given():
    frame = np.full((4, 6, 3), 7, np.uint8)
    for view in (frame, frame[:, ::-1], frame[..., ::-1]):
        picture = as_picture(view)
        frame[:] = 0
        assert (picture == 7).all()
        frame[:] = 7


def test_what_is_checked_may_be_traced():
    def loss(alpha):
        return tversky(LOGITS, LABELS, alpha=alpha, beta=1 - alpha, smooth=alpha)

    np.testing.assert_allclose(jax.jit(loss)(0.3), loss(0.3), rtol=1e-6)


def test_labels_beyond_32_bits_are_no_others():
    labels = LABELS.astype(np.int64)
    labels[0] += 2**32
    expected = crossentropy(LOGITS, np.where(labels > 9, 255, 1))
    assert crossentropy(LOGITS, labels) == expected
    assert expected > 0


def test_what_leads_to_a_file_is_a_path(tmp_path):
    (tmp_path / "a.png").touch()
    (entry,) = os.scandir(tmp_path)
    assert local_path(entry) == tmp_path / "a.png"


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("hierarchical", [False, True])
def test_losses_of_an_empty_batch_are_0(inner, hierarchical):
    tree = dataclasses.replace(PASCAL_PERSON_PART, inner_labels=inner)
    names = {*parse_loss(NAMES), "tree_min", "tree_min_focal", "tree_min + logic_rules"}
    names = names if hierarchical else {*parse_loss(NAMES), *FOR_FLAT}
    losses = [
        build_loss(name, tree, hierarchical=hierarchical, options=LossOptions(every_level=every))
        for name in sorted(names)
        for every in (False, not hierarchical)
    ]
    empty = jnp.zeros((0, 3, 4, losses[0].channels)), jnp.zeros((0, 3, 4), jnp.uint8)
    found = jax.jit(lambda *batch: [loss(*batch) for loss in losses])(*empty)
    assert [float(value) for value in found] == [0.0] * len(losses)
    assert confusion_matrices(empty[1], empty[1], 4).shape == (0, 4, 4)
