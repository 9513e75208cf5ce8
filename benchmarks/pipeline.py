"""Rate of the training pipeline on one core, against decoding and resizing alone.

python benchmarks/pipeline.py --data=data.yaml

Rounds of both alternate in one process that is pinned to one core; medians are printed.
"""

import os
import statistics
import time

import cv2
from absl import app, flags

from hierseg_jax.data.pipeline import train_batches
from hierseg_jax.data.read.sources import Source, open_split

_DATA = flags.DEFINE_string("data", None, "A data.yaml, or tfds:NAME.", required=True)
_SIZES = flags.DEFINE_list("sizes", ["192", "320"], "Sides in pixels.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of each, alternating.")
_BATCHES = flags.DEFINE_integer("batches", 10, "Batches in a round.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a batch.")


def bare_rate(source: Source, size: int, images: int, start: int) -> float:
    """Images/s of reading, decoding and resizing image and mask in a plain loop."""
    began = time.perf_counter()
    for i in range(start, start + images):
        example = source[i % len(source)]
        cv2.resize(example["image"], (size, size), interpolation=cv2.INTER_LINEAR)
        cv2.resize(example["label"], (size, size), interpolation=cv2.INTER_NEAREST)
    return images / (time.perf_counter() - began)


def pipeline_rate(source: Source, size: int, augment: bool, batches: int, start: int) -> float:
    """Images/s of `train_batches`, once its queue is full."""
    batch_size = _BATCH_SIZE.value
    stream = train_batches(
        source, size=(size, size), batch_size=batch_size, seed=0, augment=augment, start_step=start
    )
    # What was prepared ahead of the clock is taken out first, and as much is left at the end.
    for _ in range(6):
        next(stream)
    began = time.perf_counter()
    for _ in range(batches):
        next(stream)
    rate = batches * batch_size / (time.perf_counter() - began)
    stream.close()
    return rate


def main(argv: list[str]) -> None:
    """Prints one line for each size."""
    del argv
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    for size in map(int, _SIZES.value):
        source = open_split(_DATA.value, "train", size, {})
        images = _BATCHES.value * _BATCH_SIZE.value
        rates: dict[str, list[float]] = {"bare": [], "plain": [], "augmented": []}
        for i in range(_ROUNDS.value + 1):
            round_rates = (
                bare_rate(source, size, images, i * images),
                pipeline_rate(source, size, False, _BATCHES.value, i * _BATCHES.value),
                pipeline_rate(source, size, True, _BATCHES.value, i * _BATCHES.value),
            )
            if i:  # the first round warms up
                for name, rate in zip(rates, round_rates, strict=True):
                    rates[name].append(rate)
        bare, plain, augmented = (statistics.median(rates[name]) for name in rates)
        print(
            f"{size} px, one core: decode + resize {bare:.0f} images/s; pipeline {plain:.0f} "
            f"({plain / bare:.0%}); pipeline with augmentation {augmented:.0f} "
            f"({augmented / bare:.0%})",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
