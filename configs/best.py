"""The most accurate recipe measured for photographs of standing persons (docs/networks.md).

configs/tree.py, twice as long, for a network that looks at 384 x 256 pixels, and without poor
cameras, for pictures as good as those of training; others want --config.mixing.poor_camera=0.1.
Give pictures of another shape another --image_size=HEIGHT,WIDTH, in multiples of 32 and near
their own ratio.
"""

import ml_collections

from hierseg_jax.settings.config_files import load_config


def get_config() -> ml_collections.ConfigDict:
    """60 epochs, for 384 x 256."""
    config = load_config("tree")
    config.data.image_size = (384, 256)
    config.epochs = 60
    config.mixing.poor_camera = 0.0
    return config
