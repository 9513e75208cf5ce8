"""grain: source -> resize and augment -> batch.

Which examples a step sees, and how they are augmented, is a function of the seed and
the step alone, not of threads, workers or processes.
"""

import functools
from collections.abc import Callable, Sequence

import grain
import numpy as np

from hierseg_jax.data.augment.choice import choose_augmentation
from hierseg_jax.data.augment.classic import Transform
from hierseg_jax.data.augment.drawn import Numbers, draw_modern
from hierseg_jax.data.augment.modern import SCALES
from hierseg_jax.data.batches import Batch, Batches, iterate
from hierseg_jax.data.read.mixture import Drawn, Mixture
from hierseg_jax.data.read.skip import no_example
from hierseg_jax.data.read.source import Example, Source
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sized_examples import fitted_example
from hierseg_jax.data.taught import Teaching, picture_code
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted
from hierseg_jax.tree.parsing import IGNORE_LABEL


def train_batches(
    source: Source,
    *,
    size: tuple[int, int],
    resize: Resize = Resize(),  # noqa: B008 (immutable)
    batch_size: int,
    seed: int,
    augment: bool | str,
    mirrored: np.ndarray | None = None,
    background: int | None = 0,
    scales: tuple[float, float] = SCALES,
    teaching: Teaching | None = None,
    start_step: int = 0,
    worker_count: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches:
    """Endless training batches, shuffled anew every epoch; the remainder is dropped.

    Args:
      source: of at least `batch_size` examples; of a `Mixture` an epoch draws as many of each
        data set as its weight says.
      size: (height, width) to which images and labels are brought.
      resize: how.
      batch_size: over all processes; a multiple of their number.
      seed: of shuffling and augmentation.
      augment: one of AUGMENTATIONS of augment/choice.py; True is `reference`, False `none`.
      mirrored: `Hierarchy.mirrored`, by which labels are exchanged where augmentation shows
        a picture's mirror image; by default they stay.
      background: `Hierarchy.background`, the class of what augmentation blots out.
      scales: of augment=modern, the least and the largest.
      teaching: how examples come by `taught` and `teacher`, if they do.
      start_step: number of batches to pass over, for resuming.
      worker_count: processes that prepare batches; with 0 threads of this one do, as many as
        there are cores.
      process_index, process_count: this host and the number of hosts.

    Returns:
      This process's share of each batch, `batch_size / process_count` examples. Close
      it (`.close()`) to end the workers.

    Raises:
      ValueError: if the split has fewer examples than a batch, or a number is none that it can be.
    """
    transform = choose_augmentation(augment, size, resize, mirrored, background, scales)
    taught = functools.partial(teaching.of, size=size, resize=resize) if teaching else None
    varied = functools.partial(_augmented, transform, taught)
    share = process_index, process_count
    _check_numbers(batch_size, share, seed, start_step)
    dataset = _endless(source, batch_size, seed, varied, share)[start_step:]
    return iterate(dataset, worker_count)


def drawn_batches(
    shapes_n2: np.ndarray,
    *,
    size: tuple[int, int],
    batch_size: int,
    seed: int,
    scales: tuple[float, float] = SCALES,
    start_step: int = 0,
    worker_count: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches:
    """What `train_batches` with augment=modern draws, without pictures: of `draw_modern`, a batch.

    Args:
      shapes_n2: (height, width) of the pictures, as augmentation sees them.
      others: as in `train_batches`.

    Returns:
      Batches of `valid` and what was drawn, [B, ...] each.

    Raises:
      ValueError: if the split has fewer examples than a batch, or a number is none that it can be.
    """
    draw = functools.partial(draw_modern, size, scales)
    share = process_index, process_count
    _check_numbers(batch_size, share, seed, start_step)
    dataset = _endless(Numbers(shapes_n2), batch_size, seed, draw, share)[start_step:]
    return iterate(dataset, worker_count)


def _endless(
    source: Source,
    batch_size: int,
    seed: int,
    varied: Callable[[Example, np.random.Generator], Example],
    share: tuple[int, int],
) -> grain.MapDataset:
    """Batches of all epochs, or a process's share of them: its index, and how many there are."""
    drawn = steps_per_epoch(epoch_length(source), batch_size) * batch_size
    if isinstance(source, Mixture):
        dataset = grain.MapDataset.source(Drawn(source, seed, drawn)).seed(seed)
    else:
        dataset = grain.MapDataset.source(source).seed(seed).shuffle()[:drawn].repeat()
    # Before the slice by process: the random numbers must not depend on it.
    dataset = dataset.map(_with_valid).random_map(varied)
    dataset = dataset[share[0] :: share[1]]
    return dataset.batch(batch_size // share[1], drop_remainder=True)


def eval_batches(
    source: Source,
    *,
    size: tuple[int, int],
    resize: Resize = Resize(),  # noqa: B008 (immutable)
    batch_size: int,
    worker_count: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    keep_labels: bool = False,
) -> Batches:
    """Every example once, in order; the last batch is filled up with `valid` False.

    Args:
      keep_labels: whether batches have `whole_label`, too.
      others: as in `train_batches`.

    Raises:
      ValueError: if the split is empty, or a number is none that it can be.
    """
    _check_numbers(batch_size, (process_index, process_count))
    if len(source) == 0:
        raise HiersegError("The split is empty; there is nothing to evaluate.")
    dataset = grain.MapDataset.source(_Padded(source, batch_size))
    dataset = dataset.map(functools.partial(_resized, size, resize, keep_labels))
    dataset = dataset[process_index::process_count]
    dataset = dataset.batch(batch_size // process_count, drop_remainder=True, batch_fn=_stack)
    return iterate(dataset, worker_count)


def picture_batches(
    source: Source,
    *,
    size: tuple[int, int],
    resize: Resize,
    batch_size: int,
    first: int = 0,
    worker_count: int = 0,
) -> Batches:
    """The pictures of all examples once, in order, from number `first` on; the last batch is full.

    Returns:
      Batches {"image": uint8 [B, h, w, 3], "code": int64 [B] of `picture_code`, "valid": bool
      [B]}. Close it to end the workers.
    """
    dataset = grain.MapDataset.source(_Padded(source, batch_size, first))
    dataset = dataset.map(functools.partial(_picture, size, resize)).batch(batch_size)
    return iterate(dataset, worker_count)


def epoch_length(source: Source) -> int:
    """How many examples an epoch draws."""
    return sum(source.draws) if isinstance(source, Mixture) else len(source)


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Whole batches in an epoch.

    Raises:
      ValueError: if there is none.
    """
    if examples < batch_size:
        raise HiersegError(
            f"An epoch of the training split has {counted(examples, 'example')}, fewer than a "
            f"batch of {batch_size}; choose a smaller batch_size."
        )
    return examples // batch_size


def _check_numbers(
    batch_size: int, share: tuple[int, int], seed: int = 0, start_step: int = 0
) -> None:
    """Refuses, in a sentence, what would be other batches than are meant, or none."""
    index, count = share
    if batch_size < 1 or count < 1 or batch_size % count:
        raise HiersegError(
            f"batch_size is {batch_size} over {counted(count, 'host')}; it must be at least 1, and "
            "a multiple of the number of hosts."
        )
    if not 0 <= index < count:
        raise HiersegError(
            f"process_index is {index}; with {counted(count, 'host')} it is 0 to {count - 1}."
        )
    if seed < 0 or start_step < 0:
        raise HiersegError(f"seed is {seed} and start_step {start_step}; neither is negative.")


class _Padded:
    """A source, from an example on, filled up to whole batches with ignored, invalid ones."""

    def __init__(self, source: Source, batch_size: int, first: int = 0) -> None:
        self._source, self._first = source, first
        self._length = -(-(len(source) - first) // batch_size) * batch_size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Example:
        index += self._first
        if index < len(self._source):
            return self._source[index]
        return no_example()


def _with_valid(example: Example) -> Example:
    return {"valid": np.array(True), **example}


def _resized(size: tuple[int, int], resize: Resize, keep_label: bool, example: Example) -> Example:
    kept = {"whole_label": example["label"]} if keep_label else {}
    return _with_valid(fitted_example(example, size, resize)) | kept


def _picture(size: tuple[int, int], resize: Resize, example: Example) -> Example:
    image_hwc = example["image"]
    return {
        "image": resize.place(image_hwc.shape[:2], size).fit_image(image_hwc),
        "code": np.array(picture_code(image_hwc)),
        "valid": example.get("valid", np.array(True)),
    }


def _stack(examples: Sequence[Example]) -> Batch:
    """A batch; labels at their own sizes, which differ, stay a list."""
    columns = {key: [example[key] for example in examples] for key in examples[0]}
    batch: Batch = {
        "image": np.stack(columns["image"]),
        "label": np.stack(columns["label"]),
        "valid": np.stack(columns["valid"]),
    }
    if "whole_label" in columns:
        batch["whole_label"] = columns["whole_label"]
    return batch


def _augmented(
    transform: Transform,
    taught: Callable[[np.random.Generator, Example], Example] | None,
    example: Example,
    rng: np.random.Generator,
) -> Example:
    of_teacher = taught(rng, example) if taught else {}
    image, label = transform(rng, example["image"], example["label"])
    if taught and example["label"].min() == IGNORE_LABEL:
        # A picture without a mask has none either where augmentation blots something out.
        label = np.full_like(label, IGNORE_LABEL)
    return {"image": image, "label": label, "valid": example["valid"], **of_teacher}
