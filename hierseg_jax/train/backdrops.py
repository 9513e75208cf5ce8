"""Pictures whose background is painted over, as before a wall or in a studio."""

import jax
import jax.numpy as jnp

from hierseg_jax.evaluation.eval_step import DeviceBatch

SPREAD = 0.15
"""Standard deviation of a channel from the grey that was drawn, and of the one end's from the
other's."""

BEYOND = 0.25
"""How far greys are drawn beyond black and white; a sixth of all is clipped to each of these."""


def paint_backdrops(
    key: jax.Array, batch: DeviceBatch, share: float, background: int | None
) -> DeviceBatch:
    """The batch, a share of whose pictures have one colour for a background, or two.

    A colour is a grey, tinted a little. Across the picture it goes over into a lighter or darker
    one, in any direction. Labels stay. A picture of nothing but background stays as it is: what it
    shows is there to be learned as that.

    Args:
      key: of the step and the device.
      batch: `image` [B, H, W, 3], uint8 or floating in 0 to 1, `label` uint8 [B, H, W], and others.
      share: of the pictures, in [0, 1].
      background: its label, which bars have where they are taught as that; without one, nothing
        is painted.
    """
    share_key, grey_key, tint_key, end_key, angle_key = jax.random.split(key, 5)
    image_bhwc, label_bhw = batch["image"], batch["label"]
    count, height, width = label_bhw.shape
    painted_b = jax.random.bernoulli(share_key, share, (count,))
    nothing_bhw = jnp.zeros(label_bhw.shape, bool)
    behind_bhw = nothing_bhw if background is None else jnp.equal(label_bhw, background)
    painted_b &= ~behind_bhw.all((1, 2))
    grey_b1 = jax.random.uniform(grey_key, (count, 1), minval=-BEYOND, maxval=1 + BEYOND)
    start_bc = grey_b1 + SPREAD * jax.random.normal(tint_key, (count, 3))
    slope_b = SPREAD * jax.random.normal(end_key, (count, 1, 1))
    angle_b = jax.random.uniform(angle_key, (count, 1, 1), maxval=2 * jnp.pi)
    rows_h1 = (jnp.arange(height)[:, None] + 0.5) / height - 0.5
    columns_w = (jnp.arange(width) + 0.5) / width - 0.5
    lighter_bhw = slope_b * (jnp.sin(angle_b) * rows_h1 + jnp.cos(angle_b) * columns_w)
    color_bhwc = jnp.clip(start_bc[:, None, None] + lighter_bhw[..., None], 0, 1)
    if image_bhwc.dtype == jnp.uint8:
        color_bhwc = jnp.rint(255 * color_bhwc)
    mask_bhw = behind_bhw & painted_b[:, None, None]
    painted_bhwc = color_bhwc.astype(image_bhwc.dtype)
    return batch | {"image": jnp.where(mask_bhw[..., None], painted_bhwc, image_bhwc)}
