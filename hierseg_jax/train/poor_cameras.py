"""Pictures as poor cameras take them: in bad light, out of focus or shaken, with noise."""

import math

import jax
import jax.numpy as jnp

from hierseg_jax.evaluation.eval_step import DeviceBatch

DARKEST = 0.25
"""Least factor on the light, which is uniform in its logarithm up to 1; the cast comes on top."""

CAST = 0.15
"""Standard deviation of the logarithm of each channel's factor."""

BLURS = (0.002, 0.015)
"""Least and largest standard deviation of a blur, of a picture's longer side; uniform in its
logarithm. The network's answers fell apart from 0.005 on without such pictures. What is less than
about 0.4 pixels changes nothing, so of pictures under 200 pixels some stay sharp."""

SHAKEN_SHARE = 0.5
"""Of blurred pictures: they are blurred along one axis."""

NOISE = 0.15
"""Most that is added to a channel's value, or taken away, of 1. A picture's most is uniform up to
this, and its noise uniform within that."""


def take_with_poor_cameras(key: jax.Array, batch: DeviceBatch, share: float) -> DeviceBatch:
    """The batch, of whose pictures a share is in bad light, and as many blurred, and noisy.

    Each of the three is drawn by itself, so a picture may have all. Labels stay. Bars of a
    letterbox are a part of the picture here.

    Args:
      key: of the step and the device.
      batch: `image` uint8 or floating in [0, 1] [B, H, W, 3], and others.
      share: of the pictures, in [0, 1].
    """
    light_key, blur_key, noise_key = jax.random.split(key, 3)
    given_bhwc = batch["image"]
    whole = given_bhwc.dtype == jnp.uint8
    image_bhwc = given_bhwc.astype(jnp.float32) / (255 if whole else 1)
    image_bhwc = _lit(light_key, image_bhwc, share)
    image_bhwc = _blurred(blur_key, image_bhwc, share)
    image_bhwc = jnp.clip(_noisy(noise_key, image_bhwc, share), 0, 1)
    if whole:
        image_bhwc = jnp.rint(255 * image_bhwc)
    return batch | {"image": image_bhwc.astype(given_bhwc.dtype)}


def _lit(key: jax.Array, image_bhwc: jax.Array, share: float) -> jax.Array:
    """Darker mostly, and of another white."""
    chosen_key, light_key, cast_key = jax.random.split(key, 3)
    count = len(image_bhwc)
    log_b1 = jax.random.uniform(light_key, (count, 1), minval=math.log(DARKEST), maxval=0.0)
    log_bc = log_b1 + CAST * jax.random.normal(cast_key, (count, 3))
    chosen_b1 = jax.random.bernoulli(chosen_key, share, (count, 1))
    factor_bc = jnp.where(chosen_b1, jnp.exp(log_bc), 1)
    return jnp.clip(image_bhwc * factor_bc[:, None, None], 0, 1)


def _blurred(key: jax.Array, image_bhwc: jax.Array, share: float) -> jax.Array:
    """By Gaussians along both axes, or along one."""
    chosen_key, deviation_key, shaken_key, axis_key = jax.random.split(key, 4)
    count, side = len(image_bhwc), max(image_bhwc.shape[1:3])
    least, largest = (math.log(of * side) for of in BLURS)
    deviation_b = jnp.exp(jax.random.uniform(deviation_key, (count,), minval=least, maxval=largest))
    deviation_b *= jax.random.bernoulli(chosen_key, share, (count,))
    shaken_b = jax.random.bernoulli(shaken_key, SHAKEN_SHARE, (count,))
    down_b = jax.random.bernoulli(axis_key, 0.5, (count,))
    radius = math.ceil(2.5 * BLURS[1] * side)
    down_b, across_b = (
        jnp.where(shaken_b & still_b, 0.0, deviation_b) for still_b in (~down_b, down_b)
    )

    def one(drawn: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        image_hwc, down, across = drawn
        return blur(blur(image_hwc, down, 0, radius), across, 1, radius)

    # Picture by picture: of a whole batch, XLA computes what comes before again for every offset.
    return jax.lax.map(one, (image_bhwc, down_b, across_b))


def blur(image_hwc: jax.Array, deviation: jax.Array, axis: int, radius: int) -> jax.Array:
    """By a Gaussian of so many pixels; 0 leaves it as it is.

    Args:
      image_hwc: floating [H, W, 3]; beyond its edges they go on.
      deviation: float scalar, the Gaussian's, 0 or larger.
      axis: 0 or 1, of rows or of columns.
      radius: pixels after which it is cut off.
    """
    offset_k = jnp.arange(-radius, radius + 1)
    weight_k = jnp.exp(-(offset_k**2) / (2 * jnp.maximum(deviation**2, 1e-6)))
    weight_k /= weight_k.sum()
    padding = [(radius, radius) if each == axis else (0, 0) for each in range(3)]
    wide_hwc = jax.lax.optimization_barrier(jnp.pad(image_hwc, padding, mode="edge"))
    length = image_hwc.shape[axis]
    return sum(
        (
            weight_k[k] * jax.lax.slice_in_dim(wide_hwc, k, k + length, axis=axis)
            for k in range(2 * radius + 1)
        ),
        jnp.zeros((), image_hwc.dtype),
    )


def _noisy(key: jax.Array, image_bhwc: jax.Array, share: float) -> jax.Array:
    """Of every pixel's channels alone."""
    chosen_key, most_key, noise_key = jax.random.split(key, 3)
    count = len(image_bhwc)
    most_b = NOISE * jax.random.uniform(most_key, (count,))
    most_b *= jax.random.bernoulli(chosen_key, share, (count,))
    # A byte of noise for each channel: a third of the random bits that three floats take.
    bits_bhw = jax.random.bits(noise_key, image_bhwc.shape[:3], jnp.uint32)
    byte_bhwc = jnp.stack([(bits_bhw >> shift) & 255 for shift in (0, 8, 16)], axis=-1)
    unit_bhwc = (byte_bhwc.astype(jnp.float32) + 0.5) / 128 - 1
    return image_bhwc + most_b[:, None, None, None] * unit_bhwc
