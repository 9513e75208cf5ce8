"""What a teacher says of a whole picture, brought to the pixels of a training example.

A teacher's scores are logits: log-probabilities of leaf classes, or the logits of nodes. They are
kept and compared in cells of `CELL` x `CELL` pixels, of which a cell has the mean. All that is
done to them is linear, to a teacher's and to a student's alike; softmax and temperature come last.
"""

import dataclasses
import pathlib
import zlib
from typing import Any

import numpy as np

from hierseg_jax.data.augment.frame import Frame, frame_of
from hierseg_jax.data.augment.modern import SCALES
from hierseg_jax.data.read.mixture import Mixture
from hierseg_jax.data.read.npy import undisturbed
from hierseg_jax.data.read.source import Example, Source, WrappedSource, read_label
from hierseg_jax.data.resize import Placement, Resize
from hierseg_jax.system.errors import HiersegError

CELL = 2
"""Pixels along each side of what has one vector of scores."""
SCORES, PICTURES = "scores.npy", "pictures.npy"


@dataclasses.dataclass(frozen=True)
class KeptScores:
    """A teacher's scores of all pictures of a source.

    Attributes:
      folder: with `SCORES`, float16 [N, h, w, K], and `PICTURES`, int64 [N] of `picture_code`.
      size: (height, width) in pixels of what the teacher saw.
      resize: how pictures came to that.
    """

    folder: pathlib.Path
    size: tuple[int, int]
    resize: Resize

    def of(self, index: int, image_hwc: np.ndarray) -> np.ndarray:
        """Of one picture: float16 [h, w, K], in a file that is read where it is looked at.

        Raises:
          HiersegError: for a picture other than the one that the teacher saw.
        """
        # Opened anew for every picture: workers are sent a path, not the file.
        if self._opened(PICTURES)[index] != picture_code(image_hwc):
            raise HiersegError(
                f"Training picture {index + 1} is not the one that the teacher has seen; remove "
                f"{self.folder} and give the same command again, so that it sees it."
            )
        return self._opened(SCORES)[index]

    def _opened(self, name: str) -> np.ndarray:
        return undisturbed(lambda: np.load(self.folder / name, mmap_mode="r"))


def picture_code(image_hwc: np.ndarray) -> int:
    """32 bits by which a picture is known again, of its size and all its pixels."""
    return zlib.crc32(np.ascontiguousarray(image_hwc).data, image_hwc.shape[1])


class Scored(WrappedSource):
    """A source whose examples have `scores` as well, one array of every teacher."""

    def __init__(self, source: Source, kept: tuple[KeptScores, ...], first: int = 0) -> None:
        """With the scores of its examples, which begin at number `first` there."""
        super().__init__(source)
        self._kept, self._first = kept, first

    def __getitem__(self, index: int) -> dict[str, Any]:
        """As of the source."""
        example = self._source[index]
        found = tuple(kept.of(self._first + index, example["image"]) for kept in self._kept)
        return example | {"scores": found}

    def label(self, index: int) -> np.ndarray:
        """The label of an example alone."""
        return read_label(self._source, index)


def scored(source: Source, kept: tuple[KeptScores, ...], first: int = 0) -> Source:
    """A source, or a mixture of several, with the scores of its examples.

    Below what skips: an example that takes another's place has scores of its own.
    """
    if isinstance(source, Mixture):
        firsts = iter(source.parts)
        return source.each(lambda part: scored(part, kept, first + next(firsts).start))
    each = getattr(source, "each", None)
    if each is None:
        return Scored(source, kept, first)
    skipping: Source = each(lambda inner: scored(inner, kept, first))
    return skipping


