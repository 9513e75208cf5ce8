"""What training drops: channels, or whole residual branches."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn


class ChannelDropout(nn.Module):
    """Factors that set whole channels of single examples to 0 and scale the rest by 1/(1 - rate).

    Draws from the random stream `dropout`, anew at each call.
    """

    shared_axes: ClassVar[tuple[int, ...]] = ()
    rate: float

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, *, train: bool) -> jax.Array | None:
        """[B, h, w, C] -> [B, 1, 1, C] to multiply it by; None where nothing is dropped."""
        if not train or not self.rate:
            return None
        # Of bfloat16, 1/(1 - rate) would be off by up to 0.4 % for every channel that is kept.
        dtype = jnp.promote_types(x_bhwc.dtype, jnp.float32)
        ones_b11c = jnp.ones((x_bhwc.shape[0], 1, 1, x_bhwc.shape[-1]), dtype)
        return nn.Dropout(self.rate, self.shared_axes)(ones_b11c, deterministic=False)


class StochasticDepth(ChannelDropout):
    """Factors that drop a whole residual branch of single examples, or scale it by 1/(1 - rate).

    Huang et al., Deep Networks with Stochastic Depth, ECCV 2016 (arXiv 1603.09382), with the
    scaling in training, as EfficientNet's code has it.
    """

    shared_axes: ClassVar[tuple[int, ...]] = (3,)


def residual_dropout(channel_rate: float, depth_rate: float) -> ChannelDropout:
    """What drops of a residual branch: all of it where `depth_rate` is above 0, else channels."""
    if depth_rate:
        return StochasticDepth(depth_rate, name="dropout")
    return ChannelDropout(channel_rate, name="dropout")


def drop_rate_at_depth(rate: float, block: int, blocks: int) -> float:
    """Rate at which a block's branch is dropped: from 0 at the first, rising with its number.

    EfficientNet's rule, rate x block / blocks (Huang et al., section 3, has block + 1).

    Args:
      rate: that the rule approaches at the end of the network.
      block: number of the block, from 0.
      blocks: of the whole network.
    """
    return rate * block / blocks
