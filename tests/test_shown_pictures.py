"""Labels on the pictures' own pixels: what is counted there, and what is shown."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.data.guided_labels import guided_labels
from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.data.resize import RESIZES, Resize, place
from hierseg_jax.data.sizes import bounded
from hierseg_jax.evaluation.eval_step import make_eval_step, make_scores
from hierseg_jax.evaluation.evaluate import evaluate_batches
from hierseg_jax.evaluation.sample_places import sample_places
from hierseg_jax.evaluation.shown_pictures import LONGEST, Gallery, SampleScores
from hierseg_jax.evaluation.tables import describe_view
from hierseg_jax.evaluation.tally import Measures
from hierseg_jax.evaluation.test_time_augmentation import make_augmented_forward
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.models.segmentation_model import SegmentationModel
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.sample_pictures import draw_samples
from hierseg_jax.tree.hierarchy import Hierarchy

TREE = Hierarchy.from_mapping({"a": [1, 2], "b": [3]})
SIZE = (32, 48)
SHAPES = ((40, 100), (90, 30), (32, 48), (33, 71), (28, 28))


class Coarse(SegmentationModel):
    """A network without parameters whose logits lie 4 pixels apart."""

    stride = 4
    output_stride = 4

    def __call__(self, image_bhwc, *, train=False):
        b, h, w, _ = image_bhwc.shape
        grey_bhw = image_bhwc.reshape(b, h // 4, 4, w // 4, 4, 3).mean((2, 4, 5))
        return self.enlarged(jnp.sin((jnp.arange(self.num_classes) + 3) * 3 * grey_bhw[..., None]))


class Blurred:
    """Soft noise of several sizes; some pixels are not labelled, some pictures can't be read."""

    def __init__(self, shapes=SHAPES, unreadable=()):
        rng = np.random.default_rng(0)
        self.examples = []
        for index, shape in enumerate(shapes):
            noise = cv2.GaussianBlur(rng.normal(128, 900, (*shape, 3)), (0, 0), 4)
            label = rng.integers(0, 4, shape, np.uint8)
            label[:3] = 255
            example = {"image": noise.clip(0, 255).astype(np.uint8), "label": label}
            self.examples.append(example | {"valid": np.array(index not in unreadable)})

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        return self.examples[index]


def network(decoding):
    return Coarse(TREE.num_nodes if decoding == "path" else TREE.num_classes)


def no_loss(logits_bhwc, label_bhw, **_):
    return logits_bhwc.mean()


def augmented(decoding):
    bilinear = network(decoding).clone(upsampling="bilinear").apply
    path = decoding == "path"
    return make_augmented_forward(bilinear, TREE, hierarchical=path, stride=4, scales=(1.0, 0.5))


@pytest.mark.parametrize(
    ("rule", "decoding", "forward"),
    [
        ("stretch", "leaf", None),
        ("letterbox", "top_down", None),
        ("crop", "path", None),
        ("letterbox", "leaf", augmented("leaf")),
    ],
)
def test_whole_pictures_are_counted_as_the_runtime_labels_them(rule, decoding, forward):
    resize, source, scores = Resize(rule), Blurred(), []
    step = make_eval_step(network(decoding), no_loss, TREE, decoding, forward, with_scores=True)
    compiled = all_devices().compile_eval_step(step)

    def watched(variables, batch):
        result = compiled(variables, batch)
        scores.extend(np.asarray(result["scores"]))
        return result

    done = evaluate_batches(
        watched,
        {},
        eval_batches(source, size=SIZE, resize=resize, batch_size=4, keep_labels=True),
        TREE,
        4,
        all_devices(),
        measures=Measures(whole=True, resize=resize, decoding=decoding),
    )
    expected = np.zeros_like(done.confusion_cc)
    for example, scores_chw in zip(source.examples, scores, strict=False):
        label_hw = example["label"]
        placement = resize.place(label_hw.shape, SIZE)
        found_hw = picture_labels(log_planes(scores_chw), placement, TREE, decoding)
        expected += confusion_matrix(label_hw, found_hw, TREE.num_classes)
    np.testing.assert_array_equal(done.confusion_cc, expected)
    assert scores[0].shape == (4, *(SIZE if forward else (8, 12)))
    assert np.count_nonzero(expected.sum(0)) > 2


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_scores_are_those_before_they_are_enlarged_and_change_nothing_else(upsampling):
    model = Coarse(4, upsampling=upsampling)
    (batch,) = eval_batches(Blurred(), size=SIZE, batch_size=len(SHAPES))
    plain, scored = (
        jax.jit(make_eval_step(model, no_loss, TREE, with_scores=scores))({}, batch)
        for scores in (False, True)
    )
    grid_bchw = scored.pop("scores")
    jax.tree.map(np.testing.assert_array_equal, plain, scored)
    image = batch["image"].astype(np.float32) / 255
    logits_bhwc = model.apply({}, image)
    np.testing.assert_allclose(plain["loss"], logits_bhwc.mean(), rtol=1e-5)
    if upsampling == "nearest":
        expected = jax.nn.softmax(logits_bhwc)[:, ::4, ::4]
        np.testing.assert_allclose(grid_bchw.transpose(0, 2, 3, 1), expected, atol=1e-6)


