"""Several processes, on one host or many, that train one network together."""

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.notes import note

# Seconds without a sign of life after which a process counts as dead, and all others end.
HEARTBEAT = 20
JOIN_TIMEOUT = 300

# How many processes there are, in the environments that JAX finds its way in by itself.
COUNTS = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
# Present where JAX finds the others by itself: a job of Kubernetes, a slice of TPUs.
MARKS = ("JOB_COMPLETION_INDEX", "TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES")


def join_hosts(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Connects this process with the others of its run; before anything is computed.

    Without arguments the environment decides: SLURM, Open MPI, an indexed Kubernetes job, a
    TPU slice; elsewhere the process is alone.

    Args:
      coordinator: `host:port` of process 0, free there.
      num_processes: of the run.
      process_id: of this one, from 0.

    Raises:
      ValueError: if only some are given, they make no sense, or nobody answers.
    """
    given = {
        "--coordinator": coordinator,
        "--num_processes": num_processes,
        "--process_id": process_id,
    }
    missing = [name for name, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        raise HiersegError(
            f"{' and '.join(missing)} is missing; --coordinator, --num_processes and --process_id "
            "go together."
        )
    if missing and not is_cluster(os.environ):
        return
    if not missing:
        _check(coordinator or "", num_processes or 0, process_id or 0)
        if num_processes == 1:
            return
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=JOIN_TIMEOUT,
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=2 * HEARTBEAT,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise HiersegError(
            f"The other processes of the run could not be reached ({reason}). --coordinator, "
            "--num_processes and --process_id tell where they are."
        ) from error


def is_cluster(environment: Mapping[str, str]) -> bool:
    """Whether a process of this environment is one of several, as far as it tells."""
    if any(environment.get(name, "").isdigit() and int(environment[name]) > 1 for name in COUNTS):
        return True
    if any(name in environment for name in MARKS):
        return True
    # A TPU's host, which asks its surroundings; alone there, it is the one process of a run.
    on_tpu = importlib.util.find_spec("libtpu") is not None
    return on_tpu and "cpu" not in environment.get("JAX_PLATFORMS", "")


def is_main() -> bool:
    """Whether this process writes what the run leaves."""
    return jax.process_index() == 0


def count_hosts() -> int:
    """Processes of the run, which share every batch."""
    return jax.process_count()


def host_number() -> int:
    """Of this process, from 0."""
    return jax.process_index()


def say(text: str) -> None:
    """To the screen, once in a run of several processes."""
    if is_main():
        print(text, flush=True)


def note_once(text: str) -> None:
    """A note, once in a run of several processes; nothing for an empty text."""
    if is_main():
        note(text)


def agree(number: int) -> int:
    """The largest number that a process brings, in all of them; 0 <= number < 2^31."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.int32(number)).max())


def as_on_main(arrays: Any) -> Any:
    """The main process's arrays, in all of them; a tree of equal shapes in each."""
    if jax.process_count() == 1:
        return arrays
    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(arrays))


def seen_by_any(seen: np.ndarray) -> np.ndarray:
    """What is True in any process, in all of them; a bool array of equal shape in each."""
    if jax.process_count() == 1:
        return seen
    return np.any(np.asarray(multihost_utils.process_allgather(seen.astype(np.uint8))), axis=0)


def gather_interleaved(array: np.ndarray) -> np.ndarray:
    """Rows of all processes, in the order of the data set: row i of process p is i * P + p."""
    count = jax.process_count()
    if count == 1:
        return array
    parts = np.asarray(multihost_utils.process_allgather(array))
    return np.swapaxes(parts, 0, 1).reshape(-1, *array.shape[1:])


def _check(coordinator: str, num_processes: int, process_id: int) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise HiersegError(f"--coordinator is {coordinator!r}; give host:port.")
    if num_processes < 1 or not 0 <= process_id < num_processes:
        raise HiersegError(
            f"--process_id is {process_id} of --num_processes={num_processes}; processes are "
            "numbered from 0."
        )
