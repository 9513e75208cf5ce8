"""Lovász-softmax: a loss whose minimum is the best mean IoU.

Berman, Rannen Triki and Blaschko, CVPR 2018 (arXiv 1705.08790). A pixel's error at a class is
1 - p where it bears the class, and p elsewhere. Of all pixels whose error is at least t, the
Jaccard loss is

    J(t) = 1 - |class and not among them| / |class or among them|

and the loss of a class is the integral of J over t from 0 to 1, the paper's Lovász extension. It is
the sum over pixels of error times g, where g says by how much J grows when the pixel joins those of
greater errors.

The paper sorts the errors. Here they are counted in bins, for g depends on nothing but how many
pixels have greater errors. Pixels of one bin share a g, and their order makes no difference. The
loss differs from the exact one by at most the width of a bin. Counts of devices are summed, so that
nothing else of the batch has to be gathered. Counting takes a thirtieth of a sort's time on a CPU.
"""

import jax
import jax.numpy as jnp

from hierseg_jax.losses.pixels import counted_pixels, total_over, weights_of_classes

BINS = 1024


def lovasz(
    logits_bhwc: jax.Array,
    labels_bhw: jax.Array,
    *,
    valid_b: jax.Array | None = None,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    bins: int = BINS,
) -> jax.Array:
    """Lovász-softmax over the batch, mean over the classes that some counted pixel bears.

    Args:
      logits_bhwc, labels_bhw, valid_b, class_weights_c, axis_name: as in `flat.py`.
      bins: of errors; the loss is exact up to 1 / bins.
    """
    classes = logits_bhwc.shape[-1]
    logits_nc, labels_n, counted_n = counted_pixels(logits_bhwc, labels_bhw, valid_b, classes)
    true_nc = labels_n[:, None] == jnp.arange(classes, dtype=jnp.uint8)
    p_nc = jax.nn.softmax(logits_nc)
    return lovasz_of_pixels(
        p_nc,
        true_nc,
        counted_n.astype(jnp.int32),
        class_weights_c=class_weights_c,
        axis_name=axis_name,
        bins=bins,
    )


def lovasz_of_pixels(
    p_nc: jax.Array,
    true_nc: jax.Array,
    pixels_n: jax.Array,
    *,
    class_weights_c: jax.Array | None = None,
    axis_name: str | None = None,
    bins: int = BINS,
) -> jax.Array:
    """The loss of pixels that may count several times.

    Args:
      p_nc: floating [N, C], probabilities.
      true_nc: bool [N, C], whether a pixel bears a class.
      pixels_n: integer or floating [N], how many pixels each stands for; 0 where it counts nowhere.
      class_weights_c, axis_name, bins: as in `lovasz`.
    """
    classes = p_nc.shape[-1]
    error_nc = jnp.where(true_nc, 1.0 - p_nc, p_nc)
    bin_nc = jnp.clip((jax.lax.stop_gradient(error_nc) * bins).astype(jnp.int32), 0, bins - 1)
    place_nc = bin_nc + bins * (2 * jnp.arange(classes) + true_nc)
    counts = jnp.zeros(2 * classes * bins, pixels_n.dtype)
    counts = counts.at[place_nc].add(jnp.broadcast_to(pixels_n[:, None], place_nc.shape))
    other_ck, own_ck = jnp.moveaxis(total_over(counts, axis_name).reshape(classes, 2, bins), 1, 0)
    slopes_c2k = jax.lax.stop_gradient(_slopes(other_ck, own_ck, p_nc.dtype))
    cost_nc = error_nc * slopes_c2k.reshape(-1)[place_nc] * pixels_n[:, None]
    loss_c = total_over(cost_nc.sum(0), axis_name)
    return _mean_of_present(loss_c, own_ck, class_weights_c)


def lovasz_of_bins(
    counts_c2k: jax.Array, errors_c2k: jax.Array, axis_name: str | None = None
) -> jax.Array:
    """The loss of errors in bins of equal width, from 0 to 1.

    Args:
      counts_c2k: int [C, 2, bins], how many pixels without and with a class have such an error.
      errors_c2k: float32 [C, 2, bins], the sums of these errors.
      axis_name: as in `lovasz`.
    """
    other_ck, own_ck = jnp.moveaxis(total_over(counts_c2k, axis_name), 1, 0)
    slopes_c2k = jax.lax.stop_gradient(_slopes(other_ck, own_ck, errors_c2k.dtype))
    loss_c = total_over((errors_c2k * slopes_c2k).sum((1, 2)), axis_name)
    return _mean_of_present(loss_c, own_ck, None)


def _mean_of_present(
    loss_c: jax.Array, own_ck: jax.Array, class_weights_c: jax.Array | None
) -> jax.Array:
    weights_c = (own_ck.sum(-1) > 0).astype(loss_c.dtype)
    if class_weights_c is not None:
        weights_c *= weights_of_classes(class_weights_c, loss_c)
    total = weights_c.sum()
    return (loss_c * weights_c).sum() / jnp.where(total > 0, total, 1.0)


def _slopes(other_ck: jax.Array, own_ck: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """What a pixel of each bin adds to the Jaccard loss.

    Within a bin it is the mean of what pixels of the class add if they come first, and if they come
    last: times the bin's pixels it sums to the growth of the loss over the bin.

    Args:
      other_ck, own_ck: [C, bins], how many pixels without and with the class have such an error.
      dtype: of the result.

    Returns:
      [C, 2, bins], for pixels without and with the class.
    """
    size_c1 = own_ck.sum(-1, keepdims=True)
    size_c1 = jnp.where(size_c1 > 0, size_c1, 1)
    # Right pixels of the class, and its union with wrong ones, with the bin's pixels and before.
    right_ck = jnp.cumsum(own_ck, axis=-1)
    union_ck = size_c1 + jax.lax.cumsum(other_ck, axis=1, reverse=True)
    before_right_ck, before_union_ck = right_ck.astype(dtype), (union_ck - other_ck).astype(dtype)
    after_right_ck, after_union_ck = (right_ck - own_ck).astype(dtype), union_ck.astype(dtype)
    of_own_ck = (1 / before_union_ck + 1 / after_union_ck) / 2
    mean_right_ck = (before_right_ck + after_right_ck) / 2
    of_other_ck = mean_right_ck / before_union_ck / after_union_ck
    return jnp.stack([of_other_ck, of_own_ck], axis=1)
