"""Batch statistics of averaged weights, computed anew from training pictures.

The average of several networks' statistics is not what the network of their averaged weights
sees. So, as in stochastic weight averaging (Izmailov et al., UAI 2018, arXiv 1803.05407), that
network is shown training batches, and has the mean of their own statistics: every batch's means
and unbiased variances count alike, as in PyTorch's `update_bn`.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from hierseg_jax.data.batches import Batches
from hierseg_jax.evaluation.eval_step import DeviceBatch, scale_image
from hierseg_jax.models import SegmentationModel, precision_of
from hierseg_jax.models.normalization import OF_BATCH
from hierseg_jax.settings import Settings
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.stop import StopSignals

Counted = tuple[jax.Array, dict[str, Any]]
"""How many batches were seen, int32; and variables with the mean of their statistics."""


def make_statistics_step(
    model: SegmentationModel,
) -> Callable[[Counted, DeviceBatch], tuple[Counted, dict[str, jax.Array]]]:
    """(counted, batch) -> (counted, no metrics), with the statistics of one more batch.

    Args:
      model: a network that drops nothing. Where its backbone is frozen, the backbone's statistics
        stay.
    """

    def step(counted: Counted, batch: DeviceBatch) -> tuple[Counted, dict[str, jax.Array]]:
        count, variables = counted
        image_bhwc = scale_image(batch["image"])
        with precision_of(model):
            _, seen = model.apply(
                variables, image_bhwc, train=True, mutable=["batch_stats", OF_BATCH]
            )
        mean, of_batch = (
            flatten_dict(variables["batch_stats"]),
            flatten_dict(seen.get(OF_BATCH, {})),
        )
        # Of the first batch all, whatever was there before.
        share = 1 / (count + 1)
        before = {path: mean[path] for path in of_batch}
        mean |= optax.incremental_update(of_batch, before, share)
        return (count + 1, variables | {"batch_stats": unflatten_dict(mean)}), {}

    return step


@dataclasses.dataclass(frozen=True, eq=False)
class Reestimation:
    """What a run does with its average before it is validated.

    Attributes:
      step, frozen_step: from `make_statistics_step`, compiled by `parallel`; the second while the
        backbone is frozen.
      batches: as they are in validation, of training pictures, from a `start_step` on.
      count: how many of them are looked at.
      parallel: the devices.
      put_batch: from a batch to examples on them, as `Parallel.put_batch`.
    """

    step: Callable[..., Any]
    frozen_step: Callable[..., Any]
    batches: Callable[..., Batches]
    count: int
    parallel: Parallel
    put_batch: Callable[..., dict[str, Any]]

    def of_average(
        self, average: dict[str, Any], start_step: int, frozen: bool, stop: StopSignals
    ) -> dict[str, Any]:
        """The average with statistics of its own; it gives up the old one's memory.

        Args:
          average: `{"params": ..., "batch_stats": ...}` on the devices.
          start_step: number of the first batch.
          frozen: whether the backbone is.
          stop: signals, at which fewer batches are looked at.
        """
        step = self.frozen_step if frozen else self.step
        counted = self.parallel.put_state(jnp.zeros((), jnp.int32)), average
        alone = self.parallel.axis_name is None
        with contextlib.closing(self.batches(start_step=start_step)) as batches:
            for batch in itertools.islice(batches, self.count):
                if stop.received if alone else stop.learned:
                    break
                counted, metrics = step(counted, self.put_batch(batch, stop.received))
                if not alone:
                    stop.learn(int(jax.device_get(metrics["stop"])))
        return counted[1]


def check_reestimation(settings: Settings) -> None:
    """Refuses to compute the statistics of an average that is not kept.

    Raises:
      ValueError: naming the keys.
    """
    if settings.reestimate_statistics and not settings.ema_decay:
        raise HiersegError(
            f"The config's reestimate_statistics is {settings.reestimate_statistics}, and there "
            "are no averaged weights, whose statistics these are: set ema_decay, or "
            "reestimate_statistics to 0."
        )
