"""Small training runs: in this process, or as processes of their own."""

import functools
import os
import subprocess
import sys
import time
from unittest import mock

import jax
import numpy as np
from ml_collections import ConfigDict

from configs import figures
from hierseg_jax.checkpoint import checkpoint_steps, find_checkpoint, load_checkpoint
from hierseg_jax.data.figures import render
from hierseg_jax.settings import Settings, read_settings
from hierseg_jax.train import loop
from hierseg_jax.train.progress import Progress
from tests.conftest import ROOT

# A small ESNet on 32-pixel figures, 4 steps an epoch, with all that is random switched on.
# Of what a run leaves behind as much as shows that it does: pictures take longer than training.
SMALL = {
    "model.name": "esnet_mini",
    "metrics": ("miou", "pixel_accuracy"),
    "data.image_size": 32,
    "data.figures_train": 33,
    "data.figures_val": 10,
    "model.dropout": True,
    "augment": True,
    "batch_size": 8,
    "epochs": 2,
    "learning_rate": 3e-3,
    "decay": 0.7,
    "samples": 0,
    "tensorboard": False,
}


def small_keys(changes):
    """Keys of a small run; those of `changes` have __ for a dot."""
    return SMALL | {key.replace("__", "."): value for key, value in changes.items()}


def small_config(**changes) -> ConfigDict:
    config = figures.get_config()
    config.update_from_flattened_dict(small_keys(changes))
    return config


def small_settings(**changes) -> Settings:
    return read_settings(small_config(**changes))


_draw_figures = render.draw_figures


@functools.lru_cache(2048)
def _drawn_once(*arguments):
    """As `draw_figures`: all runs here learn from the same few pictures."""
    drawn = _draw_figures(*arguments)
    for array in drawn:
        array.setflags(write=False)
    return drawn


def train_here(workdir, **changes) -> Progress:
    # Between epochs a run looks for garbage, and here in all that earlier tests have left.
    with (
        mock.patch.object(loop, "give_back_small_blocks"),
        mock.patch.object(render, "draw_figures", _drawn_once),
    ):
        return loop.train(small_settings(**changes), str(workdir))


def train_command(workdir, **changes):
    overrides = [f"--config.{key}={value}" for key, value in small_keys(changes).items()]
    return [
        sys.executable,
        "launch/train.py",
        "--config=configs/figures.py",
        f"--workdir={workdir}",
        *overrides,
    ]


def wait_until(condition, process=None):
    """Until a condition holds, while a process lives; what never does, pytest's timeout ends.

    Args:
      condition: of no arguments; what it returns, once true, is given back.
      process: that is to bring it about.
    """
    while not (found := condition()):
        assert process is None or process.poll() is None, "the process has ended"
        time.sleep(0.02)
    return found


def evaluate_command(checkpoint, *flags):
    return [sys.executable, "launch/evaluate.py", f"--checkpoint={checkpoint}", *flags]


def run(command, **environment):
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def start(command, **environment):
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )


def last_arrays(workdir):
    """Parameters and statistics of the last checkpoint."""
    return jax.tree.leaves(load_checkpoint(find_checkpoint(workdir, "last")).variables)


def assert_bit_identical(workdir, other):
    assert checkpoint_steps(workdir)[-1] == checkpoint_steps(other)[-1]
    for a, b in zip(last_arrays(workdir), last_arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)
