"""Batches, and the threads or processes that prepare them ahead."""

import concurrent.futures
import errno
import multiprocessing
import multiprocessing.resource_tracker
import multiprocessing.util
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NotRequired, TypedDict

import cv2
import grain
import numpy as np
from absl import flags

from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.errors import HiersegOSError
from hierseg_jax.system.stop import stop_signals

MOST_THREADS = 16
_LARGER_MEMORY = (
    "On Linux that is /dev/shm: make it larger (`docker run --shm-size=1g`), or set "
    "worker_count=0, which needs none."
)
_STARTING = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOMEM, errno.EAGAIN, errno.ENOSYS}
"""What the system may say where no process can be started, or no semaphore made."""
_AFTER_QUEUES = -100  # `multiprocessing` empties its queues at -5


class Batch(TypedDict):
    """Examples of one size.

    Attributes:
      image: uint8 RGB [B, H, W, 3].
      label: uint8 [B, H, W].
      valid: bool [B]; False of what fills the last batch of an evaluation up.
      whole_label: uint8 [H, W] each, at their pictures' own sizes; see `eval_batches`.
      stop: int32 [B]; see `Parallel.compile_train_step`.
      taught: bool [B, H / CELL, W / CELL], of a run with a teacher: which cells it teaches.
      teacher: float16 [B, H / CELL, W / CELL, K], its scores, unless it sees the images themselves;
        see `data/taught.py`.
    """

    image: np.ndarray
    label: np.ndarray
    valid: np.ndarray
    whole_label: NotRequired[list[np.ndarray]]
    stop: NotRequired[np.ndarray]
    taught: NotRequired[np.ndarray]
    teacher: NotRequired[np.ndarray]


class Batches:
    """grain's iterator, whose workers' end is told in a sentence.

    Args:
      starts_workers: whether the first batch starts processes that read.
    """

    def __init__(self, batches: grain.DatasetIterator, starts_workers: bool = False) -> None:
        self._batches = batches
        self._starts_workers = starts_workers

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        try:
            read = self._first() if self._starts_workers else next(self._batches)
        except RuntimeError as error:
            if "Worker process was terminated" not in str(error):
                raise
            raise HiersegOSError(_why_ended(str(error))) from error
        # grain goes on holding the last batches of its workers, which are in shared memory, until
        # Python collects garbage. Two threads would close them then, and the second might close a
        # file that was given the same number in between.
        batch = read.copy()
        read.clear()
        return batch

    def _first(self) -> Any:
        """The first batch, asked for in a thread whose processes get no stop signal from the start.

        A worker ignores them once it runs, but needs a second to get there. Signals that a thread
        blocks are blocked in the threads and processes that come of it, too.
        """
        self._starts_workers = False
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as thread:
                return thread.submit(self._start_workers).result()
        except OSError as error:
            if error.filename is not None or error.errno not in _STARTING:
                raise
            raise HiersegOSError(
                f"Processes that read data can't be started ({error.strerror}). They hand batches "
                f"over in shared memory. {_LARGER_MEMORY}"
            ) from error

    def _start_workers(self) -> Any:
        _block_stop_signals()
        return next(self._batches)

    def close(self) -> None:
        """Ends the workers."""
        self._batches.close()


def _why_ended(error: str) -> str:
    """A sentence on a worker's end, after grain's words with its exit code."""
    code = error.split("exit code ")[-1].split(".")[0]
    ended = f"A process that reads data has ended (exit code {code}"
    if code == f"-{getattr(signal, 'SIGBUS', 0)}":
        return f"{ended}), most likely as shared memory is full. {_LARGER_MEMORY}"
    return (
        f"{ended}; -9 is a kill, often for want of memory). Give the same command again, perhaps "
        "with a smaller worker_count."
    )


def read_options(cores: int, worker_count: int) -> grain.ReadOptions:
    """How many threads of every process read, a batch each, and how many batches wait.

    As many threads as cores, shared by the worker processes. At most 16, for every thread
    has a batch in memory, and two more wait; grain's defaults would hold 500.
    """
    threads = min(max(1, cores // max(1, worker_count)), MOST_THREADS)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 2)


def iterate(dataset: grain.MapDataset, worker_count: int) -> Batches:
    """Its elements in order, read ahead by threads of this process or by workers."""
    iterable = dataset.to_iter_dataset(read_options(available_cores(), worker_count))
    if worker_count:
        # grain's workers read absl's flags; outside of `app.run` nobody has parsed them.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        iterable = iterable.mp_prefetch(
            grain.MultiprocessingOptions(worker_count, per_worker_buffer_size=2),
            worker_init_fn=_start_worker,
        )
    return Batches(iter(iterable), worker_count > 0)


def _block_stop_signals() -> None:
    """In this thread, and in those and in the processes that it starts."""
    if sys.platform == "win32":
        return  # has none
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
    # The process that minds shared memory, too; what workers leave of it at their end it takes away
    # without a word. Python unblocks two of the signals after its start.
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    try:
        multiprocessing.resource_tracker.ensure_running()
    finally:
        sys.warnoptions.pop()
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())


def _start_worker(index: int, count: int) -> None:
    """One core for each worker, which ends with its parent even if that is killed."""
    del index, count
    cv2.setNumThreads(0)
    # They come to all processes of a terminal or a SLURM step; the run saves, which needs data.
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)
    # Asked to end, it would first read all that it has begun to read ahead.
    multiprocessing.util.Finalize(None, os._exit, args=(1,), exitpriority=_AFTER_QUEUES)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Waits, in a thread of a worker, until the parent process has ended.

    Linux would kill it by itself (PR_SET_PDEATHSIG), but when the thread that started it ends.
    That is one of grain's, which ends before grain asks its workers to. A worker that is killed
    then may hold the lock that grain takes next, and `close` would never return.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
