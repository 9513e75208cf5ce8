"""The training pictures of a run on its devices, and the way from what was drawn to a batch."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.augment.choice import fits_first
from hierseg_jax.data.picture_cache import PIXEL_BYTES, in_gb, sample_shapes
from hierseg_jax.data.pipeline import drawn_batches
from hierseg_jax.data.read.members import names_code
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sized_examples import stored_shape
from hierseg_jax.settings import Settings
from hierseg_jax.system.devices.hosts import agree, count_hosts, host_number, say
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.system.machine_memory import machine_memory
from hierseg_jax.system.wording import counted
from hierseg_jax.train.on_device.augmentation import augmented
from hierseg_jax.train.on_device.stored_pictures import store_pictures
from hierseg_jax.train.training_pictures import TrainingPictures

SHARES = {"auto": 1 / 8, "device": 1 / 4}
"""Of a device's memory, what pictures may take at most, by `data.cache`. `pmap` holds them twice
for a moment, and a batch may have been chosen to fill the rest."""
# Of the machine's, while they are read: once each by itself, once together.
_READING, _READING_SHARE = 2, 3 / 4


WIDEST = 6
"""Times the least scale that the largest may be. A pixel is the mean of so many points then, at
most 3 x 3, as it takes to compile in seconds: 8 x 8 took a minute, and 22 x 22 did not end."""


def open_device_cache(
    settings: Settings,
    source: Source,
    sizes: Sequence[tuple[int, int]],
    parallel: Parallel,
    mirrored: np.ndarray,
    resize: Resize,
) -> TrainingPictures | str:
    """Brings all pictures to the devices, where that can be.

    Args:
      settings: of the run.
      source: all that it trains on.
      sizes: of all examples that it needs.
      parallel: its devices.
      mirrored: label in the mirror of every label.
      resize: how its pictures come to the network's size.

    Returns:
      The cache; or why there is none, as the end of a sentence.
    """
    size, scales = sizes[0], settings.scales
    why_not = _why_not(settings, source, sizes)
    if not why_not:
        shapes = [stored_shape(shape, size, resize, scales[1]) for shape in sample_shapes(source)]
        largest = tuple(np.max(shapes, 0, initial=1)) if shapes else (1, 1)
        needed = len(source) * PIXEL_BYTES * int(np.prod(largest))
        why_not = _no_room(needed, parallel, settings.data.cache)
    # Where one of several processes can't, none does.
    if agree(int(bool(why_not))):
        return why_not or "another process of the run has no room for them"
    say(f"Reading {counted(len(source), 'training picture')} for the device.")
    pictures = store_pictures(source, size, resize, scales[1])
    why_not = _no_room(pictures.planes_n4hw.nbytes, parallel, settings.data.cache)
    if agree(int(bool(why_not))):
        return why_not or "another process of the run has no room for them"
    planes = parallel.put_state(pictures.planes_n4hw)
    augment = parallel.compile_batch_map(
        functools.partial(
            augmented, mirrored=mirrored, size=size, scales=scales, beside=resize.beside
        )
    )
    # A copy: a view of nothing would keep all of them in memory.
    kept = dataclasses.replace(pictures, planes_n4hw=pictures.planes_n4hw[:0].copy())
    return TrainingPictures(
        source,
        resize,
        f"kept on the device, which augments them: {counted(len(source), 'training picture')}, "
        f"{in_gb(pictures.planes_n4hw.nbytes)} (data.cache)",
        functools.partial(
            drawn_batches,
            kept.shapes_n2,
            size=size,
            batch_size=settings.batch_size,
            seed=settings.seed,
            scales=scales,
            worker_count=settings.data.worker_count,
            process_index=host_number(),
            process_count=count_hosts(),
        ),
        lambda batch, stop=0: augment(planes, parallel.put_batch(batch, stop)),
        kept.labels_in,
    )


def _why_not(settings: Settings, source: Source, sizes: Sequence[tuple[int, int]]) -> str:
    if fits_first(settings.augmentation, settings.data.resizing):
        return (
            "the device makes augment=modern alone, with data.sampling=exact; "
            f"here they are {settings.augmentation} and {settings.data.sampling}"
        )
    least, largest = settings.scales
    if largest > WIDEST * min(1.0, least):
        return (
            f"the device makes scales of which the largest is {WIDEST} times the least at most; "
            f"here augment_scales is {least:g}, {largest:g}"
        )
    if settings.teachers:
        return "a teacher's word on a picture is brought to its examples on the host"
    if len(set(sizes)) > 1:
        return "the device makes examples of one size, and this run has several (progressive)"
    if names_code(settings.data.spec):
        return f"{settings.data.named} is code, which may change what it gives"
    if isinstance(source, Mixture):
        return "pictures of several data sets, or of folders beside one, are drawn on the host"
    return ""


def _no_room(needed: int, parallel: Parallel, chosen: str) -> str:
    """Why pictures of so many bytes can't be on every device; empty where they can."""
    memory = _device_memory(parallel)
    pictures = f"the training pictures take about {in_gb(needed)}"
    share = SHARES[chosen]
    if memory and needed > share * memory:
        return f"{pictures}, more than {100 * share:g}% of a device's {in_gb(memory)}"
    machine = machine_memory()
    # Which of several hosts' processes share a machine isn't known: all of them may.
    times = _READING * (count_hosts() if chosen == "auto" else 1)
    if machine and times * needed > _READING_SHARE * machine:
        return f"{pictures}, too much for this machine's {in_gb(machine)} while they are read"
    return ""


def _device_memory(parallel: Parallel) -> int:
    """Bytes that a device of this process has at least; 0 where nothing tells."""
    known = [(device.memory_stats() or {}).get("bytes_limit") for device in parallel.local]
    if parallel.local[0].platform == "cpu":
        return machine_memory() // len(parallel.local)
    return min((of for of in known if of), default=0)
