"""Runs killed again and again, wherever they are, end at the bits of a run left alone."""

import collections
import signal
import time

import numpy as np
import pytest

from tests.runs import assert_bit_identical, run, start, train_command

EPOCHS = 6
KILLS = 24
STARTING, TRAINING, SAVING = MOMENTS = ("starting", "training", "saving")


def wait_for(process, moment, workdir, rng):
    """Returns at a moment of that kind, or when the process has ended."""
    for line in process.stdout:
        if "an epoch" in line:  # the run's description: nothing is read or compiled yet
            break
    if moment == STARTING:
        time.sleep(rng.uniform(0, 3))
        return
    for line in process.stdout:
        if "epoch " in line:
            break
    if moment == TRAINING:
        time.sleep(rng.uniform(0, 0.5))
        return
    while process.poll() is None and not being_written(workdir):
        time.sleep(0.0005)
    time.sleep(rng.uniform(0, 0.03))


def being_written(workdir):
    """Checkpoints that have not got their names yet."""
    return list((workdir / "checkpoints").glob("*tmp*"))


@pytest.mark.slow
def test_runs_killed_at_any_moment_end_bit_identically(tmp_path):
    """Every kill hits a living process; how many were of which kind is printed."""
    assert run(train_command(tmp_path / "whole", epochs=EPOCHS)).returncode == 0
    rng = np.random.RandomState(0)
    kills: collections.Counter[str] = collections.Counter()
    half_written = runs = 0
    while kills.total() < KILLS:
        workdir = tmp_path / f"run{runs}"
        ended = False
        while not ended:
            process = start(train_command(workdir, epochs=EPOCHS))
            if kills.total() < KILLS:
                moment = MOMENTS[rng.randint(len(MOMENTS))]
                wait_for(process, moment, workdir, rng)
                process.send_signal(signal.SIGKILL)
            output, _ = process.communicate()
            ended = process.returncode == 0
            if not ended:
                assert process.returncode == -signal.SIGKILL, output
                kills[moment] += 1
                half_written += bool(being_written(workdir))
        assert_bit_identical(workdir, tmp_path / "whole")
        runs += 1
    print(f"{dict(kills)}, {half_written} with a checkpoint half written, in {runs} runs")
    assert half_written
