"""Checkpoints of a run that has some scores, with next to nothing in them."""

import json

import numpy as np

from configs import default
from hierseg_jax.checkpoint import CheckpointWriter
from hierseg_jax.tree.hierarchy import Hierarchy


def save_scores(workdir, scores, losses=None, **changes):
    """Steps and epochs count from 1; arrays are of one number."""
    losses = losses or [1.0] * len(scores)
    tree = Hierarchy.from_mapping([1, 2]).to_json()
    arrays = {"params": {"x": np.zeros(1, np.float32)}}
    options = {"keep_last": 1, "keep_best": 1, "keep_every": None} | changes
    with CheckpointWriter(workdir, **options) as writer:
        for step, score in enumerate(scores, 1):
            meta = {"config": default.get_config().to_dict(), "hierarchy": tree, "step": step}
            meta |= {"epoch": step, "val_loss": losses[step - 1], "score": score}
            meta = json.loads(json.dumps(meta))
            writer.save(step, arrays, arrays, meta, score, losses[step - 1])
