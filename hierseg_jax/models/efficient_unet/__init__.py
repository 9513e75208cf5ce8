"""EfficientUNet and its EfficientNet backbones."""

import re

from hierseg_jax.models.efficient_unet.architecture import EfficientUNet
from hierseg_jax.models.efficient_unet.backbone import B0_STAGES, BACKBONES
from hierseg_jax.models.efficient_unet.pretrained import LAYOUTS, MODULE, imagenet_file
from hierseg_jax.models.efficient_unet.state_dict import LAYOUT
from hierseg_jax.models.network import Backbone, ModulePath, Network, imported


def _stages_below(path: ModulePath) -> int:
    """Of a stem and seven stages."""
    stage = re.match(r"stage(\d+)_", path[1])
    return len(B0_STAGES) - (int(stage[1]) if stage else 0)


EFFUNET = Network(
    name="effunet",
    architecture=EfficientUNet,
    heads=("head",),
    backbone=Backbone(
        title="EfficientNet",
        module=MODULE,
        stages_below=_stages_below,
        choices=tuple(BACKBONES),
        layouts=LAYOUTS,
        imagenet_file=imagenet_file,
    ),
    inference=imported("hierseg_jax.models.efficient_unet.inference"),
    inference_stride=4,
    state_dict=LAYOUT,
)
