"""The embedded data set, half of its pictures labelled by upper and lower body, not by parts."""

import ml_collections

from hierseg_jax.settings.config_files import load_config


def get_config() -> ml_collections.ConfigDict:
    """As configs/figures.py otherwise."""
    config = load_config("figures")
    config.data.figures_inner_share = 0.5
    return config
