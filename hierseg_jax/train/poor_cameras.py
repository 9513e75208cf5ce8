"""Pictures as poor cameras take them: in bad light, without colours, blurred, with noise."""

import math

import jax
import jax.numpy as jnp

from hierseg_jax.evaluation.eval_step import DeviceBatch

GREY_RGB = (0.299, 0.587, 0.114)
"""What the channels count in a grey picture (ITU-R BT.601, as OpenCV has it)."""

DARKEST = 0.25
"""Least factor on the light, which is uniform in its logarithm up to 1; the cast comes on top."""

CAST = 0.25
"""Most of the logarithm of each channel's own factor, either way; uniform."""

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
    """The batch, of whose pictures a share is in bad light; as many are blurred, noisy, and grey.

    Each of the four is drawn by itself, so a picture may have all. Labels stay. Bars of a
    letterbox are a part of the picture here.

    Args:
      key: of the step and the device.
      batch: `image` [B, H, W, 3], uint8 or floating in 0 to 1, and others.
      share: of the pictures, in [0, 1].
    """
    unit_key, noise_key = jax.random.split(key)
    # All at once: a compiler takes its time for every draw.
    unit_bn = jax.random.uniform(unit_key, (len(batch["image"]), 12))
    given_bhwc = batch["image"]
    whole = given_bhwc.dtype == jnp.uint8
    image_bhwc = given_bhwc.astype(jnp.float32) / (255 if whole else 1)
    image_bhwc = _grey(unit_bn[:, 11], image_bhwc, share)
    image_bhwc = _lit(unit_bn[:, :5], image_bhwc, share)
    image_bhwc = _blurred(unit_bn[:, 5:9], image_bhwc, share)
    image_bhwc = jnp.clip(_noisy(noise_key, unit_bn[:, 9:11], image_bhwc, share), 0, 1)
    if whole:
        image_bhwc = jnp.rint(255 * image_bhwc)
    return batch | {"image": image_bhwc.astype(given_bhwc.dtype)}


def _grey(unit_b: jax.Array, image_bhwc: jax.Array, share: float) -> jax.Array:
    """As cameras see at night, by infrared; by a number in [0, 1) a picture."""
    grey_bhw1 = (image_bhwc * jnp.array(GREY_RGB)).sum(-1, keepdims=True)
    return jnp.where((unit_b < share)[:, None, None, None], grey_bhw1, image_bhwc)


def _lit(unit_b5: jax.Array, image_bhwc: jax.Array, share: float) -> jax.Array:
    """Darker mostly, and of another white; by numbers in [0, 1), five a picture."""
    log_b1 = math.log(DARKEST) * unit_b5[:, 1:2]
    log_bc = log_b1 + CAST * (2 * unit_b5[:, 2:] - 1)
    factor_bc = jnp.where(unit_b5[:, :1] < share, jnp.exp(log_bc), 1)
    return jnp.clip(image_bhwc * factor_bc[:, None, None], 0, 1)


def _blurred(unit_b4: jax.Array, image_bhwc: jax.Array, share: float) -> jax.Array:
    """By Gaussians along both axes, or along one; by numbers in [0, 1), four a picture."""
    chosen_b, deviation_b, shaken_b, down_b = unit_b4.T
    side = max(image_bhwc.shape[1:3])
    least, largest = (math.log(of * side) for of in BLURS)
    deviation_b = jnp.exp(least + (largest - least) * deviation_b) * (chosen_b < share)
    shaken_b, down_b = shaken_b < SHAKEN_SHARE, down_b < 0.5
    down_b, across_b = (
        jnp.where(shaken_b & still_b, 0.0, deviation_b) for still_b in (~down_b, down_b)
    )

    def one(drawn: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        image_hwc, down, across = drawn
        # Picture by picture, for most are not blurred.
        return jax.lax.cond(
            down + across > 0, lambda: blur(image_hwc, down, across), lambda: image_hwc
        )

    return jax.lax.map(one, (image_bhwc, down_b, across_b))


def blur(image_hwc: jax.Array, down: jax.Array, across: jax.Array) -> jax.Array:
    """By Gaussians; beside the picture is nothing, so at its edges only what is there counts.

    Two products of matrices: a sum over offsets takes XLA a second and a half to compile.

    Args:
      image_hwc: float32 [H, W, 3].
      down, across: float scalars, standard deviations along columns and rows, in pixels, 0 or
        larger; 0 leaves it as it is.
    """
    height, width = image_hwc.shape[:2]
    rows_hh, columns_ww = _gaussians(height, down), _gaussians(width, across)
    exactly = jax.lax.Precision.HIGHEST
    image_hwc = jnp.einsum("ij,jwc->iwc", rows_hh, image_hwc, precision=exactly)
    return jnp.einsum("kj,ijc->ikc", columns_ww, image_hwc, precision=exactly)


def _gaussians(side: int, deviation: jax.Array) -> jax.Array:
    """The weights of all pixels along an axis for each of them, [side, side]."""
    at_n = jnp.arange(side, dtype=jnp.float32)
    distance_nn = at_n[:, None] - at_n
    weight_nn = jnp.exp(-(distance_nn**2) / (2 * jnp.maximum(deviation**2, 1e-6)))
    return weight_nn / weight_nn.sum(1, keepdims=True)


def _noisy(key: jax.Array, unit_b2: jax.Array, image_bhwc: jax.Array, share: float) -> jax.Array:
    """Of every pixel's channels alone; how much, by numbers in [0, 1), two a picture."""
    most_b = NOISE * unit_b2[:, 1] * (unit_b2[:, 0] < share)
    # A byte of noise for each channel: a third of the random bits that three floats take.
    bits_bhw = jax.random.bits(key, image_bhwc.shape[:3], jnp.uint32)
    byte_bhwc = jnp.stack([(bits_bhw >> shift) & 255 for shift in (0, 8, 16)], axis=-1)
    unit_bhwc = (byte_bhwc.astype(jnp.float32) + 0.5) / 128 - 1
    return image_bhwc + most_b[:, None, None, None] * unit_bhwc
