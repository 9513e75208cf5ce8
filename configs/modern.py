"""The recipe that today's segmentation networks are trained with, for runs of some length.

Add --config.data.spec=data.yaml, with `pairs` in it where classes have a left and a right;
--config.model.name=esnet for the other network. Starting from weights (--config.init=...)
also set --config.freeze_epochs=2 --config.optimizer.backbone_rate=0.1.
"""

import ml_collections

from hierseg_jax.settings.config_files import load_config


def get_config() -> ml_collections.ConfigDict:
    """AdamW, warm-up and cosine, averaged weights, modern augmentation, stochastic depth."""
    config = load_config("default")
    config.model.stochastic_depth = 0.2
    # Pixels one by one, and regions: small classes are not drowned by the background.
    config.loss = "crossentropy + dice"
    config.augment = "modern"
    # The rate falls to 0 at the end, where the best weights are: stopping early loses them.
    config.epochs = 60
    config.patience = 0
    config.learning_rate = 1e-3
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 2.0
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.05
    # Early steps of fresh weights have gradients far beyond that; later ones seldom.
    config.optimizer.clip_norm = 1.0
    config.ema_decay = 0.999  # over the last thousand steps, or fewer in a short run
    return config
