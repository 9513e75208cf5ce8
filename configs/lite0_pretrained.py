"""EfficientUNet on EfficientNet-Lite0 with ImageNet weights, which `.[pretrained]` installs.

With the recipe that did best from there on 700 photographs, 192 px (docs/results.md).
"""

import ml_collections

from hierseg_jax.settings.config_files import load_config


def get_config() -> ml_collections.ConfigDict:
    """The modern recipe, shortened: what such weights know need not be learned."""
    config = load_config("modern")
    config.model.name = "effunet"
    config.model.backbone = "lite0"
    config.model.pretrained = "imagenet"
    config.model.stochastic_depth = 0.0
    config.batch_size = 16
    config.epochs = 20
    config.schedule.warmup_epochs = 1.0
    config.ema_decay = 0.99  # over the last hundred steps, some two epochs there
    return config
