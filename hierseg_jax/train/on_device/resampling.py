"""A part of a picture brought to a part of an example, as `data/sampling.py` does it on the host.

All of it is arithmetic of whole numbers, in OpenCV's fixed point: weights of neighbours are
multiples of 1 / 2048, and what is computed is the same bits on every device, however a batch is
spread. Functions are of one example; `jax.vmap` makes them of a batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from hierseg_jax.tree.hierarchy import IGNORE_LABEL

WEIGHT_BITS = 11
"""Of OpenCV's weights along an axis."""


class Taps(NamedTuple):
    """Between which pixels of a picture the points of an example lie, along an axis.

    Attributes:
      low, high: int32 [pixels * points], the two neighbours.
      weight: int32 [pixels * points], of the upper one, in 1 / 2048.
      counted: int32 [points], 1 for a point that counts; else 0, and it repeats the last one that
        does.
      local: int32 [pixels], counted from where the picture begins.
      inside: bool [pixels], whether the picture is there.
    """

    low: jax.Array
    high: jax.Array
    weight: jax.Array
    counted: jax.Array
    local: jax.Array
    inside: jax.Array


def taps(
    seen: tuple[jax.Array, jax.Array],
    filled: tuple[jax.Array, jax.Array],
    pixels: jax.Array,
    points: int,
) -> Taps:
    """Along an axis, bilinear about the centres of pixels.

    Where a side shrinks by more than 2, as many points of a pixel count as halve it; else one does.

    Args:
      seen: first pixel and length of the part of the picture, int32 scalars.
      filled: the same of the example's part that it is brought to.
      pixels: int32 [pixels], of the example.
      points: 1 or more; at least as many as are needed.
    """
    (start, length), (first, count) = seen, filled
    needed = jnp.minimum(jnp.maximum(1, -(-length // (2 * count))), points)
    local = pixels - first
    point = jnp.minimum(jnp.arange(points), needed - 1)
    at = (local[:, None] * needed + point).reshape(-1)
    # The point's place, counted from the centre of the first pixel, is numerator / denominator.
    denominator = 2 * needed * count
    numerator = (2 * at + 1) * length - needed * count
    low = numerator // denominator
    rest = numerator - low * denominator
    weight = ((rest << (WEIGHT_BITS + 1)) + denominator) // (2 * denominator)
    beyond = (low < 0) | (low >= length - 1)
    low = jnp.clip(low, 0, length - 1)
    return Taps(
        low=start + low,
        high=start + jnp.minimum(low + 1, length - 1),
        weight=jnp.where(beyond, 0, weight),
        counted=(jnp.arange(points) < needed).astype(jnp.int32),
        local=local,
        inside=(local >= 0) & (local < count),
    )


def resampled(
    planes_4hw: jax.Array, rows: Taps, columns: Taps, beside: int = IGNORE_LABEL
) -> tuple[jax.Array, jax.Array]:
    """Red, green, blue and label, uint8 [4, H, W], as int32 [3, h, w] and [h, w].

    Beside the picture they are black, and their label is `beside`.
    """
    inside_hw = rows.inside[:, None] & columns.inside
    # Columns first, for a picture has fewer rows than there are points.
    left_4hx, right_4hx = planes_4hw[..., columns.low], planes_4hw[..., columns.high]
    image_3hw = sampled(left_4hx[:3], right_4hx[:3], rows, columns)
    label_hw = voted(left_4hx[3], right_4hx[3], rows, columns)
    return jnp.where(inside_hw, image_3hw, 0), jnp.where(inside_hw, label_hw, beside)


def sampled(left_chx: jax.Array, right_chx: jax.Array, rows: Taps, columns: Taps) -> jax.Array:
    """Pictures: int32 [C, h, w] in 0..255.

    Args:
      left_chx, right_chx: uint8 [C, H, w * points], the lower and upper neighbours along rows.
      rows, columns: as they were taken.
    """
    low, high = left_chx.astype(jnp.int32), right_chx.astype(jnp.int32)
    across = (low << WEIGHT_BITS) + (high - low) * columns.weight
    low, high = across[:, rows.low] >> 4, across[:, rows.high] >> 4
    weight = rows.weight[:, None]
    point = ((low * ((1 << WEIGHT_BITS) - weight) >> 16) + (high * weight >> 16) + 2) >> 2
    counted_pq = _counted(rows, columns)
    sums = (_points_first(point, rows, columns) * counted_pq[..., None, None, None]).sum((0, 1))
    return _mean(sums, counted_pq.sum())


def voted(left_hx: jax.Array, right_hx: jax.Array, rows: Taps, columns: Taps) -> jax.Array:
    """Labels: int32 [h, w], of each pixel the class that has most of it.

    Of two that have the same, the lower one gets every other pixel, counted from where the
    picture begins.

    Args:
      left_hx, right_hx: uint8 [H, w * points].
      rows, columns: as they were taken.
    """
    points = [
        _neighbours(left_hx, right_hx, rows, columns, row, column)
        for row in range(_points(rows))
        for column in range(_points(columns))
    ]
    counted_pq = _counted(rows, columns)
    count, counted = counted_pq.sum(), counted_pq.reshape(-1)
    odd_hw = (rows.local[:, None] + columns.local) % 2 == 1
    # Every neighbour of every point is a candidate, and what has its label votes for it. Scores
    # are shares in 0..255, and of equal shares the label that comes first. Sums of single planes,
    # not over an axis: XLA makes one pass of all of them. A loop over candidates: without one, the
    # 256 votes of four points took a compiler for GPUs half a minute.
    zero = jnp.zeros((), jnp.int32)

    def vote(best_hw: jax.Array, candidate_hw: jax.Array) -> tuple[jax.Array, None]:
        shares = [
            _rounded(255 * sum((jnp.where(of == candidate_hw, w, 0) for of, w in near), zero))
            for near in points
        ]
        share_hw = _mean(sum(s * c for s, c in zip(shares, counted, strict=True)), count)
        label_hw = candidate_hw.astype(jnp.int32)
        order_hw = jnp.where(odd_hw, label_hw, 255 - label_hw)
        return jnp.maximum(best_hw, (share_hw << 8) + order_hw), None

    candidates_nhw = jnp.stack([label_hw for neighbours in points for label_hw, _ in neighbours])
    best_hw, _ = lax.scan(vote, jnp.full(odd_hw.shape, -1, jnp.int32), candidates_nhw)
    order_hw = best_hw & 255
    return jnp.where(odd_hw, order_hw, 255 - order_hw)


def _neighbours(
    left_hx: jax.Array, right_hx: jax.Array, rows: Taps, columns: Taps, row: int, column: int
) -> list[tuple[jax.Array, jax.Array]]:
    """Of a point of every pixel the four neighbours: labels uint8 [h, w], weights int32."""
    one = 1 << WEIGHT_BITS
    down, along = slice(row, None, _points(rows)), slice(column, None, _points(columns))
    upper = rows.weight[down, None], columns.weight[along]
    return [
        (beside_hx[:, along][at[down]], row_weight * weight)
        for at, row_weight in ((rows.low, one - upper[0]), (rows.high, upper[0]))
        for beside_hx, weight in ((left_hx, one - upper[1]), (right_hx, upper[1]))
    ]


def _points(of_axis: Taps) -> int:
    return len(of_axis.low) // len(of_axis.local)


def _points_first(value: jax.Array, rows: Taps, columns: Taps) -> jax.Array:
    """[..., h * points, w * points] -> [points, points, ..., h, w]."""
    height, width = len(rows.local), len(columns.local)
    *front, down, along = value.shape
    grid = value.reshape(*front, height, down // height, width, along // width)
    return jnp.moveaxis(grid, (-3, -1), (0, 1))


def _counted(rows: Taps, columns: Taps) -> jax.Array:
    """Which points of a pixel count: int32 [points, points], 1 or 0."""
    return rows.counted[:, None] * columns.counted


def _mean(sums: jax.Array, count: jax.Array) -> jax.Array:
    """Of sums of so many whole numbers, rounded."""
    return (2 * sums + count) // (2 * count)


def _rounded(value: jax.Array) -> jax.Array:
    """Of sums of weights of both axes."""
    return (value + (1 << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS)
