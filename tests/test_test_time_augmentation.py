"""Test-time augmentation: what is averaged, and what comes back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hierseg_jax.evaluation.test_time_augmentation import make_augmented_forward, mirrored_channels
from hierseg_jax.tree.hierarchy import Hierarchy

TREE = Hierarchy.from_mapping(
    {"person": {"left": ["left_arm", "left_leg"], "right": ["right_arm", "right_leg"]}},
    class_names=["background", "left_arm", "left_leg", "right_arm", "right_leg"],
    level_names=["body", "side", "part"],
    pairs=[["left_arm", "right_arm"], ["left_leg", "right_leg"]],
)
KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 5)).astype(np.float32)
IMAGE = np.random.default_rng(1).random((2, 16, 24, 3)).astype(np.float32)


def forward(variables, image_bhwc):
    """A convolution, which tells left from right."""
    return jax.lax.conv_general_dilated(
        image_bhwc, variables, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def averaged(**options):
    options = {"hierarchical": False, "stride": 8} | options
    return make_augmented_forward(forward, TREE, **options)


def test_one_scale_without_mirrors_is_the_network_itself():
    found = jax.nn.softmax(averaged()(KERNEL, IMAGE))
    np.testing.assert_allclose(found, jax.nn.softmax(forward(KERNEL, IMAGE)), atol=2e-6)


def test_mirrors_are_averaged_with_left_and_right_exchanged():
    found = jax.nn.softmax(averaged(flip=True)(KERNEL, IMAGE))
    straight = jax.nn.softmax(forward(KERNEL, IMAGE))
    mirrored = jax.nn.softmax(forward(KERNEL, IMAGE[:, :, ::-1]))[:, :, ::-1]
    expected = (straight + mirrored[..., [0, 3, 4, 1, 2]]) / 2
    np.testing.assert_allclose(found, expected, atol=2e-6)
    # Hence a mirrored picture gives the mirrored answer.
    again = jax.nn.softmax(averaged(flip=True)(KERNEL, IMAGE[:, :, ::-1]))
    np.testing.assert_allclose(again, found[:, :, ::-1, [0, 3, 4, 1, 2]], atol=2e-6)


def test_scales_are_averaged_at_sides_that_the_network_takes():
    sides = []

    def listening(variables, image_bhwc):
        sides.append(image_bhwc.shape[1:3])
        return forward(variables, image_bhwc)

    found = make_augmented_forward(
        listening, TREE, hierarchical=False, stride=8, scales=(1.0, 1.6, 0.1)
    )(KERNEL, IMAGE)
    assert sides == [(16, 24), (24, 40), (8, 8)]  # 25.6 and 38.4; 1.6 and 2.4
    views = []
    for height, width in sides:
        image = jax.image.resize(IMAGE, (2, height, width, 3), "linear")
        p = jax.nn.softmax(forward(KERNEL, image))
        views.append(jax.image.resize(p, (2, 16, 24, 5), "linear"))
    np.testing.assert_allclose(jax.nn.softmax(found), sum(views) / 3, atol=2e-6)


def test_sigmoids_of_a_hierarchical_head_are_averaged_by_node():
    kernel = np.random.default_rng(2).normal(size=(3, 3, 3, TREE.num_nodes)).astype(np.float32)
    found = jax.nn.sigmoid(averaged(hierarchical=True, flip=True)(kernel, IMAGE))
    straight = jax.nn.sigmoid(forward(kernel, IMAGE))
    mirrored = jax.nn.sigmoid(forward(kernel, IMAGE[:, :, ::-1]))[:, :, ::-1]
    # Leaves first (0, 1, 2, 3, 4), then background, left, right; then background, person.
    order = [0, 3, 4, 1, 2, 5, 7, 6, 8, 9]
    np.testing.assert_array_equal(mirrored_channels(TREE, True), order)
    expected = (straight + mirrored[..., order]) / 2
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_saturated_scores_stay_finite():
    for hierarchical in (False, True):
        channels = TREE.num_nodes if hierarchical else 5
        logits = jnp.zeros((1, 8, 8, channels)).at[..., 0].set(1e4)
        call = make_augmented_forward(
            lambda _, image, logits=logits: logits, TREE, hierarchical=hierarchical, stride=8
        )
        assert np.isfinite(call(None, jnp.zeros((1, 8, 8, 3)))).all()


def test_what_can_not_be_averaged_is_refused():
    for scales in ((), (0.0,), (-1.0,), (float("nan"),)):
        with pytest.raises(ValueError, match="each above 0"):
            averaged(scales=scales)
    across = Hierarchy.from_mapping(
        {"arms": ["left_arm", "head"], "legs": ["right_arm"]},
        class_names=["background", "left_arm", "head", "right_arm"],
        pairs=[["left_arm", "right_arm"]],
    )
    with pytest.raises(ValueError, match=r"arms of level_1 has no mirror image"):
        mirrored_channels(across, True)
