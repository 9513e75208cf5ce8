"""The embedded data set, half of its pictures labelled by upper and lower body, not by parts."""

import ml_collections

from configs import figures


def get_config() -> ml_collections.ConfigDict:
    """As configs/figures.py otherwise."""
    config = figures.get_config()
    config.data.figures_inner_share = 0.5
    return config
