"""The reference's published recipe for PASCAL-Person-Part: 50 epochs of dice at 320 pixels.

Add --config.data.spec=data.yaml (from hierseg prepare) or leave the TFDS data set;
--config.model.name=esnet for the other published network.
"""

import ml_collections

from hierseg_jax.settings.config_files import load_config


def get_config() -> ml_collections.ConfigDict:
    """Published with it: 0.393 / 0.253 / 0.181 (effunet), 0.372 / 0.240 / 0.170 (esnet)."""
    config = load_config("default")
    config.data.spec = "tfds:pascal_person_part"
    config.data.image_size = 320
    config.data.sampling = "reference"
    config.model.upsampling = "nearest"
    config.loss = "dice"
    config.epochs = 50
    config.batch_size = 32
    config.metrics = ("miou", "reference_miou", "pixel_accuracy")
    config.best = "loss"
    config.patience = 0
    return config
