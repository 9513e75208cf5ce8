"""Hierarchical semantic segmentation in pure-functional JAX/Flax.

`load` gives a trained network that takes pictures, `load_run` what is in a training run. The
package root imports no JAX, so that exported files are loaded without it. Import what else you
need from the rooms: `hierseg_jax.models`, `hierseg_jax.losses`,
`hierseg_jax.evaluation.metrics`, `hierseg_jax.pytorch.weights`. Mistakes in what they are given
raise `HiersegError`, a `ValueError`; about files it is an `OSError` too.
"""

import os

from hierseg_jax.bridge.loading import load, load_run
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, PASCAL_PERSON_PART, Hierarchy
from hierseg_jax.tree.level import Level

# onnxruntime reads it once, when it is imported: from 1.29 on it reports to Microsoft, and keeps a
# number of the machine in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = [
    "IGNORE_LABEL",
    "PASCAL_PERSON_PART",
    "Hierarchy",
    "HiersegError",
    "Level",
    "load",
    "load_run",
]
