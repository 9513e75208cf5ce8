"""An exponential moving average of the weights, which generalises better than the last ones.

Polyak and Juditsky 1992; with the warm-up of TensorFlow's ExponentialMovingAverage: in step
t = 1, 2, ... the past's weight is min(decay, t / (9 + t)), so that early weights are soon
forgotten and no correction of a bias is needed. Batch statistics, being averages of the
same network's past, are averaged in the same way. It begins with the initial variables.
"""

from typing import Any

import jax
import jax.numpy as jnp

from hierseg_jax.models.kernels.many_arrays import incremental_update

WARMUP = 9


def update_average(average: Any, variables: Any, step: jax.Array, decay: float) -> Any:
    """The average after a training step.

    Args:
      average: before it: `{"params": ..., "batch_stats": ...}`.
      variables: of the network after the step, alike.
      step: int32, steps done, this one not counted.
      decay: largest weight of the past, in (0, 1).
    """
    # 1 - t / (9 + t), with t = step + 1.
    weight_of_new = jnp.maximum(1 - decay, WARMUP / (WARMUP + 1 + step.astype(jnp.float32)))
    return incremental_update(variables, average, weight_of_new)
