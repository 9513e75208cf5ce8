"""What to train on a data set with: the side of the images, the batch, weights of the classes."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from hierseg_jax.data.class_weights import Frequencies, weights_of
from hierseg_jax.data.inspection.across import MAX_SIZE, STRIDE
from hierseg_jax.data.inspection.epochs import RECIPE_EPOCHS, choose_epochs
from hierseg_jax.data.inspection.examine import Usable
from hierseg_jax.data.inspection.inspect_dataset import Inspection
from hierseg_jax.data.sizes import nearest_multiple
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.machine_memory import machine_memory
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import all_labels

# Of configs/default.py, and of configs/tree.py.
MAX_BATCH, RECIPE_BATCH = 32, 16
# Fewer steps an epoch than these make a poor schedule, and statistics of fewer images than those
# are too rough; with both, more epochs are the way (docs/first_data_set.md has figures).
MIN_STEPS, LEAST_BATCH = 8, 8
# Of the memory, for other programs, the reading of images, and what was not measured.
MEMORY_SHARE = 0.5
# Pictures of validation, below which the intervals in docs/first_data_set.md are wide.
FEW_VALIDATED = 30
# Pictures a second of the recipe on two cores of an AMD EPYC with AVX-512, 2026-12-01: 25 of 224,
# and 6.3 of 512 px.
_RATE_320, _GROWTH = 15, 1.7
# Of the pictures, those that show none of the classes: fewer are too few to learn that from.
FEW_WITHOUT = 1 / 50

PeakGb = Callable[[int, int], float]
"""(side in pixels, images of a batch) -> 1e9 bytes that training takes at its peak."""


@dataclasses.dataclass(frozen=True)
class Start:
    """A network that is at hand, for `model.pretrained`.

    Attributes:
      name: that it is asked for by.
      levels: names of its classes, by level.
      image_size: side of the pictures that it was trained with.
      resize: how these were brought to it, for `data.resize`.
    """

    name: str
    levels: tuple[tuple[str, ...], ...]
    image_size: int
    resize: str

    def known(self, hierarchy: Hierarchy) -> tuple[str, ...]:
        """Classes and groups of a tree that it knows, where it knows its subject.

        That is a class of its highest level, or two of the others.
        """
        names = all_labels(hierarchy).names
        outside = hierarchy.class_names[:1] if hierarchy.background is not None else ()
        of_levels = [
            [name for name in level if name in names and name not in outside]
            for level in self.levels
        ]
        found = tuple(dict.fromkeys(name for level in of_levels for name in level))
        return found if of_levels[0] or len(found) > 1 else ()


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """Settings for a first training.

    Attributes:
      image_size: side in pixels.
      batch_size: images.
      epochs: in which few pictures are seen about as often in all as many.
      memory_gb: of the machine, as given or found; 1e9 bytes.
      peak_gb: estimate of the training's peak.
      median_side: of the shorter sides of the training images.
      class_weights: by leaf class, as `loss_options.class_weights = "median_frequency"`
        computes them; 1 for a class that the training split lacks.
      without_any: how many of the pictures show nothing but background, where there is one.
      pictures: how many these are of.
      validated: usable pictures that it is validated with.
      start: to begin with; None for the recipe's own.
      known: what it knows of the classes and groups.
      at_hand: where it knows none by name, and pictures are few, the network that may be begun
        with all the same.
    """

    image_size: int
    batch_size: int
    epochs: int
    memory_gb: float
    peak_gb: float
    median_side: int
    class_weights: dict[str, float]
    without_any: int | None
    pictures: int
    validated: int
    start: Start | None = None
    known: tuple[str, ...] = ()
    at_hand: Start | None = None

    @property
    def seconds(self) -> float:
        """About how long two cores of a CPU take; a picture of validation a third of another."""
        pictures = self.epochs * (self.pictures + self.validated / 3)
        return pictures / (_RATE_320 * (320 / self.image_size) ** _GROWTH)


def suggest(
    inspections: Sequence[Inspection],
    peak_gb: PeakGb,
    memory_gb: float | None = None,
    start: Start | None = None,
) -> Suggestion | None:
    """Suggests settings by the usable examples of the first split that has any.

    Args:
      inspections: of all data that are to be trained on together, in one tree.
      peak_gb: estimate for the network that is to be trained.
      memory_gb: to plan for; this machine's by default.
      start: a network at hand, for few pictures.

    Returns:
      None where no example is usable, or no split is for training.

    Raises:
      ValueError: a memory that is not above 0.
    """
    if memory_gb is None:
        memory_gb = machine_memory() / 1e9
        if not memory_gb:
            raise HiersegError("This system does not say how much memory it has; give --memory_gb.")
    elif not 0 < memory_gb < float("inf"):
        raise HiersegError(f"--memory_gb is {memory_gb}; it must be above 0.")
    splits = dict.fromkeys(split for of in inspections for split in of.spec.splits)
    of_splits = ([each for of in inspections for each in of.usable(split)] for split in splits)
    usable = next(filter(None, of_splits), None)
    if usable is None or "train" not in splits:
        return None
    median = statistics.median(min(example.size) for example in usable)
    epochs = choose_epochs(len(usable))
    # With more pictures ImageNet weights were as good.
    if start and epochs == RECIPE_EPOCHS:
        start = None
    hierarchy = inspections[0].spec.hierarchy
    known = start.known(hierarchy) if start else ()
    size = start.image_size if start and known else choose_size(median)
    batch = min(choose_batch(size, len(usable), memory_gb, peak_gb), RECIPE_BATCH)
    counts_nc = np.stack([example.counts_l[: hierarchy.num_classes] for example in usable])
    frequencies = leaf_frequencies(counts_nc)
    weights = weights_of(frequencies, "median_frequency")
    return Suggestion(
        image_size=size,
        batch_size=batch,
        epochs=RECIPE_EPOCHS if known else epochs,
        memory_gb=memory_gb,
        peak_gb=peak_gb(size, batch),
        median_side=round(median),
        class_weights=dict(zip(hierarchy.class_names, weights, strict=True)),
        without_any=pictures_without_any(usable, hierarchy.background),
        pictures=len(usable),
        validated=sum(len(of.usable("val")) for of in inspections),
        start=start if known else None,
        known=known,
        at_hand=None if known else start,
    )


def choose_size(median_side: float) -> int:
    """The multiple of `STRIDE` nearest to the median shorter side, at most `MAX_SIZE`."""
    return min(nearest_multiple(median_side, STRIDE), MAX_SIZE)


def choose_batch(image_size: int, images: int, memory_gb: float, peak_gb: PeakGb) -> int:
    """The largest power of two that the memory and the number of images allow."""
    batch, most = MAX_BATCH, min(images, max(LEAST_BATCH, images // MIN_STEPS))
    while batch > 1 and (peak_gb(image_size, batch) > MEMORY_SHARE * memory_gb or batch > most):
        batch //= 2
    return batch


def leaf_frequencies(counts_nc: np.ndarray) -> Frequencies:
    """Of leaf classes, from the pixels of every class in every image: whole numbers [N, C]."""
    counts_nc = counts_nc.astype(np.int64)
    where_nc = np.where(counts_nc > 0, counts_nc.sum(1, keepdims=True), 0)
    return Frequencies(counts_nc.sum(0), where_nc.sum(0))


def pictures_without_any(examples: Sequence[Usable], background: int | None) -> int | None:
    """How many show background, and neither class nor group; None without a background."""
    if background is None:
        return None
    # Without what is ignored, which is last.
    counts_nl = np.stack([example.counts_l[:-1] for example in examples])
    others_nl = np.delete(counts_nl, background, axis=1)
    return int(((others_nl == 0).all(1) & (counts_nl[:, background] > 0)).sum())
