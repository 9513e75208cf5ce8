"""ESNet on the embedded data set: minutes on 2 cores, nothing to download."""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    """Small pictures and cross-entropy, to see everything work."""
    config = default.get_config()
    config.data.spec = "figures"
    config.data.image_size = 96
    config.model.name = "esnet"
    config.model.dropout = False
    config.augment = False
    config.batch_size = 16
    config.epochs = 12
    config.learning_rate = 3e-3
    return config
