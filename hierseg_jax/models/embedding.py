"""The projection head of the tree-triplet loss (Li et al., arXiv 2203.14335, section 3.3)."""

import jax
from flax import linen as nn

from hierseg_jax.models.layers import Compute, Conv
from hierseg_jax.models.normalization import BatchNorm

COLLECTION = "intermediates"
NAME = "embedding"


class EmbeddingHead(nn.Module):
    """Features of stride 8 to embeddings, for training alone.

    They are left in the collection `intermediates`, which `apply` gives back where it is
    named in `mutable`; `read_embedding` finds them there.
    """

    size: int
    compute: Compute
    epsilon: float

    @nn.compact
    def __call__(self, x_bhwc: jax.Array, *, train: bool) -> None:
        """[B, h, w, C] -> [B, h, w, size], not normalised."""
        y = Conv(x_bhwc.shape[-1], (1, 1), compute=self.compute, name="conv1")(x_bhwc)
        norm = BatchNorm(epsilon=self.epsilon, compute=self.compute, name="norm")
        y = nn.relu(norm(y, train=train))
        y = Conv(self.size, (1, 1), compute=self.compute, name="conv2")(y)
        self.sow(COLLECTION, NAME, y)


def read_embedding(updates: dict) -> jax.Array:
    """The embeddings [B, h, w, size] among what `apply` gave back as changed."""
    (embedding_bhwe,) = updates[COLLECTION]["embedding"][NAME]
    return embedding_bhwe