@dataclasses.dataclass(frozen=True, eq=False)
class Teaching:
    """How examples come by what they are taught.

    Attributes:
      augment: one of AUGMENTATIONS.
      kept: scores of whole pictures, of every teacher; none where teachers see the examples
        themselves.
      mirrored_k: the channel that each one becomes in a mirrored picture, int [K].
      hierarchical: whether channels are nodes with scores of their own, not leaf classes.
      scales: of `modern`, the least and the largest.
    """

    augment: str
    kept: tuple[KeptScores, ...]
    mirrored_k: np.ndarray
    hierarchical: bool
    scales: tuple[float, float] = SCALES

    def of(
        self,
        rng: np.random.Generator,
        example: dict[str, Any],
        size: tuple[int, int],
        resize: Resize,
    ) -> Example:
        """`taught`, and `teacher` where scores are kept: see `Batch`.

        Args:
          rng: as `choose_augmentation` is given it for this example; it stays as it is.
          example: as read.
          size, resize: of examples.
        """
        picture = example["label"].shape
        if self.augment == "reference":  # which leaves no bars, and is never taught by kept scores
            return {"taught": np.ones([side // CELL for side in size], bool)}
        frame = frame_of(rng, self.augment, picture, size, resize, self.scales)
        taught_hw = _seen_cells(frame, resize.place(picture, size))
        found = []
        for kept, scores_hwk in zip(self.kept, example.get("scores", ()), strict=True):
            placement = kept.resize.place(picture, kept.size)
            taught_hw &= _seen_cells(frame, placement)
            found.append(scores_in_frame(scores_hwk, placement, frame))
        if not found:
            return {"taught": taught_hw}
        scores_hwk = found[0] if len(found) == 1 else mean_scores(found, self.hierarchical)
        if frame.mirrored:
            scores_hwk = scores_hwk[..., self.mirrored_k]
        return {"taught": taught_hw, "teacher": scores_hwk.astype(np.float16)}


def scores_in_frame(scores_hwk: np.ndarray, placement: Placement, frame: Frame) -> np.ndarray:
    """Scores of a whole picture at the cells of an example: float32 [h / CELL, w / CELL, K].

    Bilinear between cells, averaged over the pixels of an example's cell. Channels stay, whether
    the frame is mirrored or not.

    Args:
      scores_hwk: floating, in cells of the teacher's input.
      placement: of the picture in that.
      frame: of the example.
    """
    for axis in (0, 1):
        low_nm, share_nm = _taps(scores_hwk.shape[axis], placement, frame, axis)
        first = int(low_nm.min())
        part = np.take(scores_hwk, np.arange(first, int(low_nm.max()) + 2), axis, mode="clip")
        planes = np.moveaxis(part.astype(np.float32), axis, 0)
        summed = np.zeros((len(low_nm), *planes.shape[1:]), np.float32)
        for low_n, share_n in zip(low_nm.T - first, share_nm.T, strict=True):
            share = share_n.astype(np.float32)[:, None, None]
            summed += (1 - share) * planes[low_n] + share * planes[low_n + 1]
        scores_hwk = np.moveaxis(summed / np.float32(low_nm.shape[1]), 0, axis)
    return scores_hwk


def mean_scores(scores: list[np.ndarray], hierarchical: bool) -> np.ndarray:
    """The logits of the mean of several teachers' probabilities: float32 [h, w, K]."""
    count = np.float32(len(scores))
    if hierarchical:
        log_true, log_false = (
            np.logaddexp.reduce([-np.logaddexp(0, sign * x) for x in scores], axis=0)
            for sign in (-1, 1)
        )
        return log_true - log_false
    normal = [x - np.logaddexp.reduce(x, axis=-1, keepdims=True) for x in scores]
    return np.logaddexp.reduce(normal, axis=0) - np.log(count)


def _taps(
    count: int, placement: Placement, frame: Frame, axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """Between which cells of the teacher the points of every cell lie, along one axis.

    Returns:
      int [cells, points], the lower neighbour; float64 [cells, points], the share of the upper.
    """
    seen, filled = placement.seen, placement.filled
    start = (filled.top, filled.left)[axis]
    length = (filled.height, filled.width)[axis]
    of_picture = length / (seen.height, seen.width)[axis]
    # A point for every pixel, or more where a pixel covers several cells of the teacher.
    points = max(1, int(np.ceil(frame.scale[axis] * of_picture / CELL - 1e-9)))
    positions_p = (np.arange(frame.size[axis] * points) + 0.5) / points
    picture_p = frame.to_picture(positions_p, axis)
    input_p = (picture_p - (seen.top, seen.left)[axis]) * of_picture + start
    # Bars of a letterbox say nothing of the picture beside them.
    least = min(-(-start // CELL), count - 1)
    most = max(least, min((start + length) // CELL, count) - 1)
    cells_p = np.clip(input_p / CELL - 0.5, least, most)
    low_p = np.minimum(np.floor(cells_p).astype(int), max(least, most - 1))
    shape = (frame.size[axis] // CELL, CELL * points)
    return low_p.reshape(shape), (cells_p - low_p).reshape(shape)


def _seen_cells(frame: Frame, placement: Placement) -> np.ndarray:
    """Whether all pixels of a cell show what a placement sees: bool [h / CELL, w / CELL]."""

    def along(axis: int) -> np.ndarray:
        picture_p = frame.to_picture(np.arange(frame.size[axis]) + 0.5, axis)
        inside_p = np.ones(len(picture_p), bool)
        for box in (frame.seen, placement.seen):
            start = (box.top, box.left)[axis]
            end = start + (box.height, box.width)[axis]
            inside_p &= (picture_p >= start) & (picture_p <= end)
        return np.all(inside_p.reshape(-1, CELL), axis=1, keepdims=False)

    return np.outer(along(0), along(1))
