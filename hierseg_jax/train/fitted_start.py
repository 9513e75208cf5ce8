"""Weights to start from, fitted to some of the run's pictures where they need it."""

import dataclasses

import numpy as np
from flax import traverse_util

from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.models import SegmentationModel, init_variables
from hierseg_jax.models.kernels.random_bits import two_keys
from hierseg_jax.settings import Settings
from hierseg_jax.system.devices.hosts import say
from hierseg_jax.system.wording import counted
from hierseg_jax.train.initial import InitialWeights
from hierseg_jax.train.initial_head import fitted_head
from hierseg_jax.train.initial_statistics import with_statistics
from hierseg_jax.tree.hierarchy import Hierarchy

PICTURES_OF_NORMS = 16
"""As many show a network what its batch norms see: a channel has thousands of values in each."""
PICTURES_OF_HEAD = 32


def fitted_to_run(
    weights: InitialWeights,
    model: SegmentationModel,
    source: Source,
    settings: Settings,
    hierarchy: Hierarchy,
) -> InitialWeights:
    """Norms of an exported file see the run's pictures; a fresh head learns the run's classes.

    Args:
      weights: from `initial_weights`.
      model: the network of the run.
      source: its training split.
    """
    of_head = PICTURES_OF_HEAD * weights.fresh_head
    count = max(PICTURES_OF_NORMS * weights.without_statistics, of_head)
    if not count:
        return weights
    indices = spread_indices(len(source), count)
    what = ["norms"] * weights.without_statistics + ["head"] * weights.fresh_head
    say(f"Fitting the {' and the '.join(what)} to {counted(len(indices), 'training picture')}.")
    images_bhwc, labels_bhw = _examples(source, indices, settings, hierarchy)
    if weights.without_statistics:
        shown = images_bhwc[spread_indices(len(images_bhwc), PICTURES_OF_NORMS)]
        variables = with_statistics(model, weights.variables, shown)
        weights = dataclasses.replace(weights, variables=variables)
    if weights.fresh_head:
        fresh = init_variables(model, two_keys(settings.seed)[0])
        whole = traverse_util.flatten_dict(weights.completed(fresh))
        kept = weights.head
        count = settings.model.head_channels(hierarchy)
        fresh_k = np.array(
            [channel is None for channel in kept.channels] if kept else [True] * count
        )
        chosen = settings.model
        head = fitted_head(model, whole, images_bhwc, labels_bhw, chosen, hierarchy, fresh_k)
        weights = dataclasses.replace(weights, variables=weights.variables | head)
    return weights


def _examples(
    source: Source, indices: list[int], settings: Settings, hierarchy: Hierarchy
) -> tuple[np.ndarray, np.ndarray]:
    """As the network sees them: float32 RGB in [0, 1], [B, H, W, 3], and uint8 labels."""
    size = settings.data.size
    resizing = settings.data.training_resizing(hierarchy.background)
    images, labels = [], []
    for example in map(source.__getitem__, indices):
        place = resizing.place(example["image"].shape[:2], size)
        images.append(place.fit_image(example["image"]))
        labels.append(place.fit_labels(example["label"]))
    return np.stack(images).astype(np.float32) / 255, np.stack(labels)
