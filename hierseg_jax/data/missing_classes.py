"""Classes that no mask of a split holds: looked for without reading more than is needed.

A network learns nothing of them, and nothing else says so: masks of 0 and 255, as drawing
tools write them, are background and ignored pixels, the loss falls, and every class is 0.

Presence is quickly seen, absence only after every mask was read. Hence labels are looked at
in an order whose every beginning is spread evenly over the split, until each class was seen:
with a few masks, as a rule. A background, which stands outside of the tree, may be missing.

Where data label groups, a pixel of a group may be of any class below it: such a class is not
missing. Where no mask tells it apart from its siblings, a note says so.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.read.source import Source, read_label
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.wording import listed
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

LISTED = 10
# The golden ratio's multiples, less their whole parts, fill an interval evenly at every length.
_GOLDEN = 0.6180339887498949


def spread_order(length: int, most: int) -> list[int]:
    """Up to `most` of the indices below `length`; those that any part begins with are spread."""
    indices = spread_indices(length, most)
    return [indices[i] for i in sorted(range(len(indices)), key=lambda i: i * _GOLDEN % 1)]


def look_for_classes(
    source: Source,
    indices: Iterable[int],
    hierarchy: Hierarchy,
    seen: np.ndarray | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Labels that masks hold, looked at in turn until every class of the tree was seen by itself.

    Args:
      indices: of the masks to look at.
      seen: bool [256], those that were seen before.
      stopped: whether to look no further; asked every few masks.

    Returns:
      bool [256].
    """
    seen = np.zeros(256, bool) if seen is None else seen.copy()
    left, threads = iter(indices), available_cores()
    # Reading and decoding leave Python's lock alone.
    with ThreadPoolExecutor(threads) as pool:
        while not seen[: hierarchy.num_classes][hierarchy.foreground].all() and not stopped():
            if not (some := list(islice(left, 2 * threads))):
                break
            for label_hw in pool.map(lambda index: read_label(source, index), some):
                seen |= count_labels(label_hw) > 0
    return seen


def missing_classes(seen: np.ndarray, hierarchy: Hierarchy) -> list[int]:
    """Leaf classes, a background aside, that no pixel with the labels seen, bool [256], is of."""
    leaves_lc = hierarchy.labels.leaves_lc
    held_c = leaves_lc[seen[: len(leaves_lc)]].any(0)
    leaves = range(hierarchy.num_classes)[hierarchy.foreground]
    return [label for label in leaves if not held_c[label]]


def untold_classes(seen: np.ndarray, hierarchy: Hierarchy) -> list[int]:
    """Leaf classes that the labels seen, bool [256], have in groups alone."""
    missing = missing_classes(seen, hierarchy)
    leaves = range(hierarchy.num_classes)[hierarchy.foreground]
    return [c for c in leaves if not seen[c] and c not in missing]


def untold_sentence(seen: np.ndarray, hierarchy: Hierarchy, masks: str) -> str:
    """Which classes nothing tells apart; arguments as of `missing_sentence`."""
    names = [hierarchy.class_names[c] for c in untold_classes(seen, hierarchy)]
    groups = [hierarchy.labels.names[g] for g in np.flatnonzero(seen) if g != IGNORE_LABEL]
    return (
        f"None {masks} tells {listed(names, LISTED)} apart from the rest of their groups; the "
        f"labels found are {listed(groups, LISTED)}. What is predicted of these classes within "
        "their groups means nothing."
    )


def has_no_class(seen: np.ndarray, hierarchy: Hierarchy) -> bool:
    """Whether the labels seen, bool [256], are those of background and ignored pixels alone."""
    return len(missing_classes(seen, hierarchy)) == len(hierarchy.class_names[hierarchy.foreground])


def missing_sentence(seen: np.ndarray, hierarchy: Hierarchy, masks: str) -> str:
    """Which classes are missing, what was found, and what is likely wrong.

    Args:
      seen: bool [256], the labels found.
      hierarchy: of the labels.
      masks: which they are, as "of the 24 masks of train".
    """
    missing = missing_classes(seen, hierarchy)
    names = hierarchy.class_names
    lacking = listed([f"{names[label]} ({label})" for label in missing], LISTED)
    labels = [_shown(label, hierarchy) for label in np.flatnonzero(seen).tolist()]
    found = " and ".join(filter(None, (", ".join(labels[:-1]), *labels[-1:])))
    text = f"None {masks} holds {lacking}; the values found are {found}. "
    index = f"the index of its class, such as {missing[0]} for {names[missing[0]]}"
    if not has_no_class(seen, hierarchy):
        return (
            f"{text}A pixel of a mask holds {index}, in the order of the class names, or a value "
            "that has the class's name in the `labels` of data.yaml."
        )
    if seen[IGNORE_LABEL]:
        return (
            f"{text}{IGNORE_LABEL} is the ignore label, so that nothing is left to learn from: "
            f"masks that a drawing tool wrote in 0 and 255 need {index}, in place of 255, or a "
            "name for it in the `labels` of data.yaml."
        )
    return f"{text}Nothing is left to learn from: a pixel of a mask must hold {index}."


def _shown(label: int, hierarchy: Hierarchy) -> str:
    """The number in a mask; the name of a group, whose number is not its value's."""
    names = hierarchy.labels.names
    return names[label] if hierarchy.num_classes <= label < len(names) else str(label)
