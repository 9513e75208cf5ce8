"""How a picture of any size comes to the network's, and scores and labels back; without JAX.

The rules, where it comes to lie:

- `stretch`: at the size, whatever the aspect ratio becomes.
- `letterbox`: as large as it goes in whole, centred, with bars of grey where nothing is.
- `crop`: the largest part of the size's aspect ratio, centred; the rest is never seen.

`sampling.py` has the samplings, what its pixels become. Centres of pixels lie at half-integers.
"""

import dataclasses

import cv2
import numpy as np

from hierseg_jax.data.brightening import brightened, brightening
from hierseg_jax.data.sampling import SAMPLINGS, nearest, sampled, voted
from hierseg_jax.data.sizes import as_size
from hierseg_jax.system.choices import check_choice
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.parsing import IGNORE_LABEL

RESIZES = ("stretch", "letterbox", "crop")
GREY = 128
"""Of the bars of a letterbox, in every channel."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows_columns(self) -> tuple[slice, slice]:
        """An index for arrays [H, W, ...]."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    @property
    def width_height(self) -> tuple[int, int]:
        """A size as OpenCV has it."""
        return self.width, self.height


@dataclasses.dataclass(frozen=True)
class Placement:
    """Which part of a picture the network sees, and where in its input.

    Attributes:
      picture: (height, width) of the picture.
      size: (height, width) of the input.
      seen: of the picture; all of it but where it is cropped.
      filled: of the input, to which that is scaled; all of it but in a letterbox.
      sampling: one of SAMPLINGS.
      beside: label of the input's pixels that show nothing of the picture.
      bright: light that a darker picture is brought to, of `brightening.light`; None: none is.
    """

    picture: tuple[int, int]
    size: tuple[int, int]
    seen: Box
    filled: Box
    sampling: str = "exact"
    beside: int = IGNORE_LABEL
    bright: int | None = None

    def to_input(self, points_nyx: np.ndarray) -> np.ndarray:
        """Points of the picture, float [N, 2] of (y, x) in pixels, as points of the input.

        (0, 0) is the outer corner of the first pixel, whose centre is (0.5, 0.5).
        """
        points_nyx = np.asarray(points_nyx, np.float64)
        return (points_nyx - _corner(self.seen)) * self._scale() + _corner(self.filled)

    def to_picture(self, points_nyx: np.ndarray) -> np.ndarray:
        """The inverse of `to_input`; points in the bars come to lie beside the picture."""
        points_nyx = np.asarray(points_nyx, np.float64)
        return (points_nyx - _corner(self.filled)) / self._scale() + _corner(self.seen)

    def trimmed(self, stride: int) -> "Placement":
        """The same, scaled as before, in the least input of multiples of a stride that holds it.

        Of a letterbox, less than a stride of bars is left along each side. What has no bars stays
        as it is, if its size is of such multiples.
        """
        height, width = (
            -(-side // stride) * stride for side in (self.filled.height, self.filled.width)
        )
        top, left = (height - self.filled.height) // 2, (width - self.filled.width) // 2
        filled = dataclasses.replace(self.filled, top=top, left=left)
        return dataclasses.replace(self, size=(height, width), filled=filled)

    def of_size(self, picture: tuple[int, int]) -> "Placement":
        """The same of the picture at another size of (nearly) its shape."""
        rows, columns = (
            [round(edge * new / old) for edge in edges]
            for new, old, edges in (
                (picture[0], self.picture[0], (self.seen.top, self.seen.top + self.seen.height)),
                (picture[1], self.picture[1], (self.seen.left, self.seen.left + self.seen.width)),
            )
        )
        seen = Box(rows[0], columns[0], max(1, rows[1] - rows[0]), max(1, columns[1] - columns[0]))
        return dataclasses.replace(self, picture=picture, seen=seen)

    def fit_image(
        self, image_hwc: np.ndarray, *, bars: int = GREY, table: np.ndarray | None = None
    ) -> np.ndarray:
        """uint8 [H, W, 3] -> the input [h, w, 3].

        Args:
          image_hwc: the picture.
          bars: value of all channels beside it.
          table: `brightening` of the picture that this is a part of; by default of this one.
        """
        part_hwc = self._small(image_hwc)
        if self.bright is not None:
            part_hwc = brightened(
                part_hwc, brightening(part_hwc, self.bright) if table is None else table
            )
        return _within(part_hwc, self.filled, self.size, bars)

    def brightening(self, image_hwc: np.ndarray) -> np.ndarray | None:
        """For `fit_image` of parts of a picture, uint8 [H, W, 3]; None where none is brightened."""
        return None if self.bright is None else brightening(self._small(image_hwc), self.bright)

    def brightened(self, image_hwc: np.ndarray) -> np.ndarray:
        """The picture at its own size, in the light in which `fit_image` shows it."""
        table = self.brightening(image_hwc)
        return image_hwc if table is None else brightened(image_hwc, table)

    def fit_labels(self, labels_hw: np.ndarray) -> np.ndarray:
        """uint8 [H, W] -> [h, w]; bars are `beside`."""
        _check(labels_hw, "uint8", self.picture)
        part, size = labels_hw[self.seen.rows_columns], self.filled.width_height
        if self.sampling == "exact":
            part = voted(part, size)
        else:
            stretched = self.seen == _whole(self.picture) and self.filled == _whole(self.size)
            if stretched:
                part = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
            else:
                part = nearest(part, size)
        return _within(part, self.filled, self.size, self.beside)

    def framed(self, image_hwc: np.ndarray, label_hw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both, cropped and barred in the picture's own pixels: only to be stretched yet."""
        _check(image_hwc, "uint8", (*self.picture, 3))
        _check(label_hw, "uint8", self.picture)
        box, size = self.frame
        return (
            _within(image_hwc[self.seen.rows_columns], box, size, GREY),
            _within(label_hw[self.seen.rows_columns], box, size, self.beside),
        )

    @property
    def frame(self) -> tuple[Box, tuple[int, int]]:
        """Of `framed`: where the part that is seen comes to lie, and the size of it all."""
        scale = self._scale()
        top, left = np.rint(_corner(self.filled) / scale).astype(int).tolist()
        height, width = np.rint(self.size / scale).astype(int).tolist()
        size = max(height, top + self.seen.height), max(width, left + self.seen.width)
        return Box(top, left, self.seen.height, self.seen.width), size

    def seen_image(self, image_hwc: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> the part that was seen."""
        _check(image_hwc, "uint8", (*self.picture, 3))
        return image_hwc[self.seen.rows_columns]

    def seen_labels(self, labels_hw: np.ndarray) -> np.ndarray:
        """uint8 [h, w] of the input -> the nearest label, [H, W] of the part that was seen."""
        _check(labels_hw, "uint8", self.size)
        return nearest(labels_hw[self.filled.rows_columns], self.seen.width_height)

    def seen_scores(self, scores_hw: np.ndarray) -> np.ndarray:
        """Bilinear: uint16 or float32 of the input -> [H, W] of the part that was seen.

        Args:
          scores_hw: [h, w] or, a network's stride apart, [h / stride, w / stride].
        """
        return cv2.resize(self.filled_scores(scores_hw), self.seen.width_height)

    def filled_scores(self, scores_hw: np.ndarray) -> np.ndarray:
        """Those that `seen_scores` enlarges: without the bars, a stride apart if there are none."""
        if scores_hw.ndim != 2:
            raise HiersegError(f"Scores come plane by plane, [h, w]; got {scores_hw.shape}.")
        if self.filled == _whole(self.size):
            return scores_hw
        if scores_hw.shape != self.size:
            scores_hw = cv2.resize(scores_hw, self.size[::-1])  # bars may end within a cell
        return scores_hw[self.filled.rows_columns]

    def restore_labels(self, labels_hw: np.ndarray) -> np.ndarray:
        """uint8 [h, w] of the input -> [H, W] of the picture; unseen pixels are IGNORE_LABEL."""
        return self.within_picture(self.seen_labels(labels_hw), IGNORE_LABEL)

    def restore_scores(self, scores_hw: np.ndarray) -> np.ndarray:
        """As `seen_scores`, but [H, W] of the picture; unseen pixels are 0."""
        return self.within_picture(self.seen_scores(scores_hw), 0)

    def within_picture(self, part_hw: np.ndarray, fill: int) -> np.ndarray:
        """[H, W] of the part that was seen -> that of the picture, elsewhere `fill`."""
        return _within(part_hw, self.seen, self.picture, fill)

    def _small(self, image_hwc: np.ndarray) -> np.ndarray:
        sample = sampled if self.sampling == "exact" else cv2.resize
        return sample(self.seen_image(image_hwc), self.filled.width_height)

    def _scale(self) -> np.ndarray:
        return np.array(
            [self.filled.height / self.seen.height, self.filled.width / self.seen.width]
        )


@dataclasses.dataclass(frozen=True)
class Resize:
    """How pictures come to the network's size.

    Attributes:
      rule: one of RESIZES.
      sampling: one of SAMPLINGS.
      beside: label of what lies beside a picture.
      bright: light that a darker picture is brought to, of `brightening.light`; None: none is.
    """

    rule: str = "stretch"
    sampling: str = "exact"
    beside: int = IGNORE_LABEL
    bright: int | None = None

    def place(self, picture: tuple[int, int], size: tuple[int, int]) -> Placement:
        """Where a picture comes to lie, both sizes being (height, width) in pixels."""
        placement = place(picture, size, self.rule, self.sampling)
        return dataclasses.replace(placement, beside=self.beside, bright=self.bright)


def place(
    picture: tuple[int, int], size: tuple[int, int], resize: str, sampling: str = "exact"
) -> Placement:
    """Where a picture comes to lie.

    Args:
      picture, size: (height, width) in pixels, of the picture and of the network's input.
      resize: one of RESIZES.
      sampling: one of SAMPLINGS.

    Raises:
      ValueError: for another rule or sampling, or a side without pixels.
    """
    picture, size = as_size(picture), as_size(size)
    if min(*picture, *size) < 1:
        raise HiersegError(f"{picture} is to become {size}; every side has 1 pixel or more.")
    check_choice("resize rule", resize, RESIZES)
    check_choice("sampling", sampling, SAMPLINGS)
    seen, filled = _whole(picture), _whole(size)
    if resize == "letterbox":
        filled = _centred(picture, size)
    elif resize == "crop":
        seen = _centred(size, picture)
    return Placement(picture, size, seen, filled, sampling)


def _check(array: np.ndarray, dtype: str, shape: tuple[int, ...]) -> None:
    """Raises ValueError for an array that a placement is not of."""
    if array.dtype != dtype or array.shape != shape:
        raise HiersegError(
            f"The placement is of {dtype} {shape}; got {array.dtype} {array.shape}. Place what "
            "has another size anew."
        )


def _centred(shape: tuple[int, int], within: tuple[int, int]) -> Box:
    """The largest centred part of a size that has (nearly) the aspect ratio of `shape`."""
    scale = min(within[0] / shape[0], within[1] / shape[1])
    height, width = (
        min(most, max(1, round(side * scale))) for side, most in zip(shape, within, strict=True)
    )
    return Box((within[0] - height) // 2, (within[1] - width) // 2, height, width)


def _whole(size: tuple[int, int]) -> Box:
    return Box(0, 0, *size)


def _corner(box: Box) -> tuple[int, int]:
    return box.top, box.left


def _within(part: np.ndarray, box: Box, size: tuple[int, int], fill: int) -> np.ndarray:
    """A box of a new array of a size, which is `fill` elsewhere."""
    if box == _whole(size):
        return part
    canvas = np.full((*size, *part.shape[2:]), fill, part.dtype)
    canvas[box.rows_columns] = part
    return canvas
