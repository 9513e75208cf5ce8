"""Labels at a picture's own size whose borders follow the picture's edges; without JAX.

A network's scores lie several of the picture's pixels apart, and enlarging them blurs what is
between. A guided filter (He, Sun and Tang, TPAMI 2013; sampled, as in He and Sun, arXiv 1505.00996)
takes what is missing from the picture: around each score it finds the linear function of the
picture's three channels that is nearest to the scores there, and this function is then taken of the
pixels themselves. Where colours say nothing it is the mean of the scores.

Which classes there are to choose from is seen in the scores: a class that is far from the likeliest
one in all of a part of the picture is not sought there. Where the network sees the picture much
smaller than it is, texture would leave specks: a label is then the most frequent one around it.
"""

import dataclasses
import functools

import cv2
import numpy as np

from hierseg_jax.data.picture_labels import FLOOR, STEPS, check_planes, scores_of
from hierseg_jax.data.resize import Placement
from hierseg_jax.tree.decoding import top_down
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.parsing import IGNORE_LABEL

CELL = 2
"""Pixels of the network's input along a side, at least, for which there is one function."""
REACH = 4
"""Pixels of the network's input on each side of a cell from which its function is found."""
NOISE = 1e-3
"""Variance, of channels from 0 to 1, below which differences of colour count for little."""
COARSE = 1.25
"""Pixels of the picture along a side of one of the network's input, from which on the most frequent
label around a pixel is taken: functions of single pixels leave specks where there is texture. What
a network sees in full has parts as thin as that."""
MOST_AROUND = 127
"""Pixels of the picture on each side, at most: 16 bits count so many."""
NEAR = 0.3
"""A class is sought where its score is at least this share of the greatest one."""
_STEPS_NEAR = np.uint16(np.log(NEAR) / FLOOR * STEPS)
TILE = 96
"""Pixels of the picture along a side, about, of the parts that are looked at one by one."""


def guided_labels(
    planes_chw: np.ndarray,
    placement: Placement,
    hierarchy: Hierarchy,
    image_hwc: np.ndarray,
    decoding: str = "leaf",
) -> np.ndarray:
    """Leaf classes at the picture's size, as `picture_labels` gives them, along its edges.

    Args:
      planes_chw: uint16 [C, h, w] of `log_planes`, of the network's input or a stride apart.
      placement: of the picture in that input.
      hierarchy: of the classes.
      image_hwc: uint8 [H, W, 3], the picture; its channels may be in any order.
      decoding: of `decoding.DECODINGS`.

    Returns:
      uint8 [H, W]; IGNORE_LABEL where the network saw nothing.

    Raises:
      ValueError: for planes of another dtype or number of classes, or another picture than the
        placement's.
    """
    check_planes(planes_chw, hierarchy)
    seen_hwc = placement.seen_image(image_hwc)
    # From the top down classes are chosen by sums, to which the least likely ones add, too.
    by_sums = decoding == "top_down"
    scores_khw, classes_k = _close_scores(planes_chw, placement, by_sums)
    if len(classes_k) == 1:
        label_hw = np.full(seen_hwc.shape[:2], classes_k[0], np.uint8)
        return placement.within_picture(label_hw, IGNORE_LABEL)
    cells, filled = scores_khw.shape[1:], placement.filled
    radius = max(1, round(REACH * cells[1] / filled.width))
    functions_k4hw = _functions(scores_khw, _shrunk(seen_hwc, cells), radius)
    close_khw = scores_khw >= NEAR * scores_khw.max(0)
    label_hw = np.empty(seen_hwc.shape[:2], np.uint8)
    mixed = []
    columns = _parts(seen_hwc.shape[1], cells[1], radius)
    for row in _parts(seen_hwc.shape[0], cells[0], radius):
        for column in columns:
            near = (slice(None), row.near, column.near)
            close_k = close_khw[near].any((1, 2)) | by_sums
            sought, pixels = np.flatnonzero(close_k), (row.pixels, column.pixels)
            if len(sought) == 1:
                label_hw[pixels] = classes_k[sought[0]]
                continue
            mixed.append(pixels)
            functions = functions_k4hw[sought, :, row.cells, column.cells]
            part = [channel_hw.astype(np.float32) for channel_hw in cv2.split(seen_hwc[pixels])]
            if by_sums:
                scores_chw = _taken(functions, row, column, part)
                label_hw[pixels] = top_down(list(scores_chw), hierarchy)
                continue
            # How much greater than the first one's: a function less to take.
            ahead_khw = _taken(functions[1:] - functions[0], row, column, part)
            label_hw[pixels] = _most_ahead(ahead_khw, classes_k[sought])
    scale = min(placement.seen.width / filled.width, placement.seen.height / filled.height)
    if scale >= COARSE:
        # Half a pixel of the network's input on each side.
        around = min(max(1, int(scale / 2)), MOST_AROUND)
        label_hw = _without_specks(label_hw, mixed, around)
    return placement.within_picture(label_hw, IGNORE_LABEL)


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """A part of a side of the picture.

    Attributes:
      pixels: of the picture.
      cells: between which these lie.
      near: and those whose scores have a say in these cells' functions.
      weights: float32 [pixels, cells], by which pixels lie between cells.
    """

    pixels: slice
    cells: slice
    near: slice
    weights: np.ndarray