def gallery(source, rule, refined=True):
    return Gallery(source, TREE, "leaf", SIZE, Resize(rule), refined)


def scores_of(image_bhwc):
    return jax.jit(make_scores(Coarse(4), TREE))({}, image_bhwc)


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("rule", RESIZES)
def test_pictures_are_shown_as_they_are_with_the_labels_of_the_runtime(rule, refined):
    source = Blurred()
    shown = gallery(source, rule, refined)
    for index, example in enumerate(source.examples):
        picture = shown.show(scores_of, index)
        np.testing.assert_array_equal(picture.image, example["image"])
        np.testing.assert_array_equal(picture.label, example["label"])
        placement = Resize(rule).place(example["label"].shape, SIZE)
        scores_bchw = scores_of(placement.fit_image(example["image"])[None])
        planes_chw = log_planes(np.asarray(scores_bchw)[0])
        if refined:
            expected_hw = guided_labels(planes_chw, placement, TREE, example["image"])
        else:
            expected_hw = picture_labels(planes_chw, placement, TREE)
        np.testing.assert_array_equal(picture.prediction, expected_hw)


def test_what_edges_would_wipe_out_is_shown_as_it_is():
    """A young network's classes are scattered over a background that is likely everywhere."""
    source = Blurred()
    rng = np.random.default_rng(0)

    def young():
        scores_bchw = np.full((1, TREE.num_classes, *SIZE), 0.3, np.float32)
        scores_bchw[:, 0] = 0.5
        scores_bchw[:, 1] = np.where(rng.random(SIZE) < 0.15, 0.9, 0.3)
        return scores_bchw

    shown = gallery(source, "stretch")
    for index, example in enumerate(source.examples):
        scores_bchw = young()
        planes_chw = log_planes(scores_bchw[0])
        placement = Resize("stretch").place(example["label"].shape, SIZE)
        refined_hw = guided_labels(planes_chw, placement, TREE, example["image"])
        plain_hw = picture_labels(planes_chw, placement, TREE)
        assert (refined_hw > 0).sum() < 0.5 * (plain_hw > 0).sum()
        picture = shown.show(lambda _, known=scores_bchw: known, index)
        np.testing.assert_array_equal(picture.prediction, plain_hw)


@pytest.mark.parametrize("batch_size", [2, 4])
def test_samples_are_those_at_places_or_the_next_that_can_be_read(batch_size):
    """With the scores that their evaluation had, and no others."""
    source = Blurred(SHAPES * 2, unreadable=(3, 5))
    step = jax.jit(make_eval_step(Coarse(4), no_loss, TREE, with_scores=True))

    def samples(places, process=0, processes=1):
        kept = SampleScores(places, process, processes)
        told = {"process_index": process, "process_count": processes}
        batches = eval_batches(source, size=SIZE, batch_size=batch_size * processes, **told)
        for batch in batches:
            if rows := kept.choose(batch["valid"]):
                kept.add(rows, np.asarray(step({}, batch)["scores"]))
        return list(kept.by_index), gallery(source, "stretch").samples(kept.by_index)

    indices, found = samples([1, 5], 1, 2)
    assert indices == [1, 7]  # of 1, 3, 5, 7, 9 the first and the middle one, which can't be read
    for label, prediction, index in zip(found["label"], found["prediction"], indices, strict=True):
        np.testing.assert_array_equal(label, source[index]["label"])
        shown = gallery(source, "stretch").show(scores_of, index)
        np.testing.assert_array_equal(prediction, shown.prediction)
    assert samples([0, 2, 5, 7])[0] == [0, 2, 6, 7]
    assert samples(range(10))[0] == [0, 1, 2, 4, 6, 7, 8, 9]
    assert samples([]) == ([], {})


