"""EfficientUNet-b0 on data of your own: add --config.data.spec=data.yaml."""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    """The default network, at its reference's resolution."""
    config = default.get_config()
    config.model.name = "effunet"
    config.model.backbone = "b0"
    return config
