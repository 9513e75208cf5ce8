"""The recipe for class trees, which did best on 700 photographs (docs/tree.md).

As configs/lite0_pretrained.py, whose extra it needs, too. Where classes have one level alone, it
is that recipe with Lovász-softmax, poor cameras and smaller training pictures added.
"""

import ml_collections

from hierseg_jax.settings.config_files import load_config


def get_config() -> ml_collections.ConfigDict:
    """A softmax among siblings, the losses at every level, Lovász-softmax too, and poor cameras."""
    config = load_config("lite0_pretrained")
    config.model.sibling_softmax = True
    config.loss = "crossentropy + dice + lovasz"
    config.loss_options.every_level = True
    # Costs 0.007 of part mIoU, and 0.013 of groups', on pictures as good as those of training;
    # without it next to nothing is found in blurred ones (docs/recipes.md).
    config.mixing.poor_camera = 0.1
    # A network sees best what is a third larger than what it learned from (docs/networks.md), and
    # learns so from half as many pixels: 30 epochs take as long as 20 of pictures of whole size.
    config.progressive = (0.75,)
    config.epochs = 30
    return config
