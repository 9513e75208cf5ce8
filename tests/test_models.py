"""Both networks: sizes, shapes, dtypes, randomness, errors."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from flax.errors import ScopeParamShapeError
from hypothesis import given
from hypothesis import strategies as st

from hierseg_jax.models import create_model, forward_of, init_variables
from hierseg_jax.models.efficient_unet.backbone import BACKBONES, scaled_channels, scaled_stages
from hierseg_jax.models.initialize import variable_shapes
from hierseg_jax.models.kernels import library
from hierseg_jax.models.layers import Conv, ConvTranspose
from hierseg_jax.models.segmentation_model import images_at_once
from hierseg_jax.system.errors import HiersegError


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("name", "backbone", "parameters"),
    [("effunet", None, 4_100_091), ("effunet", "b1", 6_605_727), ("esnet", None, 1_659_194)],
)
def test_parameter_counts_equal_the_reference(name, backbone, parameters):
    shapes = variable_shapes(create_model(name, 7, backbone=backbone))
    assert count(shapes["params"]) == parameters


def test_widths_and_depths_follow_the_paper():
    # Channels of EfficientNet-b7 as published with its weights.
    assert [s.out_channels for s in scaled_stages("b7")] == [32, 48, 80, 160, 224, 384, 640]
    assert [s.repeats for s in scaled_stages("b7")] == [4, 7, 7, 10, 10, 13, 4]
    assert [s.out_channels for s in scaled_stages("b3")] == [24, 32, 48, 96, 136, 232, 384]
    assert scaled_channels(3, 1.0) == 8


@pytest.mark.parametrize("backbone", ["b0", "b2", pytest.param("b7", marks=pytest.mark.slow)])
def test_backbones_differentiate_and_their_decoders_follow(backbone):
    """Traces shapes through forward and backward; the slow test computes them."""
    model = create_model("effunet", 5, backbone=backbone)
    shapes = variable_shapes(model)
    grads, logits = jax.eval_shape(gradient(model), shapes, jnp.zeros((2, 64, 64, 3)))
    assert logits.shape == (2, 64, 64, 5)
    assert jax.tree.structure(grads) == jax.tree.structure(shapes["params"])
    stages = scaled_stages(backbone)
    skips = (2, 1) if backbone == "lite0_short" else (4, 2, 1)
    for block, skip in enumerate(skips, start=1):
        kernel = shapes["params"][f"decoder_block{block}"]["conv"]["kernel"]
        assert kernel.shape[-1] == stages[skip].out_channels


@pytest.mark.slow  # of b0 the golden files do the same
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_runs_forward_and_backward(backbone):
    model = create_model("effunet", 7, backbone=backbone)
    variables = init_variables(model, jax.random.key(0))
    image = np.random.RandomState(0).rand(2, 64, 64, 3).astype(np.float32)
    grads, logits = jax.jit(gradient(model))(variables, image)
    assert np.isfinite(logits).all()
    for path, grad in traverse_util.flatten_dict(grads).items():
        assert np.isfinite(grad).all(), path
        # A bias in front of a batch norm has a true gradient of 0.
        assert np.any(grad) or path[-1] == "bias", path


def gradient(model):
    def loss(params, batch_stats, image):
        logits, _ = model.apply(
            {"params": params, "batch_stats": batch_stats},
            image,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(1)},
        )
        return jnp.square(logits - 1).mean(), logits

    return lambda v, x: jax.grad(loss, has_aux=True)(v["params"], v["batch_stats"], x)


@functools.cache
def esnet(**options):
    model = create_model("esnet", 7, **options)
    variables = init_variables(model, jax.random.key(0))
    forward = jax.jit(
        functools.partial(model.apply, mutable=["batch_stats"]), static_argnames=("train",)
    )
    return variables, forward


IMAGE = np.random.RandomState(1).rand(2, 32, 24, 3).astype(np.float32)


def test_dropout_differs_by_key_and_by_example_and_only_in_training():
    variables, forward = esnet()
    images = np.stack([IMAGE[0], IMAGE[0]])
    a, _ = forward(variables, images, train=True, rngs={"dropout": jax.random.key(0)})
    again, _ = forward(variables, images, train=True, rngs={"dropout": jax.random.key(0)})
    b, _ = forward(variables, images, train=True, rngs={"dropout": jax.random.key(1)})
    np.testing.assert_array_equal(a, again)
    assert np.any(a != b)
    assert np.any(a[0] != a[1])
    still, _ = forward(variables, images)
    np.testing.assert_array_equal(still[0], still[1])


def test_dropout_may_be_switched_off():
    variables, forward = esnet(dropout=False)
    forward(variables, IMAGE, train=True)  # needs no random stream


def test_evaluation_changes_no_statistics_and_training_changes_all():
    variables, forward = esnet(dropout=False)
    _, evaluated = forward(variables, IMAGE)
    jax.tree.map(np.testing.assert_array_equal, evaluated["batch_stats"], variables["batch_stats"])
    _, trained = forward(variables, IMAGE, train=True)
    for old, new in zip(
        jax.tree.leaves(variables["batch_stats"]),
        jax.tree.leaves(trained["batch_stats"]),
        strict=True,
    ):
        assert np.any(old != new)
        assert new.dtype == np.float32


@pytest.mark.parametrize("name", ["esnet", "effunet"])
def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32(name):
    model = create_model(name, 7, dtype="bfloat16", dropout=False)
    reference = create_model(name, 7, dropout=False)
    shapes = variable_shapes(model)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {np.dtype(np.float32)}
    logits, updates = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]),
        shapes,
        jnp.zeros((2, 32, 32, 3)),
    )
    assert logits.dtype == np.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {np.dtype(np.float32)}
    if name == "esnet":
        variables = init_variables(model, jax.random.key(0))
        half = jax.jit(model.apply)(variables, IMAGE)
        full = jax.jit(reference.apply)(variables, IMAGE)
        np.testing.assert_allclose(half, full, atol=0.05)
        assert np.any(half != full)


@pytest.mark.parametrize("name", ["esnet", "effunet"])
def test_initial_distributions_equal_pytorch_defaults(name):
    """U(-b, b) with b = 1 / sqrt(fan in) for kernels and biases; norms start at 1 and 0.

    `torch.nn.Conv2d` and `ConvTranspose2d` take the fan in from axis 1 of their
    weights: input channels per group, and output channels.
    """
    flat = traverse_util.flatten_dict(init_variables(create_model(name, 7), jax.random.key(0)))
    for path, value in flat.items():
        if path[-1] in ("scale", "var"):
            assert np.all(value == 1), path
        elif path[-1] == "mean" or (*path[:-1], "scale") in flat:
            assert np.all(value == 0), path
        else:
            assert_uniform(value, flat[(*path[:-1], "kernel")].shape, path)


def assert_uniform(value, kernel_shape, path):
    height, width, fan_channels, _ = kernel_shape
    bound = 1 / np.sqrt(height * width * fan_channels)
    assert np.abs(value).max() <= bound, path
    if value.size > 2000:
        assert np.abs(value).max() > 0.99 * bound, path
        np.testing.assert_allclose(value.std(), bound / np.sqrt(3), rtol=0.05)
        assert abs(value.mean()) < 0.1 * bound, path


@pytest.mark.parametrize("layer", [Conv(64, (3, 1)), ConvTranspose(32, 3)])
def test_layers_initialise_themselves_alike(layer):
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, 32)))
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
    assert_uniform(kernel, kernel.shape, "kernel")
    assert_uniform(bias, kernel.shape, "bias")
    assert np.any(bias != 0)


def test_init_variables_has_the_structure_of_init_and_depends_on_its_key():
    model = create_model("esnet", 3)
    a = init_variables(model, jax.random.key(0))
    shapes = variable_shapes(model)
    assert jax.tree.structure(a) == jax.tree.structure(shapes)
    jax.tree.map(lambda x, s: np.testing.assert_equal(x.shape, s.shape), a, shapes)
    jax.tree.map(np.testing.assert_array_equal, a, init_variables(model, jax.random.key(0)))
    b = init_variables(model, jax.random.key(1))
    kernel = ("encoder", "down1", "conv", "kernel")
    pick = functools.partial(functools.reduce, dict.__getitem__, kernel)
    assert np.all(pick(a["params"]) != pick(b["params"]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("unet", 7), "no model 'unet'; choose one of effunet, esnet"),
        (("effunet", 1), "at least 2"),
        (("effunet", 7.0), "got 7.0"),
        (("effunet", True), "got True"),
    ],
)
def test_wrong_models_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        create_model(*arguments)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "effunet", "backbone": "b8"}, "no backbone 'b8'; choose one of b0, b1"),
        ({"name": "esnet", "backbone": "b0"}, "esnet has no backbone"),
        ({"name": "esnet", "dtype": "float16"}, "got float16"),
        ({"name": "esnet", "dtype": "floaty"}, "got 'floaty'"),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        create_model(num_classes=7, **options)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "sentence"),
    [
        ("effunet", (1, 100, 64, 3), "float32", "100x64 .* 96 or 128 for the height, 64 as it is"),
        ("effunet", (1, 64, 20, 3), "float32", "Nearest: 64 as it is for the height, 32 for"),
        ("esnet", (1, 64, 63, 3), "float32", "multiples of 8; got 64x63 .* 56 or 64 for the width"),
        ("esnet", (1, 0, 64, 3), "float32", "got 0x64"),
        ("esnet", (64, 64, 3), "float32", r"\[batch, height, width, 3\]; got \(64, 64, 3\)"),
        ("esnet", (1, 3, 64, 64), "float32", r"got \(1, 3, 64, 64\)"),
        ("esnet", (1, 64, 64, 3), "uint8", "Divide uint8 images by 255"),
    ],
)
def test_wrong_images_are_refused(name, shape, dtype, sentence):
    model = create_model(name, 7)
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(model.apply, variable_shapes(model), jnp.zeros(shape, dtype))


def test_a_single_value_per_channel_is_refused_in_training():
    model = create_model("effunet", 7, dropout=False)
    train = functools.partial(model.apply, train=True, mutable=["batch_stats"])
    with pytest.raises(ValueError, match=r"stage6_block1/depthwise_norm sees a single value"):
        jax.eval_shape(train, variable_shapes(model), jnp.zeros((1, 32, 32, 3)))


@given(batch=st.integers(1, 64), side=st.integers(1, 64).map(lambda side: 32 * side))
def test_images_computed_together_share_a_batch_evenly(batch, side):
    at_once = images_at_once(batch, side * side)
    assert batch % at_once == 0
    most = max(2**19 // (side * side), 1)
    near = [n for n in range(most // 2 + 1, most + 1) if batch % n == 0]
    assert at_once in (near or [batch])


@pytest.mark.skipif(bool(library.problem()), reason="XLA computes all images together")
def test_logits_of_a_large_batch_have_the_bits_of_its_images():
    model = create_model("esnet_mini", 3)
    variables = init_variables(model, jax.random.key(0))
    image_bhwc = jax.random.uniform(jax.random.key(1), (8, 320, 320, 3))
    assert images_at_once(8, 320 * 320) == 4
    forward = jax.jit(forward_of(model))
    logits_bhwc = forward(variables, image_bhwc)
    for i in (0, 7):
        np.testing.assert_array_equal(logits_bhwc[i], forward(variables, image_bhwc[i : i + 1])[0])


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((640, 640, 3), "(640, 640, 3)"),
        ((2, 0, 64, 3), "0x64"),
        ((2, 64, 64), "(2, 64, 64)"),
        ((8, 320, 320, 4), "(8, 320, 320, 4)"),
    ],
)
def test_what_is_no_batch_of_images_is_refused_in_a_sentence(shape, told):
    model = create_model("esnet_mini", 3)
    with pytest.raises(HiersegError, match=re.escape(told)):
        forward_of(model)(init_variables(model, jax.random.key(0)), jnp.zeros(shape))


def test_norms_of_another_size_are_refused():
    model = create_model("esnet_mini", 3)
    variables = init_variables(model, jax.random.key(0))
    for collection, name in (("params", "scale"), ("batch_stats", "mean")):
        changed = jax.tree.map(lambda x: x, variables)
        changed[collection]["encoder"]["fcu1_1"]["norm1"][name] = jnp.ones(5)
        with pytest.raises((TypeError, ScopeParamShapeError), match=r"5"):
            forward_of(model)(changed, jnp.zeros((1, 32, 32, 3)))