@functools.lru_cache(maxsize=8)  # the same for every frame of a video
def _parts(pixels: int, cells: int, radius: int) -> tuple[_Part, ...]:
    count = max(1, round(pixels / TILE))
    parts = []
    for i in range(count):
        start, stop = pixels * i // count, pixels * (i + 1) // count
        # Centres of pixels and of cells lie at half-integers; beyond the last one nothing changes.
        at = ((np.arange(start, stop) + 0.5) * (cells / pixels) - 0.5).clip(0, cells - 1)
        below = np.minimum(at.astype(int), max(cells - 2, 0))
        first, last = below[0], min(below[-1] + 2, cells)
        weights = np.zeros((stop - start, last - first), np.float32)
        rows, share = np.arange(stop - start), (at - below).astype(np.float32)
        weights[rows, below - first] = 1 - share
        if cells > 1:
            weights[rows, below - first + 1] = share
        # Scores reach functions, and these their neighbours: a radius each.
        near = slice(max(0, first - 2 * radius), last + 2 * radius)
        parts.append(_Part(slice(start, stop), slice(first, last), near, weights))
    return tuple(parts)


def _close_scores(
    planes_chw: np.ndarray, placement: Placement, every: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of what the network saw, float32 [K, h, w], and whose they are.

    They are those of the classes that are likely somewhere, or of `every` one. Cells are at least
    `CELL` pixels of the input apart.
    """
    filled = placement.filled
    planes = [placement.filled_scores(plane_hw) for plane_hw in planes_chw]
    height, width = planes[0].shape
    size = min(width, max(1, filled.width // CELL)), min(height, max(1, filled.height // CELL))
    greatest_hw = np.maximum.reduce(planes)
    least_hw = greatest_hw - np.minimum(greatest_hw, _STEPS_NEAR)
    classes_k = [c for c, plane_hw in enumerate(planes) if every or (plane_hw >= least_hw).any()]
    scores = [scores_of(planes[c]) for c in classes_k]
    if size != (width, height):
        scores = [cv2.resize(of, size, interpolation=cv2.INTER_AREA) for of in scores]
    return np.stack(scores), np.asarray(classes_k)


def _shrunk(image_hwc: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture's channels, a pixel a cell: float32 [3, h, w] from 0 to 1."""
    small_hwc = cv2.resize(image_hwc, size[::-1], interpolation=cv2.INTER_AREA)
    return np.moveaxis(small_hwc, -1, 0).astype(np.float32) / 255


def _functions(scores_khw: np.ndarray, guide_3hw: np.ndarray, radius: int) -> np.ndarray:
    """Of every class and cell: factors of the channels as uint8 and a constant, [K, 4, h, w]."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(of_hw: np.ndarray) -> np.ndarray:
        return cv2.blur(of_hw, size, borderType=cv2.BORDER_REFLECT)

    mean_3hw = np.stack([mean(channel_hw) for channel_hw in guide_3hw])

    def covariance(i: int, j: int) -> np.ndarray:
        return mean(guide_3hw[i] * guide_3hw[j]) - mean_3hw[i] * mean_3hw[j]

    a, b, c, d, e, f = (covariance(i, j) for i in range(3) for j in range(i, 3))
    a, d, f = (variance + np.float32(NOISE) for variance in (a, d, f))
    # The inverse of the symmetric matrix of a, b, c; b, d, e; c, e, f: its minors by its
    # determinant.
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    inverse = np.array([[aa, bb, cc], [bb, dd, ee], [cc, ee, ff]]) / (a * aa + b * bb + c * cc)
    found = np.empty((len(scores_khw), 4, *scores_khw.shape[1:]), np.float32)
    for score_hw, of_class in zip(scores_khw, found, strict=True):
        score_mean_hw = mean(score_hw)
        together = [
            mean(score_hw * channel_hw) - score_mean_hw * channel_mean_hw
            for channel_hw, channel_mean_hw in zip(guide_3hw, mean_3hw, strict=True)
        ]
        for i in range(3):
            factor_hw = sum(inverse[i, j] * together[j] for j in range(3))
            of_class[i] = mean(factor_hw) / np.float32(255)
            score_mean_hw -= factor_hw * mean_3hw[i]
        of_class[3] = mean(score_mean_hw)
    return found


def _taken(
    functions_k4hw: np.ndarray, row: _Part, column: _Part, channels: list[np.ndarray]
) -> np.ndarray:
    """Functions between their cells, taken of the pixels there: float32 [K, H, W]."""
    between = np.matmul(np.matmul(row.weights, functions_k4hw), column.weights.T)
    for *factors, constant_hw in between:
        for factor_hw, channel_hw in zip(factors, channels, strict=True):
            cv2.accumulateProduct(factor_hw, channel_hw, constant_hw)
    return between[:, 3]


def _most_ahead(ahead_khw: np.ndarray, classes_k: np.ndarray) -> np.ndarray:
    """The first class with the greatest score, uint8 [H, W].

    Args:
      ahead_khw: how much greater scores are than the first class's, of all others.
      classes_k: that class and the others, from the least number to the greatest.
    """
    best_hw = np.zeros(ahead_khw.shape[1:], np.float32)
    label_hw = np.full(best_hw.shape, classes_k[0], np.uint8)
    for score_hw, number in zip(ahead_khw, classes_k[1:], strict=True):
        won_hw = cv2.compare(score_hw, best_hw, cv2.CMP_GT)  # 255 where it is greater
        # A later class has the greater number: the maximum of both puts it in place.
        np.bitwise_and(won_hw, np.uint8(number), out=won_hw)
        cv2.max(label_hw, won_hw, label_hw)
        cv2.max(best_hw, score_hw, best_hw)
    return label_hw


def _without_specks(
    label_hw: np.ndarray, parts: list[tuple[slice, slice]], radius: int
) -> np.ndarray:
    """In these parts the most frequent label around each pixel; of several, the least number."""
    clean_hw, size = label_hw.copy(), (2 * radius + 1,) * 2
    for rows, columns in parts:
        # What squares reach over is within this, or beyond the picture, where that is mirrored.
        top, left = max(0, rows.start - radius), max(0, columns.start - radius)
        around_hw = label_hw[top : rows.stop + radius, left : columns.stop + radius]
        most_hw, found_hw = np.zeros(around_hw.shape, np.uint16), np.zeros_like(around_hw)
        for number in np.flatnonzero(np.bincount(around_hw.ravel())):
            bears_hw = (around_hw == number).view(np.uint8)
            count_hw = cv2.boxFilter(
                bears_hw, cv2.CV_16U, size, normalize=False, borderType=cv2.BORDER_REFLECT
            )
            more_hw = cv2.compare(count_hw, most_hw, cv2.CMP_GT)
            np.bitwise_and(more_hw, np.uint8(number), out=more_hw)
            cv2.max(found_hw, more_hw, found_hw)
            cv2.max(most_hw, count_hw, most_hw)
        inner = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        clean_hw[rows, columns] = found_hw[inner]
    return clean_hw
