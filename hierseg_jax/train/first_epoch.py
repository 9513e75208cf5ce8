"""A new run is refused where a class of the tree has no pixel in the training split.

No mask is read in vain, and nothing is refused that has pixels:

1. Before the first step up to `MOST` masks are looked at, spread over the split, and no more
   once every class was seen. The run is refused where these were all masks there are, or
   where they hold no class at all: a thousand masks of 0 and 255 are no accident.
2. In the first epoch the labels of the batches are looked at, until every class was seen.
3. A class that no batch has shown may still have pixels, lost in scaling or augmentation, or
   in the rest that an epoch drops. Before the first validation all masks are read for it,
   a pass that only such a run pays for, and the run is refused if there is none.

Several processes look at a share each and bring together what they saw, so that all decide
alike. A run that has finished an epoch has been through this, and is not asked again; nor is one
with `data.allow_missing_classes`.

Where groups are labelled, the classes below them are not missing: a note tells of those that no
mask tells apart.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from hierseg_jax.data.batches import Batch
from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.missing_classes import (
    has_no_class,
    look_for_classes,
    missing_classes,
    missing_sentence,
    spread_order,
    untold_classes,
    untold_sentence,
)
from hierseg_jax.data.read.source import Source
from hierseg_jax.system.devices.hosts import agree, count_hosts, host_number, seen_by_any
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.stop import Stopped, StopSignals
from hierseg_jax.system.wording import counted
from hierseg_jax.tree.hierarchy import Hierarchy

MOST = 1024
_WAY_OUT = (
    "Mend the masks or the tree (hierseg inspect shows more), or train "
    "without: --config.data.allow_missing_classes=True."
)


def check_sample(source: Source, hierarchy: Hierarchy, spec: str) -> tuple[np.ndarray, str]:
    """Looks at a sample of the training masks before the first step.

    Returns:
      Labels seen, bool [256]; a sentence about classes that may be missing, or that nothing
      tells apart within their groups, or nothing.

    Raises:
      ValueError: one sentence, where classes are missing for certain.
    """
    order = spread_order(len(source), MOST)
    seen = look_for_classes(source, order[host_number() :: count_hosts()], hierarchy)
    seen = seen_by_any(seen)
    whole = len(order) == len(source)
    of_all = "" if whole else f" (of {len(source):,}, evenly spread)"
    masks = f"of {counted(len(order), 'training mask')} of {spec}{of_all}"
    if not missing_classes(seen, hierarchy):
        untold = untold_classes(seen, hierarchy)
        return seen, untold_sentence(seen, hierarchy, masks) if untold else ""
    sentence = missing_sentence(seen, hierarchy, masks)
    if whole or has_no_class(seen, hierarchy):
        raise HiersegError(f"{sentence} {_WAY_OUT}")
    return seen, f"{sentence} If no other mask does, training ends after the first epoch."


def labels_in_batch(batch: Mapping[str, Any]) -> np.ndarray:
    """Which labels a batch of examples has: bool [256]."""
    return count_labels(batch["label"]) > 0


class FirstEpoch:
    """What the batches of a run's first epoch have shown."""

    def __init__(
        self,
        hierarchy: Hierarchy,
        seen: np.ndarray,
        labels_in: Callable[[Any], np.ndarray] = labels_in_batch,
    ) -> None:
        """Begins with the labels that were seen before, bool [256].

        Args:
          labels_in: of a batch, the same.
        """
        self._hierarchy, self._labels_in = hierarchy, labels_in
        self._seen = seen.copy()

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches, whose labels are looked at while any class is missing."""
        for batch in batches:
            if missing_classes(self._seen, self._hierarchy):
                self._seen |= self._labels_in(batch)
            yield batch

    def lacks_classes(self) -> bool:
        """Whether a class was in no batch of any process, once the epoch has had its steps."""
        self._seen = seen_by_any(self._seen)
        return bool(missing_classes(self._seen, self._hierarchy))

    def check(self, source: Source, spec: str, stop: StopSignals) -> str:
        """Reads all masks for the classes that were in no batch.

        Returns:
          That there are pixels which no batch had, for the screen.

        Raises:
          ValueError: one sentence, where there are none.
          Stopped: where a signal has come to any process.
        """
        in_batches, self._seen = self._seen, np.ones(256, bool)  # later epochs are not watched
        unseen = missing_classes(in_batches, self._hierarchy)
        share = range(host_number(), len(source), count_hosts())
        seen = look_for_classes(
            source, share, self._hierarchy, in_batches, lambda: bool(stop.received)
        )
        stop.learn(agree(stop.requested))
        if stop.learned:
            raise Stopped
        seen = seen_by_any(seen)
        if missing_classes(seen, self._hierarchy):
            masks = f"of the {counted(len(source), 'training mask')} of {spec}"
            raise HiersegError(f"{missing_sentence(seen, self._hierarchy, masks)} {_WAY_OUT}")
        names = ", ".join(self._hierarchy.class_names[label] for label in unseen)
        return (
            f"Training masks hold {names}, but no batch of the first epoch does: too small for "
            "data.image_size, rare, or lost in augmentation."
        )
