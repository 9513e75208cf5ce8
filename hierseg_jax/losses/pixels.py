"""Which pixels of a batch count, and their logits, on one axis."""

import jax
import jax.numpy as jnp

from hierseg_jax.hierarchy import IGNORE_LABEL


def flatten_pixels(
    logits_bhwc: jax.Array, labels_bhw: jax.Array, valid_b: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A batch as N pixels; XLA sums a long axis in a tree, and several short ones one by one.

    Args:
      logits_bhwc: floating [B, H, W, C].
      labels_bhw: integer [B, H, W]; 255 counts nowhere.
      valid_b: bool [B]; examples that are False count nowhere.

    Returns:
      Logits [N, C], float32 at least; labels uint8 [N], 0 where a pixel does not count; and
      whether it does: bool [N].

    Raises:
      ValueError: for shapes that do not fit one another.
    """
    if logits_bhwc.ndim != 4 or labels_bhw.shape != logits_bhwc.shape[:3]:
        raise ValueError(
            "A loss takes logits [batch, height, width, channels] and labels [batch, height, "
            f"width]; got {tuple(logits_bhwc.shape)} and {tuple(labels_bhw.shape)}."
        )
    counted_bhw = labels_bhw != IGNORE_LABEL
    if valid_b is not None:
        counted_bhw &= valid_b[:, None, None]
    logits_nc = logits_bhwc.reshape(-1, logits_bhwc.shape[-1])
    logits_nc = logits_nc.astype(jnp.promote_types(logits_nc.dtype, jnp.float32))
    labels_n = jnp.where(counted_bhw, labels_bhw, 0).reshape(-1).astype(jnp.uint8)
    return logits_nc, labels_n, counted_bhw.reshape(-1)
