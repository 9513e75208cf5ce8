"""ESNet on data of your own: add --config.data.spec=data.yaml."""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    """The smaller network, at its reference's resolution."""
    config = default.get_config()
    config.model.name = "esnet"
    return config
