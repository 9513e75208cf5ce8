"""Runs that start from the weights in an exported file."""

import dataclasses
import functools

import cv2
import jax
import numpy as np
import onnx
import pytest
from flax import traverse_util

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.description import describe
from hierseg_jax.bridge.precision import with_half_weights, with_integers
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.models import Variant, create_model, init_variables
from hierseg_jax.models.graph.unfold import folded_weights, unfolded
from hierseg_jax.runtime.metadata import NETWORK_KEYS, Metadata
from hierseg_jax.runtime.packaged_network import packaged_network, packaged_photograph
from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.settings.building import build_model
from hierseg_jax.settings.fitting import settled
from hierseg_jax.train.exported_weights import read_exported
from hierseg_jax.train.initial import initial_weights
from hierseg_jax.train.initial_statistics import with_statistics
from hierseg_jax.train.loop import set_up
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.runs import small_settings
from tests.test_pretrained import uneven

LITE = Variant("same", 1e-3, "lite")
SHORT = {"model__name": "effunet", "model__backbone": "lite0_short", "data__image_size": 32}
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)


def settings_of(**changes):
    settings = small_settings(**(SHORT | {"model__upsampling": "bicubic"} | changes))
    return settled(settings, LITE)


@functools.cache
def network_and_variables(**changes):
    """Nobody changes the arrays."""
    model = build_model(settings_of(**changes).model, PASCAL_PERSON_PART)
    return model, uneven(init_variables(model, jax.random.key(1)))


@functools.cache
def exported_bytes(precision, name):
    settings = settings_of(model__name=name)
    model, variables = network_and_variables(model__name=name)
    integers = precision == "int8"
    graph = build_graph("deploy", model, variables, PASCAL_PERSON_PART, integers)
    exported = convert(graph, (64, 64))
    if precision == "float16":
        exported = with_half_weights(exported)
    if integers:
        exported = with_integers(exported, "frame", [image[None] for image in IMAGES])
    of_model = {key: getattr(settings.model, key) for key in NETWORK_KEYS}
    told = {"model": settings.model.label, "precision": precision, "network": of_model}
    tree = PASCAL_PERSON_PART
    describe(exported, Metadata("deploy", tree, (64, 64), 32, parameters_sha256="", **told))
    return exported.SerializeToString()


def export(file, precision, name="effunet"):
    """As `hierseg export` does it, without a run; gives back the network and its variables."""
    file.write_bytes(exported_bytes(precision, name))
    return network_and_variables(model__name=name)


@functools.cache
def compiled(model):
    return jax.jit(model.apply)


def logits(model, variables):
    return np.asarray(compiled(model)(variables, IMAGES.astype(np.float32) / 255))


@pytest.mark.parametrize("integers", [False, True])
def test_esnets_weights_come_back_with_the_scales_of_pooled_channels(integers):
    model, variables = network_and_variables(model__name="esnet_mini")
    weights = folded_weights(model, variables, integers)
    back = unfolded(model, weights, integers)
    expected = logits(model, variables)
    np.testing.assert_allclose(logits(model, back), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("integers", "decoder"), [(False, "reference"), (True, "fine")])
def test_unfolded_weights_fold_to_the_same_again_and_compute_the_same(integers, decoder):
    model, variables = network_and_variables(model__decoder=decoder)
    weights = folded_weights(model, variables, integers)
    back = unfolded(model, weights, integers)
    for one, other in zip(weights, folded_weights(model, back, integers), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    expected = logits(model, variables)
    np.testing.assert_allclose(logits(model, back), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_squeeze_and_excitation_comes_back_too():
    model = create_model("effunet", 7, backbone="b0", conv_impl="xla")
    variables = uneven(init_variables(model, jax.random.key(1)))
    back = unfolded(model, folded_weights(model, variables))
    expected = logits(model, variables)
    np.testing.assert_allclose(logits(model, back), expected, atol=1e-4 * np.abs(expected).max())


def test_weights_that_no_variables_fold_to_are_told_apart():
    model, variables = network_and_variables()
    weights = folded_weights(model, variables)
    assert unfolded(model, weights[:-1]) is None
    assert unfolded(model, weights, integers=True) is None
    # The stem has zeros in its blocks of pixels, whatever its kernel is.
    blocks = folded_weights(model, variables, integers=True)
    blocks[0] = np.where(blocks[0] == 0, 1, blocks[0]).astype(np.float32)
    assert unfolded(model, blocks, integers=True) is None


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        pytest.param("effunet", "float16", marks=pytest.mark.slow),
        pytest.param("effunet", "int8", marks=pytest.mark.slow),
        ("esnet_mini", "int8"),
    ],
)
def test_a_run_starts_with_the_network_of_the_file(tmp_path, name, precision):
    file, chosen = tmp_path / "model.onnx", SHORT | {"model__name": name}
    model, variables = export(file, precision, name)
    run = set_up(small_settings(**chosen, model__pretrained=str(file)), tmp_path / "run")
    assert run.settings.model.variant == (LITE if name == "effunet" else Variant())
    state = run.initial_state()
    found = {"params": state.params, "batch_stats": state.batch_stats}
    expected = logits(model, variables)
    # Of 8 bits and of 11 a kernel's numbers are off by a part in 100 or in 4000.
    near = {"float16": 1e-2, "int8": 0.3}[precision]
    np.testing.assert_allclose(logits(model, found), expected, atol=near * np.abs(expected).max())


