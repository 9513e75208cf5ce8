"""Pictures of four pictures (YOLOv4: Bochkovskiy et al., arXiv 2004.10934, section 3.3).

Each of the four is seen in whole, at half its sides, so that a picture shows several of what the
pictures of a data set may show one by one.
"""

import functools

import jax
import jax.numpy as jnp

from hierseg_jax.data.taught import CELL
from hierseg_jax.evaluation.eval_step import DeviceBatch
from hierseg_jax.system.errors import HiersegError


def tile(key: jax.Array, batch: DeviceBatch, share: float) -> DeviceBatch:
    """The batch, a share of whose pictures are four of it, two by two, their own the first.

    The others follow in an order that is drawn, round a batch of less than four. Where one of
    them is not valid, the picture stays.

    Args:
      key: of the step and the device.
      batch: `image` uint8 or floating [B, H, W, 3], `label` uint8 [B, H, W], `valid`
        bool [B]; `taught`, of a run with a teacher, bool [B, H / CELL, W / CELL].
      share: of the pictures, in [0, 1].

    Raises:
      ValueError: for sides that can't be halved.
    """
    height, width = batch["label"].shape[1:]
    multiple = 2 * CELL if "taught" in batch else 2
    if height % multiple or width % multiple:
        raise HiersegError(
            f"The config's mixing.mosaic halves training pictures, and these have {height} x "
            f"{width} pixels; choose sides (data.image_size, progressive) that are multiples of "
            f"{multiple}, or set it to 0."
        )
    order_key, share_key = jax.random.split(key)
    valid_b = batch["valid"]
    count = len(valid_b)
    order_b = jax.random.permutation(order_key, count)
    place_b = jnp.zeros_like(order_b).at[order_b].set(jnp.arange(count))
    shown_4b = [order_b[(place_b + step) % count] for step in range(4)]
    tiled_b = jax.random.bernoulli(share_key, share, valid_b.shape)
    for shown_b in shown_4b:
        tiled_b &= valid_b[shown_b]

    def two_by_two(small: jax.Array, whole: jax.Array) -> jax.Array:
        upper, lower = (
            jnp.concatenate([small[left_b], small[right_b]], axis=2)
            for left_b, right_b in (shown_4b[:2], shown_4b[2:])
        )
        where = tiled_b.reshape(-1, *(1,) * (whole.ndim - 1))
        return jnp.where(where, jnp.concatenate([upper, lower], axis=1), whole)

    image_bhwc, label_bhw = batch["image"], batch["label"]
    tiled = batch | {
        "image": two_by_two(halved(image_bhwc), image_bhwc),
        "label": two_by_two(halved_labels(label_bhw), label_bhw),
    }
    if "taught" in batch:
        every = functools.reduce(jnp.logical_and, _blocks(batch["taught"]))
        tiled["taught"] = two_by_two(every, batch["taught"])
    return tiled


def halved(image_bhwc: jax.Array) -> jax.Array:
    """Pictures at half their sides, of the same dtype: the mean of every block of two by two."""
    blocks = [block.astype(jnp.float32) for block in _blocks(image_bhwc)]
    mean_bhwc = functools.reduce(jnp.add, blocks) / 4
    if image_bhwc.dtype == jnp.uint8:
        mean_bhwc = jnp.rint(mean_bhwc)
    return mean_bhwc.astype(image_bhwc.dtype)


def halved_labels(label_bhw: jax.Array) -> jax.Array:
    """Labels at half their sides: the most frequent of every block of two by two.

    Of equally frequent ones it is the first, in every other block the last, so that borders are
    moved no way.
    """
    blocks = _blocks(label_bhw)
    _, height, width = blocks[0].shape
    odd_hw = (jnp.arange(height)[:, None] + jnp.arange(width)) % 2 == 1
    a, b, c, d = (
        jnp.where(odd_hw, last, first) for first, last in zip(blocks, blocks[::-1], strict=True)
    )
    pair_of_rest = jnp.where((b == c) | (b == d), b, jnp.where(c == d, c, a))
    return jnp.where((a == b) | (a == c) | (a == d), a, pair_of_rest)


def _blocks(array: jax.Array) -> list[jax.Array]:
    """The four pixels of every block of two by two, row by row, of [B, H, W, ...]."""
    return [array[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
