"""Runs that earlier versions began go on."""

import shutil

import jax
import jax.flatten_util
import numpy as np
import optax
import pytest

from hierseg_jax.checkpoint import CheckpointWriter, load_checkpoint
from hierseg_jax.checkpoint.seal import SEAL
from hierseg_jax.settings import OptimizerSettings
from hierseg_jax.train.optimizer import make_optimizer
from tests.runs import assert_bit_identical, train_here


@pytest.mark.slow
def test_moments_by_layer_are_read(tmp_path):
    """As of before the optimizer saw all parameters as one vector; and without a seal."""
    now, before = tmp_path / "now", tmp_path / "before"
    train_here(now, epochs=1)
    shutil.copytree(now, before)
    folder = before / "checkpoints" / "4"
    params = load_checkpoint(folder).variables["params"]
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    optimizer = make_optimizer(OptimizerSettings(), optax.constant_schedule(1.0), None)
    like = {
        "step": np.int32(0),
        "opt_state": optimizer.init(params),
        "key": np.zeros(2, np.uint32),
    }
    loaded = load_checkpoint(folder, jax.tree.map(np.asarray, like))
    adam, *rest = loaded.training["opt_state"]
    assert adam.mu.shape == flat.shape
    by_layer = adam._replace(mu=unravel(adam.mu), nu=unravel(adam.nu))
    training = loaded.training | {"opt_state": (by_layer, *rest)}
    meta = {k: v for k, v in loaded.meta.items() if k not in ("sha256", "optimizer_layout")}
    shutil.rmtree(folder)
    with CheckpointWriter(before, keep_last=1, keep_best=1, keep_every=None) as writer:
        host = jax.tree.map(np.asarray, training)
        writer.save(4, loaded.variables, host, meta, meta["val_loss"])
    (folder / SEAL).unlink()

    for workdir in (now, before):
        train_here(workdir, epochs=2)
    assert_bit_identical(before, now)
