"""Pictures at the network's size, or in not many more pixels than `modern` augmentation shows."""

import functools
from collections.abc import Callable

from hierseg_jax.data.augment.modern import LARGEST_SCALE, SCALES
from hierseg_jax.data.picture_cache import wrap_readers
from hierseg_jax.data.read.source import Example, Source, WrappedSource
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sampling import sampled, voted

TIMES = round(LARGEST_SCALE)
"""The network's sides that a shrunk picture has: no scale shows more pixels."""
PAYS = 2
"""Of a shrunk picture's pixels, those that a picture has at least that is worth shrinking."""


def most_pixels(size: tuple[int, int], largest: float = SCALES[1]) -> tuple[int, int]:
    """(height, width) beyond which a picture has more pixels than an example shows at any scale.

    At the largest scale an example then has a pixel of the picture for each of its own.
    """
    height, width = (max(1, round(largest * side)) for side in size)
    return height, width


def stored_shape(
    picture: tuple[int, int], size: tuple[int, int], resize: Resize, largest: float = SCALES[1]
) -> tuple[int, int]:
    """(height, width) of a picture on a device: its own, or `most_pixels` where that is less."""
    _, framed = resize.place(picture, size).frame
    height, width = map(min, framed, most_pixels(size, largest))
    return height, width


def bounded_shape(
    picture: tuple[int, int], size: tuple[int, int], resize: Resize
) -> tuple[int, int]:
    """(height, width) of a picture in memory: its own, or `TIMES` the size where that `PAYS`."""
    _, (height, width) = resize.place(picture, size).frame
    bound = min(height, TIMES * size[0]), min(width, TIMES * size[1])
    return bound if height * width >= PAYS * bound[0] * bound[1] else (height, width)


def bounded_example(
    example: Example,
    size: tuple[int, int],
    resize: Resize,
    shape_of: Callable[..., tuple[int, int]] = bounded_shape,
) -> Example:
    """A picture and its labels for the augmentation `modern`, only to be stretched yet.

    They have their own pixels, with the bars or without the edges that `resize` gives them, or
    fewer, as `shape_of` has it.
    """
    image_hwc, label_hw = example["image"], example["label"]
    height, width = shape_of(label_hw.shape, size, resize)
    image_hwc, label_hw = resize.place(label_hw.shape, size).framed(image_hwc, label_hw)
    if label_hw.shape != (height, width):
        image_hwc = sampled(image_hwc, (width, height))
        label_hw = voted(label_hw, (width, height))
    elif label_hw.size < example["label"].size:
        # A view of a part would keep all of the picture in memory.
        image_hwc, label_hw = image_hwc.copy(), label_hw.copy()
    return example | {"image": image_hwc, "label": label_hw}


def fitted_example(example: Example, size: tuple[int, int], resize: Resize) -> Example:
    """A picture and its labels at the network's size."""
    if example["label"].shape == size:
        return example
    placement = resize.place(example["label"].shape, size)
    return example | {
        "image": placement.fit_image(example["image"]),
        "label": placement.fit_labels(example["label"]),
    }


def resized_source(
    source: Source, sized: Callable[..., Example], size: tuple[int, int], resize: Resize
) -> Source:
    """A source whose examples are `fitted_example` or `bounded_example`.

    A mixture, or one that skips, keeps being one.
    """
    to_size = functools.partial(sized, size=size, resize=resize)
    return wrap_readers(source, lambda reader: SizedSource(reader, to_size))


class SizedSource(WrappedSource):
    """A source whose examples a function brings to another size."""

    def __init__(self, source: Source, sized: Callable[[Example], Example]) -> None:
        super().__init__(source)
        self._sized = sized

    def __getitem__(self, index: int) -> Example:
        """As of the source, at the size."""
        return self._sized(self._source[index])
