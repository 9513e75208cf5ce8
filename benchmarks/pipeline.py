"""Rate of the training pipeline on one core, against decoding and resizing alone.

python benchmarks/pipeline.py --data=data.yaml

Rounds of all alternate in one process that is pinned to one core; medians are printed, and the
range of each one's ratio to the first within a round. Seconds are those of the processor, which
other programs on the machine don't lengthen by taking turns.
"""

import os
import statistics
import time
from collections.abc import Callable

import cv2
from absl import app, flags

from hierseg_jax.data.picture_cache import Room, cached
from hierseg_jax.data.pipeline import train_batches
from hierseg_jax.data.read.sources import Source, open_split
from hierseg_jax.data.resize import Resize

_DATA = flags.DEFINE_string("data", None, "A data.yaml, or tfds:NAME.", required=True)
_SIZES = flags.DEFINE_list("sizes", ["192", "320"], "Sides in pixels.")
_AUGMENT = flags.DEFINE_list("augment", ["none", "reference", "modern"], "Augmentations.")
_CACHES = flags.DEFINE_list("caches", ["none", "host"], "Where pictures stay: data.cache.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of each, alternating.")
_BATCHES = flags.DEFINE_integer("batches", 10, "Batches in a round.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a batch.")

Rate = Callable[[int], float]
"""(number of the round) -> images/s."""


def bare_rate(source: Source, size: int, images: int, start: int) -> float:
    """Images/s of reading, decoding and resizing image and mask in a plain loop."""
    began = time.process_time()
    for i in range(start, start + images):
        example = source[i % len(source)]
        cv2.resize(example["image"], (size, size), interpolation=cv2.INTER_LINEAR)
        cv2.resize(example["label"], (size, size), interpolation=cv2.INTER_NEAREST)
    return images / (time.process_time() - began)


def pipeline_rate(source: Source, size: int, augment: str, batches: int, start: int) -> float:
    """Images/s of `train_batches`, once its queue is full."""
    batch_size = _BATCH_SIZE.value
    stream = train_batches(
        source, size=(size, size), batch_size=batch_size, seed=0, augment=augment, start_step=start
    )
    # What was prepared ahead of the clock is taken out first, and as much is left at the end.
    for _ in range(6):
        next(stream)
    began = time.process_time()
    for _ in range(batches):
        next(stream)
    rate = batches * batch_size / (time.process_time() - began)
    stream.close()
    return rate


def kept(source: Source, size: int, augment: str) -> Source:
    """A source whose pictures are all in memory, as a run with `data.cache=host` has them."""
    fitted = None if augment == "modern" else ((size, size), Resize())
    source = cached(source, Room(1 << 40), fitted)
    for i in range(len(source)):
        _ = source[i]
    return source


def ways(source: Source, size: int) -> dict[str, Rate]:
    """All that is timed at a size, by name."""
    batches = _BATCHES.value
    images = batches * _BATCH_SIZE.value
    found: dict[str, Rate] = {
        "decode + resize": lambda i: bare_rate(source, size, images, i * images)
    }
    for augment in _AUGMENT.value:
        for cache in _CACHES.value:
            read = kept(source, size, augment) if cache == "host" else source

            def rate(i: int, read: Source = read, augment: str = augment) -> float:
                return pipeline_rate(read, size, augment, batches, i * batches)

            found[f"augment={augment}, cache={cache}"] = rate
    return found


def main(argv: list[str]) -> None:
    """Prints a line for each size and way."""
    del argv
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    for size in map(int, _SIZES.value):
        rates = ways(open_split(_DATA.value, "train", size, {}), size)
        rounds = [{name: rate(i) for name, rate in rates.items()} for i in range(_ROUNDS.value + 1)]
        del rounds[0]  # it warms up
        first = next(iter(rates))
        for name in rates:
            ratios = sorted(of[name] / of[first] for of in rounds)
            print(
                f"{size} px, one core: {name}: {statistics.median(of[name] for of in rounds):.0f} "
                f"images/s, {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
