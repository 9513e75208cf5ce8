"""What users' pictures may be like, made of photographs of single persons in whole.

Each is a source of examples of the photographs of another: `image` uint8 [H, W, 3], `label` uint8
[H, W].
"""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.source import Example, Source

LEAST = 50
"""Pixels of a class that a picture has."""

View = Callable[[Sequence[Example]], Example]


class Views:
    """Of every picture, or of several that follow one another, what a function makes of them."""

    def __init__(self, source: Source, view: View, count: int = 1) -> None:
        self._source, self._view, self._count = source, view, count

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, number: int) -> Example:
        """The view of this picture and of those after it; the first follows the last."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        numbers = (np.arange(self._count) + number) % len(self._source)
        return self._view([self._source[int(index)] for index in numbers])

    def inventory(self) -> Iterable[Entry]:
        """The source's."""
        return self._source.inventory()


class PicturesWith:
    """The pictures that show a class."""

    def __init__(self, source: Source, label: int) -> None:
        self._source = source
        counts = ((source[index]["label"] == label).sum() for index in range(len(source)))
        self._with_it = [index for index, count in enumerate(counts) if count >= LEAST]

    def __len__(self) -> int:
        return len(self._with_it)

    def __getitem__(self, number: int) -> Example:
        """As of the source."""
        return self._source[self._with_it[number]]

    def inventory(self) -> Iterable[Entry]:
        """The source's."""
        return self._source.inventory()


def near(label: int, share: float) -> View:
    """A part of 16:9 about a class, that share of the picture wide; it begins a little above it."""

    def view(examples: Sequence[Example]) -> Example:
        (example,) = examples
        rows, columns = np.nonzero(example["label"] == label)
        picture_width = example["label"].shape[1]
        width = int(share * picture_width)
        height = width * 9 // 16
        # The first of a hundred rows is none of a few stray pixels.
        top = int(max(0, np.percentile(rows, 1) - 0.15 * height))
        left = int(np.clip(np.median(columns) - width / 2, 0, picture_width - width))
        part = np.s_[top : top + height, left : left + width]
        return {key: example[key][part] for key in ("image", "label")}

    return view


def side_by_side(examples: Sequence[Example]) -> Example:
    """Pictures in a row, from their upper edges to the lowest that all have."""
    height = min(len(example["label"]) for example in examples)
    return {
        key: np.concatenate([example[key][:height] for example in examples], axis=1)
        for key in ("image", "label")
    }


def barred(value: int, background: int) -> View:
    """A picture in the middle of a frame of 16:9, with bars of one grey left and right."""

    def view(examples: Sequence[Example]) -> Example:
        (example,) = examples
        height, width = example["label"].shape
        bar = max(0, -(-height * 16 // 9) - width) // 2
        return {
            "image": np.pad(example["image"], ((0, 0), (bar, bar), (0, 0)), constant_values=value),
            "label": np.pad(example["label"], ((0, 0), (bar, bar)), constant_values=background),
        }

    return view


def before_backdrop(value: int, background: int) -> View:
    """A picture whose background is one grey."""

    def view(examples: Sequence[Example]) -> Example:
        (example,) = examples
        behind = (example["label"] == background)[..., None]
        return {
            "image": np.where(behind, np.uint8(value), example["image"]),
            "label": example["label"],
        }

    return view


def grey(examples: Sequence[Example]) -> Example:
    """A picture without colours."""
    (example,) = examples
    grey_hw = cv2.cvtColor(example["image"], cv2.COLOR_RGB2GRAY)
    return example | {"image": np.repeat(grey_hw[..., None], 3, axis=-1)}


def out_of_focus(deviation: float) -> View:
    """A picture blurred by a Gaussian of so many pixels."""
    return _repainted(lambda image_hwc: cv2.GaussianBlur(image_hwc, (0, 0), deviation))


def shaken(length: int) -> View:
    """A picture that moved sideways by so many pixels while it was taken."""
    kernel = np.full((1, length), 1 / length, np.float32)
    return _repainted(lambda image_hwc: cv2.filter2D(image_hwc, -1, kernel))


def noisy(deviation: float) -> View:
    """A picture whose values have Gaussian noise of so many steps of 255."""

    def noise(image_hwc: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        values = image_hwc + rng.normal(0, deviation, image_hwc.shape)
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    return _repainted(noise)


def dark(share: float) -> View:
    """A picture with that share of its light."""
    return _repainted(lambda image_hwc: np.rint(share * image_hwc).astype(np.uint8))


def coarse(share: float) -> View:
    """A picture that had that share of its sides, enlarged to them."""

    def enlarged(image_hwc: np.ndarray) -> np.ndarray:
        small = cv2.resize(image_hwc, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, image_hwc.shape[1::-1])

    return _repainted(enlarged)


def _repainted(change: Callable[[np.ndarray], np.ndarray]) -> View:
    """The same labels on another picture."""

    def view(examples: Sequence[Example]) -> Example:
        (example,) = examples
        return {"image": change(example["image"]), "label": example["label"]}

    return view
