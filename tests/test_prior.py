"""Heads that begin at the frequencies of the classes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from hierseg_jax.data.class_weights import count_frequencies
from hierseg_jax.models.conditional import leaf_log_probabilities
from hierseg_jax.train.loop import set_up
from hierseg_jax.train.prior import biases_of
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from hierseg_jax.tree.siblings import find_siblings
from tests.runs import small_settings


class Source:
    """Two masks of 100 pixels; class 4 has none."""

    pixels = ([60, 20, 10, 5, 0, 5, 0], [90, 0, 0, 2, 0, 3, 5])

    def __len__(self):
        return 2

    def label(self, index):
        return np.repeat(np.arange(7, dtype=np.uint8), self.pixels[index]).reshape(10, 10)


SHARES = (np.sum(Source.pixels, 0) + 1) / 207


def test_scores_of_biases_are_the_shares_of_the_pixels():
    frequencies = count_frequencies(Source(), PASCAL_PERSON_PART)
    flat = biases_of(frequencies, PASCAL_PERSON_PART, "flat")
    np.testing.assert_allclose(jax.nn.softmax(flat), SHARES, rtol=1e-6)
    conditional = jnp.asarray(biases_of(frequencies, PASCAL_PERSON_PART, "conditional"))
    log_p = leaf_log_probabilities(conditional, find_siblings(PASCAL_PERSON_PART))
    np.testing.assert_allclose(np.exp(log_p), SHARES, rtol=1e-5)
    wide = biases_of(frequencies, PASCAL_PERSON_PART, "hierarchical")
    leaves, body = (PASCAL_PERSON_PART.level_channels[k] for k in (2, 0))
    np.testing.assert_allclose(jax.nn.sigmoid(wide[leaves]), SHARES, rtol=1e-6)
    np.testing.assert_allclose(jax.nn.sigmoid(wide[body]), np.array([151, 51]) / 202, rtol=1e-6)


def test_a_new_run_begins_at_them_and_nothing_else_changes(tmp_path):
    run = set_up(small_settings(model__prior="frequency"), tmp_path / "run")
    fresh = set_up(small_settings(), tmp_path / "fresh")
    found, before = (traverse_util.flatten_dict(r.initial_state().params) for r in (run, fresh))
    frequencies = count_frequencies(run.train_source, run.hierarchy)
    expected = biases_of(frequencies, run.hierarchy, "flat")
    heads = ("decoder", "output_conv", "bias"), ("encoder_head", "bias")
    for path in heads:
        np.testing.assert_array_equal(found[path], expected)
    for path in found.keys() - set(heads):
        np.testing.assert_array_equal(found[path], before[path])


def test_another_prior_is_refused():
    with pytest.raises(ValueError, match=r"model\.prior is 'half'; it must be none or frequency"):
        small_settings(model__prior="half")


class Groups:
    """A fifth background; of the rest the body alone is known."""

    tree = dataclasses.replace(PASCAL_PERSON_PART, inner_labels=True)

    def __len__(self):
        return 1

    def label(self, index):
        label_hw = np.full((100, 100), self.tree.labels.names.index("body"), np.uint8)
        label_hw[:20] = 0
        return label_hw


@pytest.mark.parametrize("head", ["flat", "hierarchical"])
def test_pixels_of_groups_count_for_the_classes_below(head):
    tree = Groups.tree
    bias_k = biases_of(count_frequencies(Groups(), tree), tree, head)
    if head == "flat":
        np.testing.assert_allclose(softmax(bias_k)[0], 0.2, atol=1e-3)
        upper = tree.levels[1].leaf_to_class == 1
        np.testing.assert_allclose(softmax(bias_k)[upper].sum(), 0.4, atol=1e-3)
        return
    for channels in tree.level_channels:
        np.testing.assert_allclose(jax.nn.sigmoid(bias_k[channels])[0], 0.2, atol=1e-3)


def softmax(bias_k):
    return np.exp(bias_k) / np.exp(bias_k).sum()
