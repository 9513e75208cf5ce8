"""Where a run keeps its pictures once they are decoded."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.augment.choice import fits_first
from hierseg_jax.data.picture_cache import PIXEL_BYTES, Room, cached, in_gb, sample_shapes
from hierseg_jax.data.read.members import names_code
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sized_examples import bounded_example, fitted_example, resized_source
from hierseg_jax.settings import Settings
from hierseg_jax.system.devices.hosts import count_hosts
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.machine_memory import machine_memory
from hierseg_jax.system.wording import counted
from hierseg_jax.train.on_device.device_cache import open_device_cache
from hierseg_jax.train.training_pictures import TrainingPictures

SHARES = {"auto": 1 / 4, "host": 3 / 4}
"""Of the machine's memory, how much training pictures may take at most, by `data.cache`."""
SHARE_OF_VALIDATION = 1 / 16
"""How much those of the validation split may take beside them."""


def choose_cache(
    settings: Settings,
    source: Source,
    sizes: Sequence[tuple[int, int]],
    parallel: Parallel,
    mirrored: np.ndarray,
    resize: Resize,
) -> TrainingPictures:
    """As `data.cache` wants it; of `auto`, on a GPU that has room and can augment, else the host.

    Args:
      settings: of the run.
      source: all that it trains on.
      sizes: (height, width) of all examples that it needs.
      parallel: the devices.
      mirrored: label in the mirror of every label.
      resize: how its pictures come to the network's size.

    Raises:
      HiersegError: one sentence, where what is asked for by name can't be had.
    """
    chosen = settings.data.cache
    if chosen != "device" and not (chosen == "auto" and outruns_the_host(parallel)):
        return _on_host(settings, source, sizes, resize)
    found = open_device_cache(settings, source, sizes, parallel, mirrored, resize)
    if isinstance(found, str):
        if chosen == "auto":
            cache = _on_host(settings, source, sizes, resize)
            return dataclasses.replace(cache, said=f"{cache.said}; not on the device: {found}")
        raise HiersegError(
            f"The config's data.cache is device, and {found}; set data.cache to auto, host or none."
        )
    return found


def keep_validation(settings: Settings, source: Source) -> Source:
    """The validation split, whose pictures stay in memory at the network's size.

    As many as there is room for; all are decoded anew with `data.cache=none`, where `auto` keeps
    no training pictures because code gives them, and by workers, which live for one validation.
    """
    chosen, data = settings.data.cache, settings.data
    if chosen == "none" or data.worker_count or (chosen == "auto" and names_code(data.spec)):
        return source
    room = Room(int(SHARE_OF_VALIDATION * machine_memory() / count_hosts()))
    return cached(resized_source(source, fitted_example, data.size, data.resizing), room)


def outruns_the_host(parallel: Parallel) -> bool:
    """Whether the devices take pictures faster than the host's cores augment them."""
    # On CPUs and TPUs the host's OpenCV is faster at it, or was never measured beside them.
    return all(device.platform == "gpu" for device in parallel.devices)


def _on_host(
    settings: Settings, source: Source, sizes: Sequence[tuple[int, int]], resize: Resize
) -> TrainingPictures:
    """In memory, or nowhere."""
    chosen = settings.data.cache
    source, resize = _sized(settings, source, sizes, resize)
    if chosen == "none":
        return TrainingPictures(source, resize)
    if chosen == "auto" and names_code(settings.data.spec):
        return TrainingPictures(
            source,
            resize,
            f"every epoch reads {settings.data.named} anew, for code may change what it gives "
            "(data.cache=host keeps it)",
        )
    memory = machine_memory()
    allowed = int(SHARES[chosen] * memory / _copies(settings))
    shapes = sample_shapes(source)
    pixels = sum(height * width for height, width in shapes)
    needed = PIXEL_BYTES * pixels * len(source) // max(1, len(shapes))
    about = f"{counted(len(source), 'training picture')}, about {in_gb(needed)}"
    if needed <= allowed or (chosen == "host" and not memory):
        room = Room(allowed if memory else needed)
        said = f"kept in memory once decoded: {about} (data.cache)"
        return TrainingPictures(cached(source, room), resize, said)
    which = f"{SHARES[chosen]:.0%} of this machine's {in_gb(memory)}"
    each = " in each process that reads" if _copies(settings) > 1 else ""
    if chosen == "host":
        raise HiersegError(
            f"The config's data.cache is host, and {about}{each}, are more than {which}; set "
            "data.cache to auto or none."
        )
    if not memory:
        which = "this system tells of (data.cache=host keeps them)"
    said = f"every epoch decodes its pictures anew: {about}{each}, are more than {which}"
    return TrainingPictures(source, resize, said)


def _sized(
    settings: Settings, source: Source, sizes: Sequence[tuple[int, int]], resize: Resize
) -> tuple[Source, Resize]:
    """Pictures at the network's size where augmentation begins with that, else as large as needed.

    Returns:
      The source, and how its pictures come to the network's size.
    """
    first = fits_first(settings.augmentation, resize)
    alike = len(set(sizes)) == 1 or (resize.rule == "stretch" and not first)
    # A teacher is asked about a picture's own pixels.
    if settings.teachers or not alike:
        return source, resize
    size = tuple(np.max(sizes, axis=0).tolist())
    if first:
        return resized_source(source, fitted_example, size, resize), resize
    stretched = dataclasses.replace(resize, rule="stretch")
    return resized_source(source, bounded_example, size, resize), stretched


def _copies(settings: Settings) -> int:
    """How many processes of this run may each keep pictures on this machine."""
    # Which of several hosts' processes share a machine isn't known: all of them may.
    workers = settings.data.worker_count
    twice = 2 if workers and settings.reestimate_statistics else 1
    return max(1, workers) * twice * count_hosts()
