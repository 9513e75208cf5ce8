"""Small training runs, as real processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from hierseg_jax.checkpoint import checkpoint_steps, find_checkpoint, load_checkpoint
from tests.conftest import ROOT

# ESNet on 32-pixel figures: 4 steps an epoch.
SMALL = {
    "data.image_size": 32,
    "data.figures_train": 33,
    "data.figures_val": 10,
    "batch_size": 8,
    "epochs": 2,
    "samples": 2,
    "augment": True,
    "model.dropout": True,
}


def train_command(workdir, config="configs/figures.py", **changes):
    """Command line of a small run; keys of `changes` have __ for a dot."""
    keys = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    overrides = [f"--config.{key}={value}" for key, value in keys.items()]
    return [
        sys.executable,
        "launch/train.py",
        f"--config={config}",
        f"--workdir={workdir}",
        *overrides,
    ]


def run(command, **environment):
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def start(command):
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def last_variables(workdir):
    """Parameters and statistics of the last checkpoint, as one flat list of arrays."""
    import jax

    loaded = load_checkpoint(find_checkpoint(Path(workdir), "last"))
    return jax.tree.leaves(loaded.variables)


def assert_bit_identical(workdir, other):
    assert checkpoint_steps(Path(workdir))[-1] == checkpoint_steps(Path(other))[-1]
    for a, b in zip(last_variables(workdir), last_variables(other), strict=True):
        np.testing.assert_array_equal(a, b)
