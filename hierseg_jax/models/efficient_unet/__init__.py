"""EfficientUNet and its EfficientNet backbones."""

import re
from collections.abc import Mapping
from typing import Any

import jax

from hierseg_jax.models.efficient_unet.architecture import EfficientUNet
from hierseg_jax.models.efficient_unet.backbone import B0_STAGES, BACKBONES, CUT_FROM
from hierseg_jax.models.efficient_unet.pretrained import LAYOUTS, MODULE, imagenet_file
from hierseg_jax.models.efficient_unet.state_dict import LAYOUT
from hierseg_jax.models.network import Backbone, ModulePath, Network, TrainingMemory


def _stages_below(path: ModulePath) -> int:
    """Of a stem and seven stages."""
    stage = re.match(r"stage(\d+)_", path[1])
    return len(B0_STAGES) - (int(stage[1]) if stage else 0)


def _graph(
    model: EfficientUNet, variables: Mapping[str, Any], image_nchw: jax.Array, integers: bool
) -> jax.Array:
    # Imported when an export asks for it: with it comes jax2onnx, which takes seconds.
    from hierseg_jax.models.efficient_unet.graph import logits

    return logits(model, variables, image_nchw, integers)


EFFUNET = Network(
    name="effunet",
    architecture=EfficientUNet,
    heads={"head": 3},
    # Of B0 a step at 320 px and batch 8 takes 1.2 GB (docs/kernels.md), hierseg train as a
    # whole 2.8 GB at 256 px and batch 16, and 4.2 at batch 32.
    training_memory=TrainingMemory(rest_gb=1.3, bytes_per_pixel=1.2e9 / (8 * 320 * 320)),
    backbone=Backbone(
        title="EfficientNet",
        module=MODULE,
        stages_below=_stages_below,
        choices=tuple(BACKBONES),
        cut_from=CUT_FROM,
        layouts=LAYOUTS,
        imagenet_file=imagenet_file,
    ),
    graph=_graph,
    state_dict=LAYOUT,
)