class Labels:
    """A picture a row, of classes side by side; None is one that can't be read."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def label(self, index):
        if self.rows[index] is None:
            raise HiersegError("a.png is damaged")
        return np.repeat(np.array([self.rows[index]], np.uint8), 4, 0)


def test_pictures_are_shown_that_show_many_classes_between_them():
    rows = [[0, 0], [1, 0], None, [1, 2], [1, 0], [3, 255], [1, 2], [0, 255]]
    source = Labels(rows)
    assert sample_places(source, TREE, 2) == [3, 5]
    assert sample_places(source, TREE, 1) == [3]
    assert sample_places(source, TREE, 4) == [1, 3, 5, 6]
    assert sample_places(source, TREE, 99) == [0, 1, 3, 4, 5, 6, 7]
    assert sample_places(source, TREE, 1, first=1, stride=2) == [3]
    assert sample_places(source, TREE, 0) == sample_places(Labels([]), TREE, 3) == []
    # Of equal ones those are taken that are far from one another.
    assert sample_places(Labels([[1, 2]] * 9), TREE, 3) == [0, 4, 8]
    # A few stray pixels are not seen.
    assert sample_places(Labels([[0] * 600 + [1], [0] * 3, [2] * 3]), TREE, 1) == [2]


def test_pictures_from_all_over_a_large_split_are_looked_at():
    source = Labels([[1]] * 500 + [[2]] * 500)
    first, second = sample_places(source, TREE, 2)
    assert first < 500 <= second


def test_a_large_picture_is_shown_smaller_and_in_place():
    """A bright half of a picture that is cropped at the sides, and four times too large."""
    shape, size = (4 * LONGEST // 4, 4 * LONGEST), (LONGEST // 4, LONGEST)
    # Of black this network knows nothing: all scores would be equal, and any border right.
    image, label = np.full((*shape, 3), 64, np.uint8), np.zeros(shape, np.uint8)
    image[:, shape[1] // 2 :], label[:, shape[1] // 2 :] = 255, 1
    picture = gallery([{"image": image, "label": label}], "crop").show(scores_of, 0)
    assert picture.image.shape == (*size, 3)
    assert picture.label.shape == picture.prediction.shape == size
    np.testing.assert_array_equal(picture.label == 1, picture.image[..., 0] > 127)
    seen = np.flatnonzero((picture.prediction != 255).all(0))
    assert (seen[0], seen[-1] + 1) == (LONGEST // 2 - 96, LONGEST // 2 + 96)
    left, right = (picture.prediction[:, at] for at in (seen[0], seen[-1]))
    edge = np.flatnonzero(picture.prediction[0] == right[0])[0]
    assert left[0] != right[0]
    assert abs(edge - LONGEST // 2) <= size[0] // 8  # within half a cell of the grid


SIDES = st.integers(1, 3000)


@given(st.tuples(SIDES, SIDES), st.integers(1, 600), st.sampled_from(RESIZES))
def test_a_smaller_picture_lies_where_the_large_one_does(shape, longest, rule):
    size = bounded(shape, longest)
    assert max(size) == min(max(shape), longest)
    placement = place(shape, SIZE, rule)
    smaller = placement.of_size(size)
    assert smaller.filled == placement.filled
    for old, new, of_old, of_new in (
        (placement.seen.top, smaller.seen.top, shape[0], size[0]),
        (placement.seen.left, smaller.seen.left, shape[1], size[1]),
    ):
        assert abs(new - old * of_new / of_old) <= 1
    inside = smaller.seen
    assert inside.top + inside.height <= size[0]
    assert inside.left + inside.width <= size[1]
    if rule != "crop":
        assert (inside.height, inside.width) == size


def test_a_view_tells_the_sampling_that_is_not_the_usual_one():
    view = {"image_size": 32, "resize": "crop", "sampling": "reference", "decode": "leaf"}
    view |= {"resolution": "network", "flip": False, "scales": [1]}
    told = "images at 32 pixels (crop, sampled as the reference does)"
    assert describe_view(view) == told
    assert describe_view(view | {"sampling": "exact"}) == told.replace(
        ", sampled as the reference does", ""
    )


def test_rows_of_samples_are_as_high_as_their_pictures(tmp_path):
    shapes = ((200, 100), (100, 200), (50, 50))
    samples = {
        "image": [np.zeros((*shape, 3), np.uint8) for shape in shapes],
        "label": [np.zeros(shape, np.uint8) for shape in shapes],
        "prediction": [np.zeros(shape, np.uint8) for shape in shapes],
    }
    draw_samples(samples, TREE, tmp_path / "a.png")
    drawn = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE)
    # Columns are equally wide, and every picture has its own proportions.
    assert abs(drawn.shape[1] - 5 * 200) <= 4 * 5
    black = np.flatnonzero((drawn == 0).mean(1) > 0.9)
    rows = np.split(black, np.flatnonzero(np.diff(black) > 1) + 1)
    assert [len(row) for row in rows] == [400, 100, 200]
