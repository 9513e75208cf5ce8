"""A fresh head in a network that comes with other classes learns before the rest does."""

import jax
import numpy as np
import pytest
from flax import traverse_util
from safetensors.numpy import save_file

from hierseg_jax.losses import build_loss
from hierseg_jax.models import NETWORKS, Variant, create_model, init_variables
from hierseg_jax.models.layers import Conv, ConvTranspose
from hierseg_jax.pytorch.convert import convert_to_checkpoint
from hierseg_jax.pytorch.weights import state_dict_from_variables
from hierseg_jax.settings import Settings
from hierseg_jax.settings.building import build_model
from hierseg_jax.settings.fitting import settled
from hierseg_jax.train.initial_head import fitted_head, places_of
from hierseg_jax.train.loop import set_up
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.runs import small_settings, train_here
from tests.tiny_network import TINY

TREE = Hierarchy.from_mapping({"warm": [1, 2], "cold": {"blue": [3], "green": [4]}})
HEADS = {
    "flat": {},
    "hierarchical": {"model__hierarchical": True},
    "conditional": {"model__sibling_softmax": True},
}


def coloured_squares(count, size):
    """Pictures of squares 16 pixels wide, and labels that their colours tell."""
    rng = np.random.default_rng(0)
    colors = np.array([[0.1, 0.1, 0.1], [1, 0, 0], [1, 0.8, 0], [0, 0.2, 1], [0, 0.9, 0.2]])
    blocks = rng.integers(0, len(colors), (count, size // 16, size // 16))
    labels_bhw = blocks.repeat(16, 1).repeat(16, 2).astype(np.uint8)
    return colors[labels_bhw].astype(np.float32), labels_bhw


@pytest.mark.parametrize(
    "head",
    ["conditional", *(pytest.param(h, marks=pytest.mark.slow) for h in ("flat", "hierarchical"))],
)
def test_it_alone_learns_what_the_features_tell(head):
    chosen = {"model__name": "effunet", "model__backbone": "lite0_short"}
    settings = settled(small_settings(**chosen, **HEADS[head]), Variant())
    model = build_model(settings.model, TREE)
    variables = traverse_util.flatten_dict(init_variables(model, jax.random.key(1)))
    images, labels = coloured_squares(4, 64)
    # Of a fresh network little reaches the head, as its norms have seen nothing.
    variables["params", "decoder_block2", "norm", "scale"] = np.full(24, 300, np.float32)
    every = np.ones(settings.model.head_channels(TREE), bool)
    found = fitted_head(model, variables, images, labels, settings.model, TREE, every)
    assert {path[:-1] for path in found} == {("params", "head")}
    loss = build_loss("crossentropy", TREE, hierarchical=head == "hierarchical")

    def loss_with(more):
        everything = traverse_util.unflatten_dict(variables | more)
        return float(loss(model.apply(everything, images), labels))

    zeros = {path: np.zeros_like(array) for path, array in found.items()}
    assert loss_with(found) < 0.7 * loss_with(zeros)


def test_channels_that_are_kept_stay_where_pictures_show_nothing_of_them():
    settings = settled(
        small_settings(model__name="effunet", model__backbone="lite0_short"), Variant()
    )
    model = build_model(settings.model, TREE)
    variables = traverse_util.flatten_dict(init_variables(model, jax.random.key(1)))
    images, labels = coloured_squares(2, 32)
    labels[labels == 2] = 255
    fresh = np.array([False, True, False, False, True])
    found = fitted_head(model, variables, images, labels, settings.model, TREE, fresh)
    for path, array in found.items():
        changed = (array != variables[path]).reshape(-1, len(fresh)).any(0)
        np.testing.assert_array_equal(changed, fresh)


def test_a_head_that_looks_around_is_left_as_it_is(monkeypatch):
    monkeypatch.setitem(NETWORKS, "tiny", TINY)
    settings = settled(small_settings(model__name="tiny"), Variant())
    model = build_model(settings.model, TREE)
    variables = traverse_util.flatten_dict(init_variables(model, jax.random.key(1)))
    images, labels = coloured_squares(2, 32)
    every = np.ones(5, bool)
    assert fitted_head(model, variables, images, labels, settings.model, TREE, every) == {}


@pytest.mark.parametrize(("layer", "doubled"), [(Conv(3, (1, 1)), 1), (ConvTranspose(3, 2), 2)])
@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_places_meet_their_labels(layer, doubled, most):
    x_bhwc = np.random.default_rng(0).normal(size=(3, 6, 9, 4)).astype(np.float32)
    params = layer.init(jax.random.key(0), x_bhwc)["params"]
    logits_bhwk = layer.apply({"params": params}, x_bhwc)
    labels_bhw = np.asarray(logits_bhwk.argmax(-1)).repeat(2, 1).repeat(2, 2).astype(np.uint8)
    x_1n1c, labels_1nf = places_of(x_bhwc, labels_bhw, layer, params, most)
    assert labels_1nf.shape == (1, x_1n1c.shape[1] * doubled, doubled)
    assert x_1n1c.shape[1] == {1: 3, 40: 18, 10_000: 162}[most]
    np.testing.assert_array_equal(layer.apply({"params": params}, x_1n1c).argmax(-1), labels_1nf)


def test_a_run_with_other_classes_starts_with_it(tmp_path, capsys):
    model = create_model("esnet_mini", 4)
    file = tmp_path / "weights.safetensors"
    save_file(state_dict_from_variables(model, init_variables(model, jax.random.key(5))), file)
    convert_to_checkpoint(file, tmp_path / "four", Settings())
    run = set_up(small_settings(model__pretrained=str(tmp_path / "four")), tmp_path / "run")
    told = capsys.readouterr()
    assert "Fitting the head to 32 training pictures." in told.out
    assert "it keeps more of what it knows with --config.learning_rate=0.0001 " in told.err
    assert run.weights.fresh_head
    fresh = set_up(small_settings(), tmp_path / "fresh").initial_state().params
    started = run.initial_state().params
    kernels = (params["decoder"]["output_conv"]["kernel"] for params in (fresh, started))
    assert all(
        np.any(a != b) for a, b in zip(*(np.moveaxis(k, 2, 0) for k in kernels), strict=True)
    )


def test_a_run_with_the_same_classes_keeps_its_head(tmp_path, capsys):
    train_here(tmp_path / "first", epochs=1)
    capsys.readouterr()
    run = set_up(small_settings(model__pretrained=str(tmp_path / "first")), tmp_path / "run")
    assert not run.weights.fresh_head
    assert "Fitting" not in capsys.readouterr().out
