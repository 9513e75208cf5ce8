"""Which pixels of a batch count, and their logits, on one axis; which are the hardest."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import IGNORE_LABEL


def flatten_pixels(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    valid_b: jax.Array | None,
    num_labels: int = IGNORE_LABEL,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A batch as N pixels; XLA sums a long axis in a tree, and several short ones one by one.

    Args:
      logits_bhwc: floating [B, H, W, C].
      labels_bhw: integer [B, H, W]; 255, and what is none of the labels, counts nowhere.
      valid_b: bool [B]; examples that are False count nowhere.
      num_labels: labels that there are; by default as many as a byte tells.

    Returns:
      Logits [N, C], float32 at least; labels uint8 [N], 0 where a pixel does not count; and
      whether it does: bool [N].

    Raises:
      ValueError: for shapes that do not fit one another, or labels that are no integers.
    """
    if isinstance(labels_bhw, np.ndarray) and labels_bhw.dtype.itemsize == 8:
        labels_bhw = labels_bhw.clip(-1, IGNORE_LABEL)  # JAX would cut off what is above 32 bits
    logits_bhwc, labels_bhw = jnp.asarray(logits_bhwc), jnp.asarray(labels_bhw)
    if logits_bhwc.ndim != 4 or labels_bhw.shape != logits_bhwc.shape[:3]:
        raise HiersegError(
            "A loss takes logits [batch, height, width, channels] and labels [batch, height, "
            f"width]; got {tuple(logits_bhwc.shape)} and {tuple(labels_bhw.shape)}."
        )
    if not jnp.issubdtype(labels_bhw.dtype, jnp.integer) and labels_bhw.dtype != bool:
        raise HiersegError(
            f"Labels are class indices, integers; got {labels_bhw.dtype}. A mask that was divided "
            "by 255 has lost them."
        )
    if labels_bhw.dtype in (jnp.int8, bool):
        labels_bhw = labels_bhw.astype(jnp.int32)  # it has no 255 to compare with
    # Labels are bytes from here on: -1 or 256 would come to be others.
    counted_bhw = (labels_bhw >= 0) & (labels_bhw < num_labels)
    if valid_b is not None:
        counted_bhw &= valid_examples(valid_b, labels_bhw)
    logits_nc = logits_bhwc.reshape(-1, logits_bhwc.shape[-1])
    logits_nc = logits_nc.astype(jnp.promote_types(logits_nc.dtype, jnp.float32))
    labels_n = jnp.where(counted_bhw, labels_bhw, 0).reshape(-1).astype(jnp.uint8)
    return logits_nc, labels_n, counted_bhw.reshape(-1)


def counted_pixels(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    valid_b: jax.Array | None,
    num_labels: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """As `flatten_pixels`, with logits of 0 where a pixel does not count.

    Before any arithmetic: not even a NaN there reaches a loss or its gradient.
    """
    logits_nc, labels_n, counted_n = flatten_pixels(logits_bhwc, labels_bhw, valid_b, num_labels)
    return jnp.where(counted_n[:, None], logits_nc, 0.0), labels_n, counted_n


def check_channels(logits_bhwk: jax.Array, expected: int, of: str, loss: str) -> None:
    """Raises HiersegError for logits of another head."""
    if logits_bhwk.shape[-1] != expected:
        raise HiersegError(
            f"The hierarchy has {expected} {of}; {loss} takes as many logits a pixel, got "
            f"{logits_bhwk.shape[-1]}."
        )


def valid_examples(valid_b: jax.Array, labels_bhw: jax.Array) -> jax.Array:
    """Which examples count, beside their pixels: bool [B, 1, 1].

    Raises:
      ValueError: a sentence, for others than one an example.
    """
    valid_b = jnp.asarray(valid_b, bool)
    if valid_b.shape != labels_bhw.shape[:1]:
        raise HiersegError(
            f"valid_b has a value for each of {len(labels_bhw)} examples; got the shape "
            f"{valid_b.shape}."
        )
    return valid_b[:, None, None]


def weights_of_classes(class_weights_c: Any, like_xc: jax.Array) -> jax.Array:
    """Weights of classes as an array [C] of another's dtype, which is [..., C].

    Raises:
      ValueError: a sentence, for others than one a class.
    """
    weights_c = jnp.asarray(class_weights_c, like_xc.dtype)
    if weights_c.shape != like_xc.shape[-1:]:
        raise HiersegError(
            f"class_weights_c has a weight for each of {like_xc.shape[-1]} classes; got the "
            f"shape {weights_c.shape}."
        )
    return weights_c


def hardest_pixels(
    hardness_n: jax.Array, counted_n: jax.Array, images: int, share: float
) -> jax.Array:
    """The share of every image's counted pixels that is hardest, at least one a picture.

    Online bootstrapping (Wu et al., arXiv 1605.06885, section 3.2) by image, so that an
    image's choice depends on no other image, and N devices choose what one would. Where
    several pixels are as hard as the last that is taken, all of them are.

    Args:
      hardness_n: floating [N], 0 or more, compared in float32; the pixels of all images, one
        image after another.
      counted_n: bool [N]; others are never taken.
      images: how many there are.
      share: above 0, at most 1.

    Returns:
      bool [N], without gradient.
    """
    if not 0 < share <= 1:
        raise HiersegError(f"hard_share is {share}; it must be above 0 and at most 1.")
    hardness_n = jax.lax.stop_gradient(hardness_n).astype(jnp.float32)
    hardness_bn = hardness_n.reshape(images, len(hardness_n) // max(images, 1))
    counted_bn = counted_n.reshape(hardness_bn.shape)
    # Floats that are not negative are ordered as their bits are.
    bits_bn = jax.lax.bitcast_convert_type(jnp.where(hardness_bn > 0, hardness_bn, 0.0), jnp.int32)
    bits_bn = jnp.where(counted_bn, bits_bn, -1)
    wanted_b = jnp.ceil(share * counted_bn.sum(-1)).astype(jnp.int32)

    def with_bit(i: jax.Array, least_b: jax.Array) -> jax.Array:
        """The largest bound that enough pixels reach, bit by bit: a twentieth of a sort's time."""
        higher_b = least_b | (1 << (30 - i))
        enough_b = (bits_bn >= higher_b[:, None]).sum(-1) >= wanted_b
        return jnp.where(enough_b, higher_b, least_b)

    least_b = jax.lax.fori_loop(0, 31, with_bit, jnp.zeros(images, jnp.int32))
    return (bits_bn >= least_b[:, None]).reshape(-1)


def total_over(value: Any, axis_name: str | None) -> Any:
    """Sums, or a tuple of them, over all devices of a mapped axis; without one as they are."""
    return value if axis_name is None else jax.lax.psum(value, axis_name)


def mean_of_counted(loss_n: jax.Array, counted_n: jax.Array, axis_name: str | None) -> jax.Array:
    """Of the losses of pixels that count, over all devices; 0 where none does."""
    sums = jnp.where(counted_n, loss_n, 0.0).sum(), counted_n.sum()
    total, count = total_over(sums, axis_name)
    return total / jnp.maximum(count, 1)


def ratio(loss_n: jax.Array, weights_n: jax.Array, axis_name: str | None) -> jax.Array:
    """Sum of losses by sum of weights, over all devices; 0 where no pixel has a weight."""
    total = total_over(weights_n.sum(), axis_name)
    return total_over(loss_n.sum(), axis_name) / jnp.where(total > 0, total, 1.0)
