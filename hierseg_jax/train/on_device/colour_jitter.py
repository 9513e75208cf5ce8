"""Changes of colour as `data/augment/modern.py` makes them with OpenCV, in whole numbers.

OpenCV turns RGB of 8 bits into HSV in fixed point, which is the same here to the bit. It turns HSV
into RGB in floating point and cuts off what is behind the point: just below a whole number, that is
one less than here.
"""

import jax
import jax.numpy as jnp

FRACTION_BITS = 12
"""Of OpenCV's tables of quotients."""
HUES = 180
SECTOR = 30
"""Hues between two of the six pure colours."""


def jittered(
    image_3hw: jax.Array,
    values: jax.Array,
    saturations: jax.Array,
    hue: jax.Array,
    coloured: jax.Array,
) -> jax.Array:
    """int32 RGB [3, h, w] in 0..255 with other colours, the same; others as of `draw_modern`."""
    image_3hw = values[image_3hw].astype(jnp.int32)
    hue_hw, saturation_hw, value_hw = hsv(image_3hw)
    saturation_hw = saturations[saturation_hw].astype(jnp.int32)
    turned_3hw = rgb((hue_hw + hue) % HUES, saturation_hw, value_hw)
    return jnp.where(coloured, turned_3hw, image_3hw)


def hsv(image_3hw: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """int32 RGB [3, h, w] as hue in 0..179, saturation and value in 0..255, int32 [h, w] each."""
    red, green, blue = image_3hw
    value = image_3hw.max(0)
    spread = value - image_3hw.min(0)
    half = 1 << (FRACTION_BITS - 1)
    saturation = (spread * _quotient(255, value) + half) >> FRACTION_BITS
    turn = jnp.where(
        value == red,
        green - blue,
        jnp.where(value == green, blue - red + 2 * spread, red - green + 4 * spread),
    )
    hue = (turn * _quotient(SECTOR, spread) + half) >> FRACTION_BITS
    return jnp.where(hue < 0, hue + HUES, hue), saturation, value


def rgb(hue: jax.Array, saturation: jax.Array, value: jax.Array) -> jax.Array:
    """The inverse of `hsv`: int32 [3, h, w] in 0..255."""
    sector, within = hue // SECTOR, hue % SECTOR
    # Each of them is value (1 - saturation x), x being 1, or a share of the sector.
    whole = 255 * SECTOR

    def less(share: jax.Array | int) -> jax.Array:
        return value * (whole - saturation * share) // whole

    least, falling, rising = less(SECTOR), less(within), less(SECTOR - within)
    channels = (
        (value, falling, least, least, rising, value),
        (rising, value, value, falling, least, least),
        (least, least, rising, value, value, falling),
    )
    return jnp.stack(
        [
            jnp.select([sector == number for number in range(5)], list(of[:5]), of[5])
            for of in channels
        ]
    )


def _quotient(factor: int, divisor: jax.Array) -> jax.Array:
    """factor * 4096 / divisor, rounded; 0 for 0.

    The nearest float is nearer to the quotient than any of these quotients is to a half.
    """
    dividend = float(factor << FRACTION_BITS)
    quotient = jnp.rint(dividend / jnp.maximum(divisor, 1).astype(jnp.float32))
    return jnp.where(divisor == 0, 0, quotient.astype(jnp.int32))
