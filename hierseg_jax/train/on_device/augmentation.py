"""The augmentation `modern` of a batch, on the device where its pictures are.

What is done to an example was drawn on the host, of the generator that its augmentation has there:
both make the same example, but for the rounding of OpenCV's floating point.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.data.augment.modern import SCALES
from hierseg_jax.evaluation.eval_step import DeviceBatch
from hierseg_jax.train.on_device.colour_jitter import jittered
from hierseg_jax.train.on_device.resampling import resampled, taps
from hierseg_jax.tree.hierarchy import IGNORE_LABEL


def points_of(
    picture: tuple[int, int], size: tuple[int, int], least: float = SCALES[0]
) -> tuple[int, int]:
    """Points along either axis that a pixel of an example is the mean of, at most.

    Most are needed at the least scale.
    """
    filled = (max(1, round(min(1.0, least) * side)) for side in size)
    rows, columns = (-(-side // (2 * new)) for side, new in zip(picture, filled, strict=True))
    return max(1, rows), max(1, columns)


def augmented(
    planes_n4hw: jax.Array,
    batch: DeviceBatch,
    mirrored: np.ndarray,
    size: tuple[int, int],
    scales: tuple[float, float] = SCALES,
    beside: int = IGNORE_LABEL,
) -> DeviceBatch:
    """Examples of stored pictures.

    Args:
      planes_n4hw: uint8 [N, 4, H, W], red, green, blue and label of all pictures, each in the upper
        left corner; at most `most_pixels` of each.
      batch: what was drawn, as of `draw_modern`, [B, ...] each; `valid` and others stay.
      mirrored: label in the mirror of every label, uint8 [256].
      size: (height, width) of the examples.
      scales: the least and the largest of `draw_modern`.
      beside: label of what lies beside a picture.

    Returns:
      `image` uint8 [B, h, w, 3], `label` uint8 [B, h, w], and what stays.
    """
    drawn = {key: batch[key] for key in DRAWN}
    height, width = planes_n4hw.shape[2:]
    points = points_of((height, width), size, scales[0])
    one = functools.partial(_example, planes_n4hw, jnp.asarray(mirrored), size, points, beside)
    image_bhwc, label_bhw = jax.vmap(one)(drawn)
    rest = {key: value for key, value in batch.items() if key not in DRAWN}
    return {"image": image_bhwc, "label": label_bhw, **rest}


DRAWN = ("index", "seen", "filled", "mirrored", "values", "saturations", "hue", "coloured")
"""Of a batch, by `draw_modern`."""


def _example(
    planes_n4hw: jax.Array,
    mirrored: jax.Array,
    size: tuple[int, int],
    points: tuple[int, int],
    beside: int,
    drawn: DeviceBatch,
) -> tuple[jax.Array, jax.Array]:
    (top, left, height, width), (first_row, first_column, down, across) = (
        drawn["seen"],
        drawn["filled"],
    )
    flipped = drawn["mirrored"]
    column = jnp.arange(size[1])
    column = jnp.where(flipped, size[1] - 1 - column, column)
    rows = taps((top, height), (first_row, down), jnp.arange(size[0]), points[0])
    columns = taps((left, width), (first_column, across), column, points[1])
    image_3hw, label_hw = resampled(planes_n4hw[drawn["index"]], rows, columns, beside)
    label_hw = jnp.where(flipped, mirrored[label_hw].astype(jnp.int32), label_hw)
    image_3hw = jittered(
        image_3hw, drawn["values"], drawn["saturations"], drawn["hue"], drawn["coloured"]
    )
    return jnp.moveaxis(image_3hw, 0, -1).astype(jnp.uint8), label_hw.astype(jnp.uint8)
