"""Boundary loss: what is far on the wrong side of an edge costs more than what is near it.

Kervadec et al., MIDL 2019 (arXiv 1812.07032). Every class has a signed distance phi at every pixel:
that to the nearest pixel of the class, or less the distance to the nearest pixel of another class
where the pixel bears the class itself. The loss is the mean over pixels of

    1/2 * sum over classes of phi (p - g),    g = 1 for the true class, 0 for others

The paper leaves out phi g, which no network can change. With it the loss is 0 where all pixels are
right, and never negative. A wrong class c pays for the way to its own region and for the way out of
the true one: with d the distances to the regions of classes, and y the true class,

    1/2 * sum over c other than y of p_c (d_c + the least d other than d_y)

Distances lie between pixels' centres. They are divided by a reach, a share of the picture's longer
side, and are 1 beyond it: also for a class that the picture lacks. So the loss lies in [0, 1] and
does not depend on the picture's size.

Ignored pixels belong to no region. An edge towards them is none, and they count nowhere.

A label may be a set of classes (`inner_labels.py`). The pixel then belongs to the region of each,
and pays for the classes outside of its set. Its distances are the least that are possible.
"""

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.losses.pixels import counted_pixels, ratio, weights_of_classes
from hierseg_jax.system.errors import HiersegError

REACH = 1 / 12
"""16 pixels of 192."""


def boundary(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    reach: float = REACH,
) -> jax.Array:
    """The loss, mean over the pixels that count, weighted by their class.

    Args:
      logits_bhwc, labels_bhw, valid_b, class_weights_c, axis_name: as in `flat.py`.
      reach: distance beyond which nothing costs more, as a share of the longer side; above 0.
    """
    weights_l = class_weights_c
    if class_weights_c is not None:
        dtype = jnp.promote_types(logits_bhwc.dtype, jnp.float32)
        weights_l = weights_of_classes(class_weights_c, jnp.zeros(logits_bhwc.shape[-1], dtype))
    return boundary_of_sets(
        logits_bhwc,
        labels_bhw,
        set_lc=np.eye(logits_bhwc.shape[-1], dtype=bool),
        weights_l=weights_l,
        valid_b=valid_b,
        axis_name=axis_name,
        reach=reach,
    )


def boundary_of_sets(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    set_lc: np.ndarray,
    weights_l: jax.Array | np.ndarray | None = None,
    valid_b: jax.Array | None = None,
    axis_name: str | None = None,
    reach: float = REACH,
) -> jax.Array:
    """The loss for labels that are sets of classes.

    Args:
      logits_bhwc: floating [B, H, W, C].
      labels_bhw: integer [B, H, W], rows of `set_lc`, or 255.
      set_lc: bool [labels, C]; the classes that a pixel may be.
      weights_l: of every label; by default all 1.
      valid_b, axis_name, reach: as in `boundary`.
    """
    logits_nc, labels_n, counted_n = counted_pixels(logits_bhwc, labels_bhw, valid_b, len(set_lc))
    # Comparisons take half the time of looking labels up.
    regions_cn = jnp.stack([jnp.isin(labels_n, np.flatnonzero(may_be_l)) for may_be_l in set_lc.T])
    regions_cbhw = (regions_cn & counted_n).reshape(len(set_lc.T), *labels_bhw.shape)
    pixels = max(1, round(reach * max(labels_bhw.shape[1:])))
    squares_cn = squared_distances(regions_cbhw, pixels).reshape(regions_cn.shape)
    wrong_cn = squares_cn > 0
    way_out_n = jnp.where(wrong_cn, squares_cn, pixels**2).min(0)
    to_cn, from_n = (jnp.sqrt(x.astype(logits_nc.dtype)) for x in (squares_cn, way_out_n))
    cost_cn = jnp.where(wrong_cn, to_cn + from_n, 0.0) / (2 * pixels)
    p_nc = jax.nn.softmax(logits_nc)
    weights_n = counted_n.astype(p_nc.dtype)
    if weights_l is not None:
        weights_n *= jnp.asarray(weights_l, p_nc.dtype)[labels_n]
    return ratio((p_nc * cost_cn.T).sum(-1) * weights_n, weights_n, axis_name)


def squared_distances(regions: jax.Array, reach: int) -> jax.Array:
    """Of every pixel to the nearest one of a region, exact up to a reach and capped there.

    Args:
      regions: bool [..., H, W].
      reach: in pixels, at least 1.

    Returns:
      Integers [..., H, W]: the square of the Euclidean distance, at most reach^2; 0 in the region.
    """
    if reach < 1:
        raise HiersegError(f"Distances need a reach of at least 1 pixel; got {reach}.")
    small = (reach + 1) ** 2 <= np.iinfo(np.int16).max
    dtype = jnp.int16 if small else jnp.int32
    along = jnp.where(regions, 0, reach).astype(dtype)
    step = 1
    # Every distance along a row is a sum of powers of two.
    while step < reach:
        along = _nearer(along, step, step, -1, reach)
        step *= 2

    def extend(i: jax.Array, squares: jax.Array) -> jax.Array:
        """n rows away a square is larger by n^2, the sum of the first n odd numbers."""
        return _nearer(squares, 1, (2 * i - 1).astype(dtype), -2, reach**2)

    return jax.lax.fori_loop(1, reach, extend, along**2)


def _nearer(
    values: jax.Array, step: int, cost: jax.Array | int, axis: int, outside: int
) -> jax.Array:
    """The least of each value and of those a step away at both sides, which cost more."""
    sides = []
    for low in (step, -step):
        padding = [(0, 0, 0)] * values.ndim
        padding[axis] = (low, -low, 0)
        sides.append(jax.lax.pad(values, jnp.asarray(outside, values.dtype), padding))
    return jnp.minimum(values, jnp.minimum(*sides) + jnp.asarray(cost, values.dtype))
