"""ESNet on the embedded data set: minutes on 2 cores, nothing to download."""

import ml_collections

from hierseg_jax.settings.config_files import load_config


def get_config() -> ml_collections.ConfigDict:
    """Small pictures, drawn on the fly, most of them seen only a few times."""
    config = load_config("default")
    config.data.spec = "figures"
    config.data.image_size = 64
    config.data.figures_train = 1500
    config.data.figures_val = 150
    config.model.name = "esnet"
    config.model.dropout = False
    config.loss = "dice"
    config.augment = False
    config.batch_size = 12
    config.epochs = 6
    config.learning_rate = 3e-3
    config.decay = 0.7
    return config
