"""Where a run keeps its training pictures once they are decoded."""

import dataclasses

from hierseg_jax.data.augment.choice import fits_first
from hierseg_jax.data.picture_cache import Room, cached, sample_shapes
from hierseg_jax.data.read.members import names_code
from hierseg_jax.data.read.source import Source
from hierseg_jax.settings import Settings
from hierseg_jax.system.devices.hosts import count_hosts
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.machine_memory import machine_memory

PIXEL_BYTES = 4
"""Red, green, blue and the label."""
SHARES = {"auto": 1 / 4, "host": 3 / 4}
"""Of the machine's memory, how much pictures may take at most, by `data.cache`."""
_GB = 1e9


@dataclasses.dataclass(frozen=True)
class Cache:
    """What a run does with its training pictures.

    Attributes:
      source: from which batches come.
      said: a sentence about it, for the screen.
    """

    source: Source
    said: str


def choose_cache(settings: Settings, source: Source, *, one_size: bool) -> Cache:
    """As `data.cache` wants it, or, of `auto`, as there is memory for it.

    Pictures are kept at the network's size where augmentation begins with that, else in their own
    pixels.

    Args:
      settings: of the run.
      source: all that it trains on.
      one_size: whether it sees pictures at `data.image_size` alone, and nothing but them.

    Raises:
      HiersegError: one sentence, where what is asked for by name can't be had.
    """
    chosen = settings.data.cache
    if chosen == "none":
        return Cache(source, "")
    if chosen == "auto" and names_code(settings.data.spec):
        return Cache(
            source,
            f"every epoch reads {settings.data.named} anew, for code may change what it gives "
            "(data.cache=host keeps it)",
        )
    fitted = None
    shapes = [settings.data.size]
    if one_size and fits_first(settings.augmentation, settings.data.resizing):
        fitted = settings.data.size, settings.data.resizing
    else:
        shapes = sample_shapes(source)
    memory = machine_memory()
    allowed = int(SHARES.get(chosen, 1) * memory / copies(settings))
    needed = bytes_of(shapes, len(source))
    about = f"{len(source):,} training pictures, about {in_gb(needed)}"
    if needed > allowed and memory:
        which = f"{allowed / memory:.0%} of this machine's {in_gb(memory)}"
        if chosen == "host":
            raise HiersegError(
                f"The config's data.cache is host, and the {about} in each process that reads, are "
                f"more than {which}; set data.cache to none or auto."
            )
        return Cache(
            source,
            f"every epoch decodes its pictures anew: {about}, are more than {which} (data.cache)",
        )
    # Where the system doesn't tell its memory, what was asked for is all that is known.
    room = Room(allowed if memory else needed)
    return Cache(cached(source, room, fitted), f"kept in memory once decoded: {about} (data.cache)")


def copies(settings: Settings) -> int:
    """How many processes of this run may each keep pictures on this machine."""
    # Which of several hosts' processes share a machine isn't known: all of them may.
    workers = settings.data.worker_count
    twice = 2 if workers and settings.reestimate_statistics else 1
    return max(1, workers) * twice * count_hosts()


def bytes_of(shapes: list[tuple[int, int]], count: int) -> int:
    """Of so many pictures, of which these are a sample."""
    pixels = sum(height * width for height, width in shapes)
    return PIXEL_BYTES * pixels * count // max(1, len(shapes))


def in_gb(count: int) -> str:
    """Bytes for people."""
    return f"{count / _GB:.2g} GB" if count < 10 * _GB else f"{count / _GB:,.0f} GB"
