"""How steps are compiled: `jax.jit` on one device, `jax.pmap` on several."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import flax.jax_utils
import jax
import numpy as np

from hierseg_jax.train.step import EvalStep, TrainStep

AXIS_NAME = "data"
PER_IMAGE = ("confusion", "contradictions", "prediction")


@dataclasses.dataclass(frozen=True)
class Parallel:
    """The devices of this host, sharing every batch.

    Attributes:
      devices: in use.
    """

    devices: tuple[jax.Device, ...]

    @property
    def axis_name(self) -> str | None:
        """What a model needs to know to share batch statistics; None on one device."""
        return AXIS_NAME if len(self.devices) > 1 else None

    def check_batch_size(self, batch_size: int, name: str = "batch_size") -> None:
        """Refuses a batch that devices cannot share evenly.

        Raises:
          ValueError: naming the nearest sizes that they can.
        """
        count = len(self.devices)
        if batch_size % count:
            below = batch_size // count * count
            nearest = f"{below} or {below + count}" if below else f"{count}"
            raise ValueError(
                f"{name} is {batch_size}, which {count} devices cannot share evenly; choose "
                f"{nearest}."
            )

    def compile_train_step(self, train_step: TrainStep) -> Callable[..., Any]:
        """Gives up the old state's memory to the new one; metrics come back once."""
        if self.axis_name is None:
            return jax.jit(train_step, donate_argnums=0)
        return jax.pmap(
            train_step,
            axis_name=self.axis_name,
            devices=self.devices,
            donate_argnums=0,
            out_axes=(0, None),
        )

    def compile_eval_step(self, eval_step: EvalStep) -> Callable[..., Any]:
        """Per-image results come back as one batch, the loss once."""
        if self.axis_name is None:
            return jax.jit(eval_step)
        mapped = jax.pmap(
            eval_step,
            axis_name=self.axis_name,
            devices=self.devices,
            out_axes={"loss": None} | dict.fromkeys(PER_IMAGE, 0),
        )

        def whole(variables: Any, batch: Any) -> dict[str, Any]:
            result = mapped(variables, batch)
            for name in PER_IMAGE:
                result[name] = result[name].reshape(-1, *result[name].shape[2:])
            return result

        return whole

    def put_state(self, state: Any) -> Any:
        """The state, or any variables, on every device."""
        if self.axis_name is None:
            return jax.device_put(state, self.devices[0])
        return flax.jax_utils.replicate(state, self.devices)

    def fetch_state(self, state: Any) -> Any:
        """A copy in NumPy arrays of its own: the device's memory may be given up."""
        if self.axis_name is not None:
            state = flax.jax_utils.unreplicate(state)
        return jax.tree.map(np.array, jax.device_get(state))

    def put_batch(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """A batch on its device, or split over several."""
        if self.axis_name is None:
            return jax.device_put(batch, self.devices[0])
        count = len(self.devices)
        return {k: v.reshape(count, -1, *v.shape[1:]) for k, v in batch.items()}

    def describe(self) -> str:
        """Number and kind of the devices, for people."""
        kinds = sorted({device.device_kind for device in self.devices})
        count = len(self.devices)
        return f"{count} {'device' if count == 1 else 'devices'} ({', '.join(kinds)})"


def local_parallel(devices: Sequence[jax.Device] | None = None) -> Parallel:
    """All devices of this host by default."""
    return Parallel(tuple(jax.local_devices() if devices is None else devices))


def cpu_threads() -> int:
    """Threads that XLA computes with; another number gives other last bits."""
    if os.environ.get("NPROC", "").isdigit():
        return int(os.environ["NPROC"])
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
