"""Which share of a training step waits for its batch, for each place where pictures may stay.

python benchmarks/input_wait.py --data=data.yaml --config.model.name=esnet_small

Rounds of all alternate in one process. The first batches of a round are not timed, so that what was
prepared ahead is used up; every step is waited for.
"""

import contextlib
import pathlib
import statistics
import tempfile
import time

import jax
from absl import app, flags
from ml_collections import config_flags

from hierseg_jax.settings import read_settings
from hierseg_jax.train.run import Run
from hierseg_jax.train.set_up import set_up

_CONFIG = config_flags.DEFINE_config_file("config", "configs/modern.py", "Of the runs.")
_DATA = flags.DEFINE_string("data", None, "A data.yaml, or tfds:NAME.", required=True)
_CACHES = flags.DEFINE_list("caches", ["none", "host", "device"], "data.cache.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of each, alternating, after one that warms up.")
_STEPS = flags.DEFINE_integer("steps", 12, "Steps of a round that are timed.")
_AHEAD = flags.DEFINE_integer("ahead", 6, "Steps of a round before them.")


def wait_and_step(run: Run, start_step: int) -> tuple[float, float]:
    """Seconds of waiting for a batch, and of a step with it: means of a round."""
    state = run.parallel.put_state(run.initial_state())
    waited = worked = 0.0
    with contextlib.closing(run.train_batches(start_step=start_step)) as batches:
        for number in range(_AHEAD.value + _STEPS.value):
            began = time.perf_counter()
            batch = next(batches)
            had = time.perf_counter()
            state, metrics = run.train_step(state, run.put_batch(batch))
            jax.block_until_ready(metrics)
            if number >= _AHEAD.value:
                waited, worked = waited + had - began, worked + time.perf_counter() - had
    return waited / _STEPS.value, worked / _STEPS.value


def main(argv: list[str]) -> None:
    """Prints a line for each place."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        runs = {}
        for cache in _CACHES.value:
            keys = {"data.spec": _DATA.value, "data.cache": cache}
            settings = read_settings(_CONFIG.value).replace(keys)
            runs[cache] = set_up(settings, pathlib.Path(folder) / cache)
        length = _AHEAD.value + _STEPS.value
        rounds = [
            {cache: wait_and_step(run, number * length) for cache, run in runs.items()}
            for number in range(_ROUNDS.value + 1)
        ][1:]
    for cache in runs:
        waited, worked = zip(*(of[cache] for of in rounds), strict=True)
        shares = sorted(w / (w + s) for w, s in zip(waited, worked, strict=True))
        print(
            f"cache={cache}: waits {1e3 * statistics.median(waited):.1f} ms for a batch, works "
            f"{1e3 * statistics.median(worked):.1f} ms: {statistics.median(shares):.1%} "
            f"({shares[0]:.1%} to {shares[-1]:.1%}) of a step"
        )


if __name__ == "__main__":
    app.run(main)
