"""A conditional head: logits of nodes become log-probabilities of the leaf classes."""

import jax
import jax.numpy as jnp
from jax import lax

from hierseg_jax.tree.siblings import Siblings


def leaf_log_probabilities(logits_bhwk: jax.Array, siblings: Siblings | None) -> jax.Array:
    """What a head of the tree says of the leaf classes, to be taken for a flat head's logits.

    The softmax of log-probabilities are the probabilities, so that losses, metrics and decoding
    of flat heads need to know nothing of the tree.

    Args:
      logits_bhwk: floating [B, H, W, K], of the nodes.
      siblings: with K nodes and C leaf classes; None for a head that is not conditional.

    Returns:
      [B, H, W, C]: the sum along each path of the logarithm of a softmax among siblings; or the
      logits as they are.
    """
    if siblings is None:
        return logits_bhwk
    of_families = [jax.nn.log_softmax(logits_bhwk[..., channels]) for channels in siblings.families]
    return jnp.matmul(
        jnp.concatenate(of_families, axis=-1),
        jnp.asarray(siblings.on_path_kc, logits_bhwk.dtype),
        precision=lax.Precision.HIGHEST,
    )
