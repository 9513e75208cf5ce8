"""A head's channels, kept by the names of their classes where a run has other classes."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np

from hierseg_jax.models.network import ModulePath


@dataclasses.dataclass(frozen=True, eq=False)
class HeadChannels:
    """Arrays of a head, of which a run takes what has the name of one of its own channels.

    Attributes:
      names: of the run's channels.
      channels: of the arrays, for each of those; None for one that starts fresh.
      left_out: names of the arrays' other channels.
      arrays: path of a variable -> array, with channels of its own along an axis.
      axes: path -> that axis.
    """

    names: tuple[str, ...]
    channels: tuple[int | None, ...]
    left_out: tuple[str, ...]
    arrays: Mapping[ModulePath, np.ndarray]
    axes: Mapping[ModulePath, int]

    @property
    def fresh(self) -> tuple[str, ...]:
        """Names of the run's channels that start fresh."""
        pairs = zip(self.names, self.channels, strict=True)
        return tuple(name for name, channel in pairs if channel is None)

    def of_run(self, fresh: Mapping[ModulePath, np.ndarray]) -> dict[ModulePath, np.ndarray]:
        """The run's arrays: those of a fresh head, with the kept channels in their places."""
        places = [place for place, channel in enumerate(self.channels) if channel is not None]
        kept = [channel for channel in self.channels if channel is not None]
        found = {}
        for path, array in self.arrays.items():
            ours_k = np.moveaxis(np.array(fresh[path]), self.axes[path], 0)
            ours_k[places] = np.moveaxis(array, self.axes[path], 0)[kept]
            found[path] = np.moveaxis(ours_k, 0, self.axes[path])
        return found

    def described(self) -> str:
        """For the screen: which channels are kept, which start fresh, which are left out."""
        fresh = set(self.fresh)
        lists = {
            "kept by name": [name for name in self.names if name not in fresh],
            "new": self.fresh,
            "left out": self.left_out,
        }
        return "; ".join(
            f"{kind}: {', '.join(dict.fromkeys(names)) or 'none'}" for kind, names in lists.items()
        )


def kept_channels(
    theirs: Sequence[str],
    ours: Sequence[str],
    heads: Mapping[str, int],
    found: Mapping[ModulePath, np.ndarray],
    wanted: Mapping[ModulePath, jax.ShapeDtypeStruct],
) -> HeadChannels | None:
    """What a run with other classes may take of heads; None where no name is in both.

    Args:
      theirs: names of the channels that the found heads have.
      ours: of those that the run's have.
      heads: paths of the modules, and the axes of their kernels that channels lie along.
      found: path -> array, of a whole network.
      wanted: the same of the run's, by shape.
    """
    theirs_by_key = {key: channel for channel, key in enumerate(_keys(theirs))}
    # A hierarchical head has a name at several levels, in either of which it means the same.
    channels = [theirs_by_key.get(key, theirs_by_key.get((key[0], 0))) for key in _keys(ours)]
    axes = {}
    for path in found.keys() & wanted.keys():
        module = "/".join(path[1:-1])
        if module in heads:
            axes[path] = heads[module] if path[-1] == "kernel" else 0
    arrays = {path: found[path] for path in found if path in axes}
    if not arrays or all(channel is None for channel in channels):
        return None
    if any(_without(found[p].shape, axes[p]) != _without(wanted[p].shape, axes[p]) for p in axes):
        return None
    known = set(ours)
    left_out = tuple(dict.fromkeys(name for name in theirs if name not in known))
    return HeadChannels(tuple(ours), tuple(channels), left_out, arrays, axes)


def _keys(names: Iterable[str]) -> list[tuple[str, int]]:
    """Each with how often it has come before."""
    before: Counter[str] = Counter()
    keys = []
    for name in names:
        keys.append((name, before[name]))
        before[name] += 1
    return keys


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
