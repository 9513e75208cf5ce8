"""Several data sets as one: a source over all of them, and the order in which epochs draw."""

import bisect
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.source import Example, Source, WrappedSource, read_label
from hierseg_jax.system.errors import HiersegError


class Part(NamedTuple):
    """A data set within a mixture: examples `start` to `stop` - 1."""

    name: str
    start: int
    stop: int


class Mixture:
    """Examples of several data sets, one after another.

    Attributes:
      sources: of the data sets.
      parts: where their examples are, and what they are called.
      draws: how many examples of each an epoch draws, once and again where it is more than there
        are.
    """

    def __init__(
        self, names: Sequence[str], sources: Sequence[Source], weights: Sequence[float]
    ) -> None:
        """Puts them together.

        Args:
          names: of the data sets, all different.
          sources: as many, whose labels are of one tree.
          weights: how often an epoch draws the examples of each, above 0.

        Raises:
          ValueError: for a weight so small that an epoch would draw nothing.
        """
        self.sources = tuple(sources)
        ends = (0, *itertools.accumulate(map(len, sources)))
        self.parts = tuple(map(Part, names, ends, ends[1:]))
        self.draws = tuple(
            int(weight * len(source) + 0.5) for weight, source in zip(weights, sources, strict=True)
        )
        for part, weight, draws in zip(self.parts, weights, self.draws, strict=True):
            if part.stop > part.start and not draws:
                raise HiersegError(
                    f"{weight:g}*{part.name} draws none of its {part.stop - part.start} examples "
                    "in an epoch; give it a larger weight, or leave it out."
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Of all examples; empty for those that have none.

        Where two are alike, the data set's stands before all of them.
        """
        named = [getattr(source, "names", ()) or ("",) * len(source) for source in self.sources]
        names = tuple(itertools.chain.from_iterable(named))
        given = [name for name in names if name]
        if len({*given}) == len(given):
            return names
        return tuple(
            f"{part.name}: {name}" if name else ""
            for part, each in zip(self.parts, named, strict=True)
            for name in each
        )

    def each(self, wrap: Callable[[Source], Source]) -> "Mixture":
        """The same mixture with every source wrapped in another of its length."""
        mixture = Mixture.__new__(Mixture)
        mixture.__dict__ = self.__dict__ | {"sources": tuple(map(wrap, self.sources))}
        return mixture

    def __len__(self) -> int:
        return self.parts[-1].stop

    def __getitem__(self, index: int) -> Example:
        """As of the data set that has it."""
        source, own = self._find(index)
        return source[own]

    def label(self, index: int) -> np.ndarray:
        """The label of an example alone."""
        return read_label(*self._find(index))

    def inventory(self) -> Iterator[Entry]:
        """Of all data sets, whose entries begin with their number, from 1."""
        for number, source in enumerate(self.sources, start=1):
            yield from ((f"{number}/{name}", size) for name, size in source.inventory())

    def _find(self, index: int) -> tuple[Source, int]:
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"A mixture of {len(self)} examples has none with number {index}.")
        number = bisect.bisect_right(self.parts, index, key=operator.itemgetter(2))
        return self.sources[number], index - self.parts[number].start


def draws_of_each(source: Source) -> np.ndarray:
    """How often an epoch draws each example, on average: float64 [N], 1 without weights."""
    if not isinstance(source, Mixture):
        return np.ones(len(source))
    draws = zip(source.parts, source.draws, strict=True)
    sizes = [(part.stop - part.start, drawn) for part, drawn in draws if part.stop > part.start]
    return np.concatenate([np.full(size, drawn / size) for size, drawn in sizes])


class Drawn:
    """The endless training examples of a mixture: of every epoch the first `length`.

    Which they are depends on the seed and the position alone.
    """

    def __init__(self, mixture: Mixture, seed: int, length: int) -> None:
        self._mixture, self._seed, self._length = mixture, seed, length
        self._orders: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return 2**62  # grain counts modulo this; no run comes that far

    def __getitem__(self, position: int) -> Example:
        epoch, place = divmod(operator.index(position), self._length)
        return self._mixture[int(self._order(epoch)[place])]

    def _order(self, epoch: int) -> np.ndarray:
        order = self._orders.get(epoch)
        if order is None:
            lengths = [part.stop - part.start for part in self._mixture.parts]
            order = epoch_order(lengths, self._mixture.draws, self._seed, epoch)
            # Threads that read ahead are in neighbouring epochs.
            near = {e: of for e, of in self._orders.items() if abs(e - epoch) == 1}
            self._orders = near | {epoch: order}
        return order


def epoch_order(lengths: Sequence[int], draws: Sequence[int], seed: int, epoch: int) -> np.ndarray:
    """Which examples an epoch has, in its order: int64 [sum of draws], numbers in the mixture.

    Every data set is shuffled, drawn from until all its examples were drawn, shuffled anew, and
    so on from epoch to epoch. Its share of an epoch is spread evenly over it: the i-th of n draws
    lies at random within the i-th of n equal parts of the epoch.

    Args:
      lengths: examples of every data set.
      draws: of every data set in an epoch.
      seed: 0 or more.
      epoch: from 0.
    """
    numbers, places = [], []
    start = 0
    for of, (length, count) in enumerate(zip(lengths, draws, strict=True)):
        first = epoch * count
        passes = range(first // max(1, length), -(-(first + count) // max(1, length)))
        shuffled = [_generator(seed, of, 0, number).permutation(length) for number in passes]
        drawn = np.concatenate([np.empty(0, np.int64), *shuffled])
        skipped = first - passes.start * length
        numbers.append(start + drawn[skipped : skipped + count])
        places.append((np.arange(count) + _generator(seed, of, 1, epoch).random(count)) / count)
        start += length
    order = np.argsort(np.concatenate(places), kind="stable")
    return np.concatenate(numbers)[order].astype(np.int64)


def _generator(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


class Relabelled(WrappedSource):
    """A source whose labels are told in another tree."""

    def __init__(self, source: Source, table: np.ndarray) -> None:
        """With the label of every label, uint8 [256]."""
        super().__init__(source)
        self._table = table

    @property
    def names(self) -> tuple[str, ...]:
        """The source's, where it has some."""
        return getattr(self._source, "names", ())

    def label(self, index: int) -> np.ndarray:
        """The label of an example alone."""
        return self._table[read_label(self._source, index)]

    def __getitem__(self, index: int) -> Example:
        """As of the source, with other labels."""
        example = self._source[index]
        return example | {"label": self._table[example["label"]]}
