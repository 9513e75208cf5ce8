"""Batch normalisation with PyTorch's running statistics, and what follows it in a block."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from hierseg_jax.models.kernels.batch_norm import (
    NormArrays,
    NormOptions,
    average_moments,
    normalize,
    normalize_by,
    normalize_by_formula,
)
from hierseg_jax.models.layers import Compute, Conv, parameter
from hierseg_jax.system.errors import HiersegError

OF_BATCH = "of_batch"
"""A collection like `batch_stats`, with a batch's own statistics, for whoever names it in
`mutable` when training."""


class BatchNorm(nn.Module):
    """Batch normalisation over (batch, height, width) with PyTorch's running statistics.

    PyTorch normalises by the biased variance and averages the *unbiased* one over
    time; Flax's own layer averages the biased one. Statistics are computed in
    float32 (float64 for float64 inputs) whatever the dtype.

    Attributes:
      epsilon: added to the variance.
      momentum: weight of the past in the running statistics (1 - PyTorch's).
      activation: `relu`, `relu6`, `silu` or None, applied at the end.

    Raises:
      ValueError: in training, where a channel has a single value.
    """

    epsilon: float
    momentum: float = 0.9
    activation: str | None = None
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self,
        x_bhwc: jax.Array,
        *,
        train: bool,
        factor_b11c: jax.Array | None = None,
        shortcut_bhwc: jax.Array | None = None,
        conv: Conv | None = None,
    ) -> jax.Array:
        """activation(shortcut + factor norm(x)); in training updates `batch_stats`.

        Args:
          x_bhwc: [B, h, w, C], as is the result; of the convolution, where one is given.
          train: normalise by the batch's statistics rather than by the running ones.
          factor_b11c: [B, 1, 1, C] of dropout, by default 1; no gradient flows into it.
          shortcut_bhwc: [B, h, w, C], by default 0.
          conv: whose results are normalised. By the kernels both are one pass over memory where
            the statistics are the running ones.
        """
        channels = x_bhwc.shape[-1:] if conv is None else (conv.features,)
        scale = parameter(self, "scale", nn.initializers.ones, channels)
        bias = parameter(self, "bias", nn.initializers.zeros, channels)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)

        axis_name = self.compute.axis_name
        kernels = self.compute.formulation == "kernels"
        options = NormOptions(self.epsilon, self.activation, self.compute.dtype)
        known = not train or self.is_initializing()
        moments = (running_mean.value, running_var.value)
        arrays = NormArrays(*moments, scale, bias, factor_b11c, shortcut_bhwc)
        if conv is not None:
            in_one = known and factor_b11c is None and conv.compute == self.compute
            if in_one and conv.can_normalize(x_bhwc.shape[-1]):
                return conv(x_bhwc, (options, arrays))
            x_bhwc = conv(x_bhwc)
        if known:
            # XLA's SiLU is the faster one.
            fast = kernels and self.activation != "silu"
            return (normalize_by if fast else normalize_by_formula)(options, x_bhwc, arrays)
        x = x_bhwc.astype(jnp.promote_types(x_bhwc.dtype, jnp.float32))
        count = x.size // x.shape[-1]
        if axis_name is not None:
            count *= lax.psum(1, axis_name)
        if count < 2:
            raise HiersegError(
                f"Batch norm {'/'.join(self.path)} sees a single value per channel in "
                "training; use a larger batch or larger images."
            )
        if kernels:
            dtype = self.compute.dtype
            y, mean, var = normalize(
                x_bhwc.astype(dtype),
                scale,
                bias,
                factor_b11c,
                None if shortcut_bhwc is None else shortcut_bhwc.astype(dtype),
                self.epsilon,
                self.activation,
                axis_name,
            )
        else:
            mean = x.mean((0, 1, 2))
            if axis_name is not None:
                mean = lax.pmean(mean, axis_name)
            # Two passes: E[x^2] - E[x]^2 loses half the digits in float32.
            var = jnp.square(x - mean).mean((0, 1, 2))
            if axis_name is not None:
                var = lax.pmean(var, axis_name)
            y = normalize_by_formula(options, x, arrays._replace(mean=mean, var=var))
        past, running = self.momentum, (running_mean.value, running_var.value)
        unbiased = var * (count / (count - 1))
        if kernels and axis_name is None:
            running_mean.value, running_var.value = average_moments(mean, var, running, past, count)
        else:
            running_mean.value = past * running_mean.value + (1 - past) * mean
            running_var.value = past * running_var.value + (1 - past) * unbiased
        if self.is_mutable_collection(OF_BATCH):
            self.put_variable(OF_BATCH, "mean", mean)
            self.put_variable(OF_BATCH, "var", unbiased)
        return y
