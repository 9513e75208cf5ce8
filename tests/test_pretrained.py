"""Backbones with weights from elsewhere, against the packages' own features of the same weights."""

import importlib.util
import json
import pathlib
import pickle
import re
import zipfile

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from hierseg_jax.bridge.contracts import build_graph
from hierseg_jax.bridge.convert import convert
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint
from hierseg_jax.hierarchy import PASCAL_PERSON_PART
from hierseg_jax.models import Variant, create_model, init_variables
from hierseg_jax.models.efficientnet import EfficientNet, normalize_image, scaled_stages
from hierseg_jax.models.layers import Compute, Conv
from hierseg_jax.torch_backbones import read_backbone, wanted_variant
from hierseg_jax.train.loop import set_up
from tests.conftest import GOLDEN
from tests.reference_weights import load_golden, reference_state_dict
from tests.runs import small_config, train_here

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
def test_every_layout_gives_the_features_of_its_package(network):
    golden, meta = load_golden(f"backbone_{network}")
    file, variant = NETWORKS[network]
    weights = read_backbone(reference_state_dict(meta), file)
    assert weights.backbone == meta["backbone"]
    assert wanted_variant(weights, file) == variant
    variables = traverse_util.unflatten_dict(weights.variables)
    image = np.random.RandomState(5).rand(1, 64, 96, 3).astype(np.float32)
    found = features(weights.backbone, variant, variables, image)
    for step, stride, feature in zip((4, 2, 1, 1), (4, 8, 16, 32), found, strict=True):
        expected = golden[f"stride{stride}"]
        np.testing.assert_allclose(
            np.asarray(feature)[0, ::step, ::step, ::7], expected, atol=1e-4, rtol=1e-5
        )
