"""A conditional head: products of softmaxes among siblings, in training, export and runtime."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import tree
from hierseg_jax.bridge import scores as graph
from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.losses import crossentropy
from hierseg_jax.models import create_model
from hierseg_jax.models.conditional import leaf_log_probabilities
from hierseg_jax.pytorch.convert import convert_to_checkpoint, convert_to_torch
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.loop import set_up
from hierseg_jax.train.prior import initial_biases
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.tree.parsing import Group
from hierseg_jax.tree.siblings import find_siblings
from tests.programs import program
from tests.runs import small_settings, train_here
from tests.test_labels import trees

# Of configs/tree.py.
RECIPE = tree.get_config()
CONDITIONAL = {
    "model__sibling_softmax": RECIPE.model.sibling_softmax,
    "loss": RECIPE.loss,
    "loss_options__every_level": RECIPE.loss_options.every_level,
}
# Branches that end early, a group of one class, and one of one group.
ODD_TREE = Hierarchy.from_mapping({"a": [4, {"b": {"c": [6, 2]}}], "d": {"e": [3]}, "f": [5, 1]})


def slow_leaf_probabilities(hierarchy, logits_k):
    """Family by family: what a node has is shared among its children."""
    p = {}
    logits = list(logits_k)
    waiting = [(1.0, (0, *hierarchy.children))]
    while waiting:
        above, children = waiting.pop(0)
        shares = np.ones(1)
        if len(children) > 1:
            shares = np.exp([logits.pop(0) for _ in children])
            shares /= shares.sum()
        for share, child in zip(shares, children, strict=True):
            if isinstance(child, Group):
                waiting.append((above * share, child.children))
            else:
                p[child] = above * share
    assert not logits
    return [p[leaf] for leaf in range(hierarchy.num_classes)]


@settings(max_examples=5, deadline=None)
@given(trees(), st.integers(0, 2**31))
def test_a_leaf_s_probability_is_the_product_along_its_path(hierarchy, seed):
    siblings = find_siblings(hierarchy)
    logits = np.random.default_rng(seed).normal(0, 3, (1, 2, 3, siblings.num_nodes))
    of_head = program(functools.partial(leaf_log_probabilities, siblings=siblings))
    log_p = of_head(logits.astype(np.float32))
    for found, given_k in zip(log_p.reshape(6, -1), logits.reshape(6, -1), strict=True):
        expected = slow_leaf_probabilities(hierarchy, given_k)
        np.testing.assert_allclose(np.exp(found), expected, rtol=1e-4)
        np.testing.assert_allclose(sum(expected), 1)
    flat = hierarchy.num_levels == 1
    assert (siblings.num_nodes < hierarchy.num_nodes) != flat  # weights tell which head they are of


def test_nodes_without_siblings_have_no_channel():
    siblings = find_siblings(PASCAL_PERSON_PART)
    assert siblings.sizes == (2, 2, 4, 2)
    assert siblings.paths[0] == (0,)
    assert siblings.paths[2] == (1, 2, 6)
    odd = find_siblings(ODD_TREE)
    assert odd.sizes == (4, 2, 2, 2)
    assert (odd.paths[3], odd.paths[6]) == ((2,), (1, 5, 8))


def test_gradients_are_finite_and_other_families_have_none():
    siblings = find_siblings(PASCAL_PERSON_PART)
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 60, (1, 4, 4, siblings.num_nodes)))
    labels = np.full((1, 4, 4), 3, np.uint8)  # of the lower body

    def loss(logits_bhwk):
        return crossentropy(leaf_log_probabilities(logits_bhwk, siblings), labels)

    gradient = jax.jit(jax.grad(loss))(logits.astype(jnp.float32))
    assert np.isfinite(gradient).all()
    upper, lower = siblings.families[2:]
    assert np.abs(gradient[..., upper]).max() < 1e-6  # of rounding
    assert np.abs(gradient[..., lower]).max() > 1e-3


def test_the_graph_computes_what_the_network_does_however_far_apart_logits_lie():
    siblings = find_siblings(ODD_TREE)
    logits = np.random.default_rng(0).normal(0, 2, (1, siblings.num_nodes, 3, 5))
    logits[:, siblings.families[2]] += 500
    logits[:, 5, 0, 0] += 60
    logits = logits.astype(np.float32)
    found = graph.leaf_log_probabilities(logits, siblings)
    expected = leaf_log_probabilities(jnp.moveaxis(logits, 1, -1), siblings)
    np.testing.assert_allclose(np.moveaxis(found, 1, -1), expected, rtol=1e-5, atol=1e-4)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("conditional") / "run"
    train_here(workdir, **CONDITIONAL, model__prior="frequency", epochs=1)
    return workdir


def test_a_run_is_evaluated_as_it_was_validated(workdir):
    evaluation, _ = evaluate_checkpoint(workdir, task="val", batch_size=8)
    stored = load_checkpoint(find_checkpoint(workdir))
    assert evaluation.loss == pytest.approx(stored.meta["val_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("contract", "precision"), [("reference", "float32"), ("deploy", "float32"), ("deploy", "int8")]
)
def test_it_is_exported_verified_and_run(workdir, tmp_path, contract, precision):
    file = tmp_path / "conditional.onnx"
    export = export_checkpoint(str(workdir), str(file), contract=contract, precision=precision)
    assert export.difference <= 1e-4
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    p = Segmenter(file)(image).probabilities
    assert p.shape[0] == PASCAL_PERSON_PART.num_classes
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-2)
    if precision == "float32":
        siblings = find_siblings(PASCAL_PERSON_PART)
        model = create_model("esnet_mini", siblings.num_nodes)
        variables = load_checkpoint(find_checkpoint(workdir)).variables
        logits = np.asarray(model.apply(variables, image[None].astype(np.float32) / 255))[0]
        expected = slow_leaf_probabilities(PASCAL_PERSON_PART, logits[16, 16].astype(float))
        np.testing.assert_allclose(p[:, 16, 16], expected, rtol=1e-3, atol=1e-4)


def test_its_weights_go_to_pytorch_and_back(workdir, tmp_path):
    file = tmp_path / "weights.safetensors"
    convert_to_torch(workdir, file)
    convert_to_checkpoint(file, tmp_path / "back", small_settings(), image_size=32)
    back, stored = (load_checkpoint(f) for f in (tmp_path / "back", find_checkpoint(workdir)))
    assert back.settings.model.head == "conditional"
    jax.tree.map(np.testing.assert_array_equal, back.variables, stored.variables)


def test_its_head_starts_fresh_from_weights_of_another(workdir, tmp_path):
    flat = small_settings(model__pretrained=str(workdir))
    report = set_up(flat, tmp_path / "flat").weights.report
    assert "4 tensors left out: decoder/output_conv, encoder_head" in report
    same = small_settings(model__pretrained=str(workdir), model__sibling_softmax=True)
    assert "tensors left out" not in set_up(same, tmp_path / "same").weights.report
    with pytest.raises(HiersegError, match="holds esnet_mini with a conditional head, this run"):
        set_up(small_settings(init=str(workdir)), tmp_path / "whole")


def test_weights_of_another_head_are_refused_where_their_shapes_are_the_same(tmp_path):
    """With one level a flat head has as many channels, in the order of the classes."""
    file = tmp_path / "tree.yaml"
    file.write_text("hierarchy: [6, 5, 4, 3, 2, 1]")
    train_here(tmp_path / "flat", data__hierarchy=str(file), epochs=1)
    chosen = {"data__hierarchy": str(file), "init": str(tmp_path / "flat")}
    sentence = "holds esnet_mini, this run is to train esnet_mini with a {} head"
    for head in ("conditional", "hierarchical"):
        key = "sibling_softmax" if head == "conditional" else "hierarchical"
        with pytest.raises(HiersegError, match=sentence.format(head)):
            set_up(small_settings(**chosen, **{f"model__{key}": True}), tmp_path / head)


def test_biases_of_a_trained_head_are_not_begun_again(workdir, tmp_path):
    chosen = CONDITIONAL | {"model__prior": "frequency"}
    run = set_up(small_settings(**chosen, init=str(workdir)), tmp_path / "next")
    stored = load_checkpoint(find_checkpoint(workdir)).variables["params"]
    jax.tree.map(np.testing.assert_array_equal, run.initial_state().params, stored)
    # A run that goes on reads no masks for them.
    assert initial_biases(small_settings(**chosen), workdir, PASCAL_PERSON_PART, ()) == {}


def test_what_it_can_not_be_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(HiersegError, match=r"model\.sibling_softmax are both True; a head is one"):
        small_settings(model__sibling_softmax=True, model__hierarchical=True, loss="tree_min")
    with pytest.raises(HiersegError, match="needs scores at every level"):
        small_settings(model__sibling_softmax=True, loss="tree_min")
