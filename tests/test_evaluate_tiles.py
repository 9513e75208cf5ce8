"""Evaluation of pictures on their own pixels, in windows."""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.data.resize import Resize
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.extremes import Extremes
from hierseg_jax.evaluation.page.commands import evaluate_command
from hierseg_jax.evaluation.tables import describe_view, to_json
from hierseg_jax.evaluation.tally import Measures
from hierseg_jax.evaluation.tiled_evaluation import TiledEvaluation, make_window_step
from hierseg_jax.evaluation.view import View
from hierseg_jax.evaluation.view_name import evaluation_name
from hierseg_jax.evaluation.whole_pictures import confusion_matrix
from hierseg_jax.models import init_variables
from hierseg_jax.settings.building import build_model
from hierseg_jax.system.devices.parallel import all_devices
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.figure_folder import write_figures
from tests.runs import small_settings
from tests.test_whole_pictures import TREE, ColoursAsClasses, Painted

SIZE = (32, 24)


class Mixed(Painted):
    """With one picture more, of the windows' size, and one that could not be read."""

    def __init__(self):
        super().__init__()
        self.labels.append(self.labels[0][: SIZE[0], : SIZE[1]])

    def __len__(self):
        return len(self.labels) + 1

    def __getitem__(self, index):
        if index < len(self.labels):
            return super().__getitem__(index)
        return super().__getitem__(1) | {"valid": np.array(False)}


MEASURES = Measures(boundary=True, whole=True)


def tallied(*args, **options):
    return tiled_evaluation(*args, **options).tally(MEASURES)


def colours_as_classes(variables, image_bhwc):
    return ColoursAsClasses().apply(variables, image_bhwc)


def tiled_evaluation(batch_size=3, stride=1, decoding="leaf", network=colours_as_classes):
    def forward(variables, image_bhwc):
        return network(variables, image_bhwc[:, ::stride, ::stride])

    parallel = all_devices()
    return TiledEvaluation(
        parallel.compile_eval_step(make_window_step(forward, TREE, decoding)),
        parallel.put_state({}),
        Mixed(),
        functools.partial(Resize("crop").place, size=SIZE),
        hierarchy=TREE,
        decoding=decoding,
        batch_size=batch_size * len(parallel.devices),
        parallel=parallel,
    )


@pytest.mark.parametrize("decoding", ["leaf", "top_down"])
def test_every_pixel_is_counted_once_and_right_where_the_network_is(decoding):
    tally, source = tallied(decoding=decoding), Mixed()
    assert np.concatenate(tally.valid).tolist() == [True] * 5 + [False]
    for index in range(6):
        label_hw = source[index]["label"]
        expected = confusion_matrix(label_hw, np.where(label_hw == 255, 0, label_hw), 4)
        np.testing.assert_array_equal(tally.confusions[index][0], expected)
        assert tally.looked_at[index] == (label_hw != 255).sum()
        assert tally.boundaries[index].shape == (1, 3, TREE.num_nodes)
    assert not np.concatenate(tally.unseen).any()  # a crop is for pictures that are scaled
    assert np.isnan(tally.losses).all()


def test_ignored_pixels_are_not_inconsistent():
    """Of a network whose likeliest class is in another group than the likeliest everywhere."""
    probabilities = np.array([0.05, 0.3, 0.3, 0.35], np.float32)

    def divided(variables, image_bhwc):
        return np.log(probabilities) + 0 * image_bhwc[..., :1]

    tally, source = tallied(network=divided), Mixed()
    assert any((source[index]["label"] == 255).any() for index in range(5))
    for index in range(5):
        assert tally.inconsistent[index] == (source[index]["label"] != 255).sum()


def test_nothing_depends_on_how_windows_share_batches():
    one, many = tallied(2), tallied(16)
    for name in ("confusions", "inconsistent", "boundaries"):
        for a, b in zip(getattr(one, name), getattr(many, name), strict=True):
            np.testing.assert_array_equal(a, b)


def test_scores_a_stride_apart_are_brought_to_the_windows_size():
    confusion = sum(part[0] for part in tallied(stride=4).confusions[:5])
    assert 0.75 < np.trace(confusion) / confusion.sum() < 1  # all but the edges of blocks


def test_the_best_and_the_worst_are_shown_as_they_were_counted():
    extremes = Extremes(2)
    tiled = tiled_evaluation()
    tiled.tally(MEASURES, extremes)
    for picture in (*extremes.best(tiled.show), *extremes.worst(tiled.show)):
        label_hw = Mixed()[picture.index]["label"]
        np.testing.assert_array_equal(picture.label, label_hw)
        known = label_hw != 255
        np.testing.assert_array_equal(picture.prediction[known], label_hw[known])


@pytest.fixture(scope="module")
def checkpoint():
    """Of a network as it is before training, for figures of 32 pixels."""
    usual = small_settings(data__figures_val=3)
    model = build_model(usual.model, PASCAL_PERSON_PART)
    variables = init_variables(model, jax.random.key(0))
    meta = {"step": 0, "epoch": None}
    return Checkpoint(Path("new"), variables, None, meta, usual, PASCAL_PERSON_PART)


@pytest.fixture
def data(tmp_path):
    """Figures of 64 x 32, 32 x 64 and 44 x 60, with the tree of the embedded ones."""
    file = write_figures(tmp_path)
    told = PASCAL_PERSON_PART.to_json()
    keys = {"names": told["class_names"], "level_names": told["level_names"]}
    (groups,) = told["tree"]
    keys["hierarchy"] = {"body": {k: v for group in groups["body"] for k, v in group.items()}}
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | keys, sort_keys=False))
    return str(file)


def test_pictures_within_a_window_count_as_a_single_pass_does_and_have_no_loss(checkpoint):
    tiled, description = evaluate_checkpoint(checkpoint, task="val", view=View(tiles=True))
    whole, plain = evaluate_checkpoint(checkpoint, task="val", view=View(resolution="original"))
    np.testing.assert_array_equal(tiled.confusion_cc, whole.confusion_cc)
    assert tiled.num_images == whole.num_images == 3
    assert tiled.tree.contradictions == pytest.approx(whole.tree.contradictions)
    assert to_json(tiled, description)["loss"] is None
    assert description == plain | {"tiles": True}


def test_larger_pictures_are_seen_at_their_own_size(checkpoint, data):
    view = View(tiles=True, flip=True)
    done, description = evaluate_checkpoint(
        checkpoint, task="val", view=view, data=data, num_extremes=1
    )
    assert done.confusion_cc.sum() == 3 * (64 * 32 + 32 * 64 + 44 * 60)
    assert done.unseen == 0
    assert done.worst[0].prediction.shape in {(64, 32), (32, 64), (44, 60)}
    assert describe_view(description).startswith("images on their own pixels, in windows of 32 ")
    own = description | {"data": checkpoint.settings.data.spec}
    assert evaluation_name(own, checkpoint.settings) == "val_tiles_flip"
    command = evaluate_command(description, checkpoint.settings, Path("out"))
    assert "--tiles=true" in command
    assert not any("resolution" in flag for flag in command)


def test_scaling_and_not_scaling_are_not_both_to_be_had(checkpoint):
    with pytest.raises(ValueError, match="leave one of the two out"):
        evaluate_checkpoint(checkpoint, task="val", view=View(tiles=True, resolution="network"))
