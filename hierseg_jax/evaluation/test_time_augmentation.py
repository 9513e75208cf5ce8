"""Test-time augmentation: the mean of what a network says of a picture seen in several ways."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.data.sizes import nearest_multiple
from hierseg_jax.models import Forward
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import level_called
from hierseg_jax.tree.hierarchy import Hierarchy

# The least probability, so that logarithms are finite in float32.
TINY = 1e-7


def make_augmented_forward(
    forward: Forward,
    hierarchy: Hierarchy,
    *,
    hierarchical: bool,
    stride: int,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Forward:
    """A network's `forward` that looks at every scale, and at mirrored pictures, and averages.

    Probabilities are averaged: softmax of a flat head, sigmoids of a hierarchical one. They
    come back as logits, so that losses and decoding take them as they take the network's own.

    Args:
      forward: (variables, float image [B, H, W, 3]) -> logits [B, H, W, K].
      hierarchy: whose `pairs` change places in a mirrored picture.
      hierarchical: whether every level has channels of its own.
      stride: of the network; scaled sides are rounded to it.
      scales: of the sides, above 0.
      flip: whether every scale is looked at mirrored as well.

    Raises:
      ValueError: for scales that are none; for pairs that do not pair the groups above them.
    """
    if not scales or not all(0 < scale < float("inf") for scale in scales):
        raise HiersegError(f"The scales are {tuple(scales)}; give one or more, each above 0.")
    mirrored_k = mirrored_channels(hierarchy, hierarchical) if flip else None

    def probabilities(variables: Any, image_bhwc: jax.Array) -> jax.Array:
        logits_bhwk = forward(variables, image_bhwc)
        return jax.nn.sigmoid(logits_bhwk) if hierarchical else jax.nn.softmax(logits_bhwk)

    def averaged(variables: Any, image_bhwc: jax.Array) -> jax.Array:
        batch, *size = image_bhwc.shape[:3]
        views = []
        for scale in scales:
            scaled = [nearest_multiple(round(side * scale), stride) for side in size]
            scaled_bhwc = resized(image_bhwc, (batch, *scaled, 3))
            found = [probabilities(variables, scaled_bhwc)]
            if flip:
                mirror_bhwk = probabilities(variables, scaled_bhwc[:, :, ::-1])
                found.append(mirror_bhwk[:, :, ::-1, mirrored_k])
            views += [resized(p_bhwk, (batch, *size, p_bhwk.shape[-1])) for p_bhwk in found]
        mean_bhwk = jnp.clip(sum(views) / len(views), TINY, 1 - TINY)
        logits_bhwk = jnp.log(mean_bhwk)
        return logits_bhwk - jnp.log1p(-mean_bhwk) if hierarchical else logits_bhwk

    return averaged


def mirrored_channels(
    hierarchy: Hierarchy, hierarchical: bool, way_out: str = "Evaluate without --flip."
) -> np.ndarray:
    """The channel that each one becomes in a mirrored picture: int [channels].

    Args:
      hierarchy: with the `pairs`.
      hierarchical: whether the channels are those of a hierarchical head.
      way_out: what to do where there is none, for the message.

    Raises:
      ValueError: if the leaves of one group of a hierarchical head would go to several.
    """
    mirrored_c = hierarchy.mirrored[: hierarchy.num_classes].astype(int)
    if not hierarchical:
        return mirrored_c
    channels_k = np.arange(hierarchy.num_nodes)
    for level, channels in zip(hierarchy.levels, hierarchy.level_channels, strict=True):
        for index, name in enumerate(level.class_names):
            leaves = np.flatnonzero(level.leaf_to_class == index)
            images = np.unique(level.leaf_to_class[mirrored_c[leaves]])
            if len(images) != 1:
                raise HiersegError(
                    f"{name} of {level_called(level.name)} has no mirror image: its classes belong "
                    f"to {' and '.join(level.class_names[i] for i in images)} once left and right "
                    f"are exchanged. {way_out}"
                )
            channels_k[channels.start + index] = channels.start + images[0]
    return channels_k


def resized(x_bhwk: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Bilinear about the centres of pixels; as it is where it has that shape."""
    return x_bhwk if x_bhwk.shape == shape else jax.image.resize(x_bhwk, shape, "linear")
