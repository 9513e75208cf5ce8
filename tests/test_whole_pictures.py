"""Evaluation on the pictures' own pixels."""

import numpy as np
import pytest

from hierseg_jax.data.pipeline import eval_batches
from hierseg_jax.data.resize import Resize
from hierseg_jax.evaluation.eval_step import make_eval_step
from hierseg_jax.evaluation.evaluate import evaluate_batches
from hierseg_jax.evaluation.tally import Measures, Pictures
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.losses import crossentropy
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.tree.hierarchy import Hierarchy

TREE = Hierarchy.from_mapping({"a": [1, 2], "b": [3]})
SHAPES = ((40, 100), (90, 30), (64, 64), (33, 71))


class ColoursAsClasses:
    """Stands in for a network: class i is a grey of 40 + 50 i, the bars' grey background."""

    num_classes = 4
    axis_name = None
    matmul_precision = "default"
    dtype = np.float32
    conv_impl = "xla"

    def clone(self, **fields):
        return self

    def apply(self, variables, image_bhwc):
        greys = (40 + 50 * np.arange(4, dtype=np.float32)) / 255
        return -((image_bhwc[..., :1] - greys) ** 2) * 1e3


class Painted:
    """Pictures of blocks, of several sizes; the first rows of the last are not labelled."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.labels = []
        for height, width in SHAPES:
            blocks = rng.integers(0, 4, (-(-height // 15), -(-width // 15))).astype(np.uint8)
            self.labels.append(np.kron(blocks, np.ones((15, 15), np.uint8))[:height, :width])

    def __len__(self):
        return len(SHAPES)

    def __getitem__(self, index):
        label = self.labels[index]
        image = np.repeat((40 + 50 * label)[..., None], 3, axis=2)
        if index == 3:
            label = label.copy()
            label[:5] = 255
        return {"image": image, "label": label}


@pytest.fixture(scope="module")
def eval_step():
    step = make_eval_step(ColoursAsClasses(), crossentropy, TREE, with_scores=True)
    return all_devices().compile_eval_step(step)


def evaluated(eval_step, resize, whole, refined=False, size=(64, 96)):
    how = Resize(resize)
    batches = eval_batches(Painted(), size=size, resize=how, batch_size=3, keep_labels=whole)
    pictures = Pictures(Painted()) if refined else None
    measures = Measures(boundary=True, whole=whole, pictures=pictures, resize=how)
    return evaluate_batches(eval_step, {}, batches, TREE, 3, all_devices(), measures=measures)


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
def test_every_labelled_pixel_that_was_seen_is_counted_once(eval_step, resize):
    done = evaluated(eval_step, resize, True)
    labelled = sum(height * width for height, width in SHAPES) - 5 * 71
    seen = labelled
    if resize == "crop":
        # What has the input's aspect ratio, 2 to 3, of each: all the rest is cut off.
        seen = 40 * 60 + 20 * 30 + 43 * 64 + 33 * 50 - 5 * 50
    assert done.num_images == len(SHAPES)
    assert done.confusion_cc.sum() == seen
    assert done.unseen == pytest.approx(1 - seen / labelled)
    assert np.trace(done.confusion_cc) > 0.9 * seen  # but for the edges of blocks
    assert 0.5 < done.levels[TREE.level_names[-1]].mean_boundary_iou < 1


def test_bars_count_neither_in_losses_nor_in_metrics(eval_step):
    done = evaluated(eval_step, "letterbox", False)
    # A picture of the input's size but for bars: 64 x 160/3, 64 x 64/3, ...
    filled = 38 * 96 + 64 * 21 + 64 * 64 + 45 * 96 - round(5 * 45 / 33) * 96
    assert abs(int(done.confusion_cc.sum()) - filled) <= 96
    # Grey bars would be a class that is nowhere true.
    assert np.trace(done.confusion_cc) > 0.9 * done.confusion_cc.sum()


def test_stretched_at_the_network_the_two_resolutions_differ_by_edges_alone(eval_step):
    network, original = (evaluated(eval_step, "stretch", whole) for whole in (False, True))
    assert network.confusion_cc.sum() != original.confusion_cc.sum()
    for a, b in zip(network.levels.values(), original.levels.values(), strict=True):
        assert abs(a.miou - b.miou) < 0.1


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
def test_refined_predictions_have_the_pictures_edges_and_the_same_pixels(eval_step, resize):
    """Seen so small that a block of 15 pixels is a few of the network's."""
    original, refined = (
        evaluated(eval_step, resize, True, refined, size=(32, 48)) for refined in (False, True)
    )
    assert refined.confusion_cc.sum() == original.confusion_cc.sum()
    assert refined.unseen == original.unseen
    finest = TREE.level_names[-1]
    assert refined.levels[finest].miou > original.levels[finest].miou
    assert refined.levels[finest].mean_boundary_iou > original.levels[finest].mean_boundary_iou


def test_a_confusion_matrix_counts_pairs_that_are_known():
    label_hw = np.array([[0, 1, 2], [255, 3, 3]], np.uint8)
    prediction_hw = np.array([[0, 2, 255], [1, 3, 0]], np.uint8)
    expected = np.zeros((4, 4), int)
    expected[0, 0] = expected[1, 2] = expected[3, 3] = expected[3, 0] = 1
    np.testing.assert_array_equal(confusion_matrix(label_hw, prediction_hw, 4), expected)
