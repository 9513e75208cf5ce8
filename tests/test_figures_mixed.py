"""`configs/figures_mixed.py`: half of the pictures are labelled by groups."""

import math

import numpy as np
import pytest

from configs import figures_mixed
from hierseg_jax.checkpoint import find_checkpoint, read_meta
from hierseg_jax.settings import read_settings, read_stored
from hierseg_jax.settings.building import open_source, tree_of
from hierseg_jax.train.loop import train
from tests.runs import SMALL


@pytest.mark.slow
def test_the_mixed_figures_train_for_an_epoch_from_their_config_alone(tmp_path):
    config = figures_mixed.get_config()
    assert config.data.figures_inner_share == 0.5
    config.update_from_flattened_dict(SMALL | {"epochs": 1})
    settings = read_settings(config)
    progress = train(settings, str(tmp_path / "run"))
    assert (progress.epoch, progress.step) == (1, 4)
    assert math.isfinite(progress.rows[-1]["val_loss"])
    stored = read_stored(read_meta(find_checkpoint(tmp_path / "run", "last"))["config"])
    hierarchy = tree_of(stored.data)
    assert hierarchy.labels.names[7:] == ("body", "upper_body", "lower_body")
    source = open_source(stored.data, stored.seed, "train")
    by_parts = [np.unique(source[i]["label"]).max() < 7 for i in range(len(source))]
    assert sum(by_parts) == 17
    assert by_parts[::2] == [True] * 17
