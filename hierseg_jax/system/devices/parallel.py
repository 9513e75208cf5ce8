"""How steps are compiled: `jax.jit` on one device; `jax.pmap`, or `jax.jit` of a mesh, on several.

Both ways run one program on every device and name the axis between them, so that a step is
written once. They differ in what their arrays look like: under `pmap` a state has a leading
axis of devices, and a process sees its own part of a batch. Under `jit` arrays are those of the
whole run, and a `NamedSharding` says where they lie.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import flax.jax_utils
import jax
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.devices.hosts import count_hosts
from hierseg_jax.system.errors import HiersegError

AXIS_NAME = "data"
WAYS = ("pmap", "jit")
EVERYWHERE, SPLIT = PartitionSpec(), PartitionSpec(AXIS_NAME)
"""Of what every device has a copy of, and of what is split along its first axis."""


@dataclasses.dataclass(frozen=True)
class Parallel:
    """The devices of all processes, sharing every batch.

    Attributes:
      devices: in use, of all processes.
      local: those of this process, which takes `len(local) / len(devices)` of each batch.
      way: of `WAYS`, how several are driven; one needs neither.
    """

    devices: tuple[jax.Device, ...]
    local: tuple[jax.Device, ...]
    way: str = "pmap"

    @property
    def axis_name(self) -> str | None:
        """What a model needs to know to share batch statistics; None on one device."""
        return AXIS_NAME if len(self.devices) > 1 else None

    @property
    def own(self) -> "Parallel":
        """The devices of this process alone, for what it computes without the others."""
        return dataclasses.replace(self, devices=self.local)

    def check_batch_size(self, batch_size: int) -> None:
        """Refuses a batch that devices cannot share evenly.

        Raises:
          ValueError: naming the nearest sizes that they can.
        """
        count = len(self.devices)
        if batch_size % count:
            below = batch_size // count * count
            nearest = f"{below} or {below + count}" if below else f"{count}"
            raise HiersegError(
                f"batch_size is {batch_size}, which {count} devices cannot share evenly; choose "
                f"{nearest}."
            )

    def compile_train_step(self, train_step: Callable[..., Any]) -> Callable[..., Any]:
        """Gives up the old state's memory to the new one; metrics come back once.

        What else the step takes is on the devices as the state is.

        On several devices the largest `stop` of `put_batch` anywhere is among the metrics of all
        processes.
        """
        if self.axis_name is None:
            return jax.jit(train_step, donate_argnums=0)

        def step(state: Any, batch: Any, *frozen: Any) -> tuple[Any, dict[str, Any]]:
            rest = {key: value for key, value in batch.items() if key != "stop"}
            state, metrics = train_step(state, rest, *frozen)
            stop = lax.pmax(batch["stop"].max(), AXIS_NAME)
            return state, metrics | {"stop": stop}

        if self.way == "jit":
            return self._over_mesh(step, (EVERYWHERE, EVERYWHERE), donate_argnums=0)
        return jax.pmap(
            step,
            axis_name=self.axis_name,
            devices=self.devices,
            donate_argnums=0,
            out_axes=(0, None),
        )

    def compile_eval_step(self, eval_step: Callable[..., Any]) -> Callable[..., Any]:
        """Per-image results come back as one batch, the loss once.

        On several devices `stop` comes out as with `compile_train_step`.
        """
        if self.axis_name is None:
            return jax.jit(eval_step)

        def step(variables: Any, batch: Any) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
            rest = {key: value for key, value in batch.items() if key != "stop"}
            result = eval_step(variables, rest)
            stop = lax.pmax(batch["stop"].max(), AXIS_NAME)
            return {"loss": result.pop("loss"), "stop": stop}, result

        if self.way == "jit":
            of_run = self._over_mesh(step, (EVERYWHERE, SPLIT))

            def of_process(variables: Any, batch: Any) -> dict[str, Any]:
                shared, rows = of_run(variables, batch)
                return self._own_rows(rows) | shared

            return of_process

        mapped = jax.pmap(step, axis_name=self.axis_name, devices=self.devices, out_axes=(None, 0))

        def whole(variables: Any, batch: Any) -> dict[str, Any]:
            shared, rows = mapped(variables, batch)
            flat = {name: x.reshape(-1, *x.shape[2:]) for name, x in rows.items()}
            return flat | shared

        return whole

    def compile_batch_map(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """(what is on the devices as the state is, batch) -> batch, of every device's part of it.

        Entries that the function leaves alone, such as `stop`, it has to hand on.
        """
        if self.axis_name is None:
            return jax.jit(function)
        if self.way == "jit":
            return self._over_mesh(function, SPLIT)
        return jax.pmap(function, axis_name=self.axis_name, devices=self.devices)

    def _over_mesh(self, step: Callable[..., Any], out_specs: Any, **told: Any) -> Any:
        """A step of a device, compiled for all of them; all but its batch is everywhere."""

        def of_run(state: Any, batch: Any, *frozen: Any) -> Any:
            mapped = jax.shard_map(
                step,
                mesh=self._mesh,
                in_specs=(EVERYWHERE, SPLIT, *(EVERYWHERE for _ in frozen)),
                out_specs=out_specs,
                # The step says itself what is summed over devices, as it does under pmap.
                check_vma=False,
            )
            return mapped(state, batch, *frozen)

        return jax.jit(of_run, **told)

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (AXIS_NAME,))

    def _own_rows(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Of arrays of the run the rows that this process gave."""
        if len(self.local) == len(self.devices):
            return rows
        own: dict[str, Any] = multihost_utils.global_array_to_host_local_array(
            rows, self._mesh, SPLIT
        )
        return own

    def put_state(self, state: Any) -> Any:
        """The state, or any variables, on every device."""
        if self.axis_name is None:
            return jax.device_put(state, self.devices[0])
        if self.way == "jit":
            everywhere = NamedSharding(self._mesh, EVERYWHERE)
            put = jax.make_array_from_process_local_data
            return jax.tree.map(lambda x: put(everywhere, np.asarray(x)), state)
        replicated = flax.jax_utils.replicate(state, self.local)
        # Laid out as steps lay it out, or the second step would be compiled once more.
        return jax.pmap(lambda x: x, axis_name=self.axis_name, devices=self.devices)(replicated)

    def one_copy(self, state: Any) -> Any:
        """The state on the first of this process's devices, for what it computes alone."""
        if self.axis_name is None:
            return state
        if self.way == "jit":
            return jax.tree.map(lambda x: x.addressable_data(0), state)
        return jax.tree.map(lambda x: x.addressable_data(0)[0], state)

    def fetch_state(self, state: Any) -> Any:
        """A copy in NumPy arrays of its own: the device's memory may be given up."""
        return jax.tree.map(np.array, jax.device_get(self.one_copy(state)))

    def put_batch(self, batch: Mapping[str, Any], stop: int = 0) -> dict[str, Any]:
        """This process's part of a batch, on its device or split over several.

        On several devices it has another entry, `stop` int32 [B], by which steps tell all processes
        what has come to one: they hear of a signal at different steps, and must stop at the same.
        Returns at once: the copies are made while the devices compute what they were given
        before.
        """
        if self.axis_name is None:
            return jax.device_put(batch, self.devices[0])
        batch = {"stop": np.full(len(next(iter(batch.values()))), stop, np.int32), **batch}
        if self.way == "jit":
            split = NamedSharding(self._mesh, SPLIT)
            put = jax.make_array_from_process_local_data
            return {name: put(split, np.asarray(x)) for name, x in batch.items()}
        count = len(self.local)
        parts = {name: x.reshape(count, -1, *x.shape[1:]) for name, x in batch.items()}
        return jax.device_put(parts, NamedSharding(Mesh(np.array(self.local), (AXIS_NAME,)), SPLIT))

    def describe(self) -> str:
        """Number and kind of the devices, for people."""
        kinds = sorted({device.device_kind for device in self.devices})
        count = len(self.devices)
        processes = f" in {count_hosts()} processes" if count_hosts() > 1 else ""
        return f"{count} {'device' if count == 1 else 'devices'} ({', '.join(kinds)}){processes}"


def all_devices(way: str = "pmap") -> Parallel:
    """All devices of all processes, driven in one of `WAYS`."""
    return Parallel(tuple(jax.devices()), tuple(jax.local_devices()), way)


def cpu_threads() -> int:
    """Threads that XLA computes with; another number gives other last bits."""
    if os.environ.get("NPROC", "").isdigit():
        return int(os.environ["NPROC"])
    return available_cores()
