"""Training pictures smaller than the network will look at, or growing in the course of a run.

Touvron et al. 2019, arXiv:1906.06423; Howard and Gugger, Deep Learning for Coders, 2020, chapter
7. A run's epochs are divided into phases, each with pictures of its own size. Which examples a
step sees, and the random numbers of their augmentation, do not depend on it.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Generator, Sequence

from hierseg_jax.data.batches import Batch, Batches
from hierseg_jax.data.sizes import format_size, share_of_size
from hierseg_jax.settings import Settings


@dataclasses.dataclass(frozen=True)
class Phase:
    """Epochs `first` to `end` - 1, from 0, whose pictures are of one size, (height, width)."""

    first: int
    end: int
    size: tuple[int, int]


def plan_phases(settings: Settings, stride: int) -> tuple[Phase, ...]:
    """The phases of a run, of which epochs are divided evenly; neighbours have different sizes.

    Args:
      settings: whose `data.image_size` is rounded to the network's stride.
      stride: of the network, of whose multiples every phase's sides are.
    """
    shares = settings.progressive or (1.0,)
    phases: list[Phase] = []
    for number, share in enumerate(shares):
        first, end = (-(-at * settings.epochs // len(shares)) for at in (number, number + 1))
        size = share_of_size(settings.data.size, share, stride)
        if phases and phases[-1].size == size:
            first = phases.pop().first
        phases.append(Phase(first, end, size))
    return tuple(phases)


def batches_in_phases(
    open_batches: Callable[..., Batches],
    phases: Sequence[Phase],
    steps_per_epoch: int,
    *,
    start_step: int = 0,
) -> Generator[Batch, None, None]:
    """Endless training batches, each of its phase's size; close it to end the workers.

    Args:
      open_batches: `train_batches` but for `size` and `start_step`.
      phases: of the run; the last one does not end.
      steps_per_epoch: of the run.
      start_step: number of batches to pass over, for resuming.
    """
    for phase in phases:
        end = None if phase is phases[-1] else phase.end * steps_per_epoch
        if end is not None and start_step >= end:
            continue
        with contextlib.closing(open_batches(size=phase.size, start_step=start_step)) as batches:
            yield from itertools.islice(batches, None if end is None else end - start_step)
        start_step = end or start_step


def seconds_left(seconds: float, done: int, epochs: int, phases: Sequence[Phase]) -> float:
    """How long a run goes on for, if an epoch takes its time by the pixels of its pictures.

    Args:
      seconds: of the last epoch.
      done: epochs.
      epochs: of the whole run.
      phases: of the run.
    """

    def pixels(epoch: int) -> int:
        height, width = next((of.size for of in phases if epoch < of.end), phases[-1].size)
        return height * width

    return seconds * sum(map(pixels, range(done, epochs))) / pixels(done - 1)


def describe_phases(
    phases: Sequence[Phase], size: tuple[int, int], shares: Sequence[float] = ()
) -> str:
    """A line on which epochs train at which size; empty where none was asked to do at another.

    Args:
      phases: of the run.
      size: at which it is validated.
      shares: `progressive`.
    """
    if len(phases) == 1 and phases[0].size == size:
        whole = all(share == 1 for share in shares)
        return (
            ""
            if whole
            else f"all epochs train at {format_size(size)} pixels: of the sizes that the network "
            "takes it is the nearest to what progressive asks for\n"
        )
    if len(phases) == 1:
        return (
            f"training at {format_size(phases[0].size)} pixels, validating at "
            f"{format_size(size)} (progressive)\n"
        )
    named = (f"{format_size(of.size)} pixels from epoch {of.first + 1}" for of in phases)
    return f"training at {', '.join(named)}\n"
