"""Checkpoints that can't be written, where tensorstore's threads report to a loop that has ended.

`python -m tests.late_callbacks FOLDER` writes two, and prints to how many loops that happened. No
file may become larger than 64 KiB, so that every array fails. The first failure ends orbax's event
loop, which waits for the second report; this one waits until the loop is closed.
"""

import asyncio
import resource
import sys
import threading
from pathlib import Path

import numpy as np
import tensorstore

from hierseg_jax.checkpoint import CheckpointWriter, save_checkpoint
from hierseg_jax.system.command_line import run
from hierseg_jax.system.errors import HiersegOSError

failed, reporting, reached = set(), set(), set()
news = threading.Condition()
report, close_loop = asyncio.BaseEventLoop.call_soon_threadsafe, asyncio.BaseEventLoop.close
close_runner = asyncio.Runner.close


def report_late(loop, callback, *args, **options):
    source = args[0] if args else None
    if not isinstance(source, tensorstore.Future) or runs_here(loop):
        return report(loop, callback, *args, **options)
    with news:
        late = loop in failed
        if late:
            reporting.add(loop)
            news.notify_all()
            news.wait_for(loop.is_closed)
        elif source.exception() is not None:
            failed.add(loop)
    try:
        return report(loop, callback, *args, **options)
    finally:
        if late:
            with news:
                reached.add(loop)
                news.notify_all()


def runs_here(loop):
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def close_runner_late(runner):
    loop = runner.get_loop()
    with news:
        news.wait_for(lambda: loop not in failed or loop in reporting)
    close_runner(runner)


def close_loop_and_tell(loop):
    close_loop(loop)
    with news:
        news.notify_all()


def write_in_vain():
    rng = np.random.default_rng(0)
    arrays = {str(i): rng.random(100_000) for i in range(8)}
    try:
        save_checkpoint(folder / "converted", arrays, {})
    except HiersegOSError as error:
        print(error)
    with CheckpointWriter(folder, keep_last=1, keep_best=1, keep_every=None) as writer:
        writer.save(1, arrays, arrays, {}, None)
        try:
            writer.wait()
        finally:
            with news:
                news.wait_for(lambda: reached == reporting)
            print("closed before a report:", len(reached))


if __name__ == "__main__":
    folder = Path(sys.argv.pop())
    asyncio.BaseEventLoop.call_soon_threadsafe = report_late
    asyncio.BaseEventLoop.close = close_loop_and_tell
    asyncio.Runner.close = close_runner_late
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
    run(write_in_vain)
