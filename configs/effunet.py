"""EfficientUNet-b0 on data of your own: add --config.data.spec=data.yaml."""

import ml_collections

from hierseg_jax.settings.config_files import load_config


def get_config() -> ml_collections.ConfigDict:
    """The default network, at its reference's resolution."""
    config = load_config("default")
    config.model.name = "effunet"
    config.model.backbone = "b0"
    return config
