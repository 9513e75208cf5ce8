"""Rate of the training pipeline on one core, against decoding and resizing alone.

python benchmarks/pipeline.py --data=data.yaml

Pictures read anew (data.cache=none), kept in memory (host), and kept on the device (device, with
augment=modern): what the host has to do for that, and the same with what this CPU does in the
device's place.

Rounds of all alternate in one process that is pinned to one core; medians are printed, and the
range of each one's ratio to the first within a round. Seconds are those of the processor, which
other programs on the machine don't lengthen by taking turns.
"""

import functools
import os
import statistics
import time
from collections.abc import Callable

import cv2
import jax
import numpy as np
from absl import app, flags

from hierseg_jax.data.batches import Batch, Batches
from hierseg_jax.data.picture_cache import Room, cached
from hierseg_jax.data.pipeline import drawn_batches, train_batches
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.sources import open_split
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sized_examples import bounded_example, fitted_example, resized_source
from hierseg_jax.train.on_device.augmentation import augmented
from hierseg_jax.train.on_device.stored_pictures import store_pictures

_DATA = flags.DEFINE_string("data", None, "A data.yaml, or tfds:NAME.", required=True)
_SIZES = flags.DEFINE_list("sizes", ["192", "320"], "Sides in pixels.")
_AUGMENT = flags.DEFINE_list("augment", ["none", "reference", "modern"], "Augmentations.")
_CACHES = flags.DEFINE_list("caches", ["none", "host", "device"], "data.cache.")
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


def pipeline_rate(
    open_batches: Callable[..., Batches],
    batches: int,
    start: int,
    use: Callable[[Batch], object] = lambda batch: None,
) -> float:
    """Images/s of batches that are opened, once their queue is full, and of what uses them."""
    batch_size = _BATCH_SIZE.value
    stream = open_batches(batch_size=batch_size, seed=0, start_step=start)
    # What was prepared ahead of the clock is taken out first, and as much is left at the end.
    for _ in range(6):
        use(next(stream))
    began = time.process_time()
    for _ in range(batches):
        use(next(stream))
    rate = batches * batch_size / (time.process_time() - began)
    stream.close()
    return rate


def as_of_a_run(source: Source, size: int, augment: str) -> Source:
    """A source whose pictures have the size that a run keeps or reads them in."""
    sized = bounded_example if augment == "modern" else fitted_example
    return resized_source(source, sized, (size, size), Resize())


def kept(source: Source) -> Source:
    """A source whose pictures are all in memory, as a run with `data.cache=host` has them."""
    source = cached(source, Room(1 << 40))
    for i in range(len(source)):
        _ = source[i]
    return source


def ways(source: Source, size: int) -> dict[str, Rate]:
    """All that is timed at a size, by name."""
    batches, square = _BATCHES.value, (size, size)
    images = batches * _BATCH_SIZE.value
    found: dict[str, Rate] = {
        "decode + resize": lambda i: bare_rate(source, size, images, i * images)
    }

    def add(name: str, opened: Callable[..., Batches], **rest: Callable[[Batch], object]) -> None:
        found[name] = lambda i: pipeline_rate(opened, batches, i * batches, **rest)

    for augment in _AUGMENT.value:
        for cache in (of for of in _CACHES.value if of != "device"):
            read = as_of_a_run(source, size, augment)
            read = kept(read) if cache == "host" else read
            opened = functools.partial(train_batches, read, size=square, augment=augment)
            add(f"augment={augment}, cache={cache}", opened)
    if "device" in _CACHES.value:
        pictures = store_pictures(source, square, Resize())
        planes = jax.device_put(pictures.planes_n4hw)
        mirrored = np.arange(256, dtype=np.uint8)
        on_device = jax.jit(functools.partial(augmented, mirrored=mirrored, size=square))
        opened = functools.partial(drawn_batches, pictures.shapes_n2, size=square)
        add("augment=modern, cache=device, the host's part", opened)
        add(
            "augment=modern, cache=device, all of it on this CPU",
            opened,
            use=lambda batch: jax.block_until_ready(on_device(planes, batch)),
        )
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