def test_norms_normalise_what_they_see_and_the_network_stays_the_same():
    model, variables = network_and_variables(model__dropout=False)
    back = unfolded(model, folded_weights(model, variables))
    images = IMAGES.astype(np.float32) / 255
    whole = with_statistics(model, traverse_util.flatten_dict(back), images)
    whole = traverse_util.unflatten_dict(whole)
    expected = logits(model, variables)
    near = 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(logits(model, whole), expected, atol=near)
    # Training normalises by the batch: by these very pictures it is the same once more.
    train = jax.jit(functools.partial(model.apply, train=True, mutable=["batch_stats"]))
    trained, _ = train(whole, images)
    np.testing.assert_allclose(trained, expected, atol=near)
    # With norms that only add it would not be.
    trained, _ = train(back, images)
    assert np.abs(trained - expected).max() > 100 * near


def test_other_classes_get_a_head_of_their_own(tmp_path):
    file = tmp_path / "model.onnx"
    export(file, "float32")
    other = Hierarchy.from_mapping({"a": [1, 2], "b": [3]})
    settings = small_settings(**SHORT, model__pretrained=str(file))
    model = build_model(settings_of().model, other)
    weights = initial_weights(settings, model, other)
    assert weights.without_statistics
    assert not any(path[1] == "head" for path in weights.variables)
    assert weights.head is None  # names that nobody has given
    assert weights.fresh_head
    assert f"Starting from the weights of {file}" in weights.report


def test_classes_of_the_same_names_keep_what_the_file_says_of_them(tmp_path):
    file = tmp_path / "model.onnx"
    theirs = logits(*export(file, "float32"))
    names = [*PASCAL_PERSON_PART.class_names]
    other = ["nothing", *reversed(names[2:]), "cap"]  # the first is renamed
    tree = Hierarchy.from_mapping({"body": [2, 3, 4], "rest": [1, 5, 6]}, class_names=other)
    settings = small_settings(**SHORT, model__pretrained=str(file))
    model = build_model(settings_of().model, tree)
    weights = initial_weights(settings, model, tree)
    ours = logits(model, weights.completed(init_variables(model, jax.random.key(2))))
    kept = [name for name in names if name in other]
    assert len(kept) == len(names) - 2
    # Backgrounds meet whatever they are called.
    of_theirs, of_ours = ([0, *map(each.index, kept)] for each in (names, other))
    near = 1e-5 * np.abs(theirs).max()
    np.testing.assert_allclose(ours[..., of_ours], theirs[..., of_theirs], atol=near)
    assert f"new: cap; left out: {names[1]}" in weights.report


def test_init_tells_where_an_exported_file_belongs(tmp_path):
    with pytest.raises(ValueError, match=r"init is m\.onnx, an .* --config\.model\.pretrained=m"):
        set_up(small_settings(init="m.onnx"), tmp_path)


def test_the_network_in_the_package_is_one():
    settings = small_settings(model__name="effunet", model__backbone="lite0")
    exported = read_exported(packaged_network(), settings)
    photo = cv2.imread(str(packaged_photograph()))[..., ::-1]
    photo = np.ascontiguousarray(cv2.resize(photo, (256, 384), interpolation=cv2.INTER_AREA))
    model = build_model(exported.settings.model, exported.hierarchy).clone(conv_impl="xla")
    found = jax.jit(model.apply)(exported.variables, photo[None].astype(np.float32) / 255)
    expected = Segmenter(packaged_network(), provider="cpu")(photo).levels["part"]
    # It computes in 8 bits, JAX in 32.
    assert (np.asarray(found)[0].argmax(-1) == expected).mean() > 0.97


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "was exported before files told how their weights are computed with"),
        ({"decoder": "fine"}, "can't be taken out of it; give the run"),
        ({"model": "effunet-b0"}, "holds effunet-b0, this run is to train effunet-lite0_short"),
        ({"padding": "none"}, "tells of a network that can't be built: There is no padding 'none'"),
        (
            {"norm_epsilon": "1"},
            "can't be built: The config's model.norm_epsilon is '1'; it must be",
        ),
        ({"precision": "int8"}, "can't be taken out of it; give the run"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, changes, sentence):
    file = tmp_path / "model.onnx"
    settings = settings_of()
    export(file, "float32")
    model = onnx.load(file)
    told = Metadata.from_props({each.key: each.value for each in model.metadata_props}, "it")
    if not changes.keys() & {"model", "precision"}:
        changes = {"network": told.network | changes if changes else {}}
    describe(model, dataclasses.replace(told, **changes))
    onnx.save(model, file)
    with pytest.raises(ValueError, match=sentence) as refused:
        read_exported(file, settings)
    assert str(file) in str(refused.value)


def test_a_file_with_another_decoder_is_told_by_it(tmp_path):
    file = tmp_path / "model.onnx"
    export(file, "float32")
    given = small_settings(**SHORT, model__pretrained=str(file), model__decoder="fine")
    model = build_model(settled(given, LITE).model, PASCAL_PERSON_PART)
    sentence = (
        "holds effunet-lite0_short, this run is to train effunet-lite0_short with the decoder"
    )
    with pytest.raises(ValueError, match=sentence):
        initial_weights(given, model, PASCAL_PERSON_PART)


def test_weights_that_are_no_numbers_are_not_taken():
    model, variables = network_and_variables()
    weights = folded_weights(model, variables)
    weights[4] = weights[4].copy()
    weights[4].flat[0] = np.nan
    assert unfolded(model, weights) is None


def test_what_is_no_exported_file_is_refused(tmp_path):
    file, settings = tmp_path / "model.onnx", settings_of()
    with pytest.raises(FileNotFoundError, match=r"model\.onnx, which is no file"):
        read_exported(file, settings)
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="is no ONNX file, or a damaged one"):
        read_exported(file, settings)
    graph = onnx.helper.make_graph([], "g", [], [])
    onnx.save(onnx.helper.make_model(graph), file)
    with pytest.raises(ValueError, match="was not written by hierseg export"):
        read_exported(file, settings)
