"""Large pictures on their own pixels, window by window; see `hierseg_jax/data/tiles.py`."""

import time
from collections.abc import Callable, Collection, Iterator

import numpy as np

from hierseg_jax.data.resize import place
from hierseg_jax.data.tiles import fits_window, lay_tiles, part_labels, scores_at
from hierseg_jax.runtime.pictures import check_picture
from hierseg_jax.runtime.segmentation import (
    NetworkOutput,
    Segmentation,
    level_labels,
    wanted_levels,
)
from hierseg_jax.runtime.segmenter import Segmenter


def segment_tiled(
    segmenter: Segmenter,
    image_hwc: np.ndarray,
    *,
    bgr: bool = False,
    levels: Collection[str] | None = None,
    confidence: bool = True,
    refine: bool = False,
    told: Callable[[int, int], object] | None = None,
) -> Segmentation:
    """Segments a picture of any size without scaling it.

    Windows of `segmenter.image_size` overlap, and their scores are blended. A picture that is no
    larger than that on either side is segmented as a whole, by the file's own resize rule.

    Args:
      segmenter: of a file that gives scores, not plain.
      image_hwc: uint8 [H, W, 3].
      bgr: whether its channels are blue, green, red, as OpenCV has them.
      levels: names of those that are wanted; all by default. Each takes a byte a pixel.
      confidence: whether it is wanted; it takes four bytes a pixel.
      refine: as in `segmenter(image_hwc)`, of pictures that are segmented as a whole.
      told: after each window, how many are done and how many there are; large pictures have
        hundreds.

    Returns:
      As `segmenter(image_hwc)`, but where there are several windows: `confidence` is float32
      [H, W] of blended scores, or empty, [0, 0]; `probabilities` is None; `placement` leaves the
      picture as it is, and `placement.restore_scores(confidence)` is the confidence itself. Of
      `seconds`, `preprocess` and `inference` are sums over windows; `postprocess` is all the rest.

    Raises:
      ValueError: one sentence, of a file without scores, an array that is no picture, or a level
        that there is not.
    """
    segmenter.require_scores("--tiles")
    check_picture(image_hwc)
    levels = wanted_levels(segmenter.hierarchy, levels)
    picture: tuple[int, int] = image_hwc.shape[:2]
    if fits_window(picture, segmenter.image_size):
        return segmenter(image_hwc, bgr=bgr, levels=levels, refine=refine)
    started = time.perf_counter()
    seconds = {"preprocess": 0.0, "inference": 0.0}
    table = segmenter.resize.place(picture, segmenter.image_size).brightening(image_hwc)
    scores_of = _window_scores(segmenter, bgr, table, seconds)
    tiles = lay_tiles(picture, segmenter.image_size)
    wanted = [each for each in segmenter.hierarchy.levels if each.name in levels]
    maps = {each.name: np.empty(picture, np.uint8) for each in wanted}
    confidence_hw = np.empty(picture if confidence else (0, 0), np.float32)
    scores: Iterator[np.ndarray] = map(scores_of, tiles.cut(image_hwc))
    if told:
        scores = _telling(scores, len(tiles.boxes), told)
    for box, scores_chw in tiles.blend(scores):
        leaf_hw = part_labels(scores_chw, segmenter.hierarchy, segmenter.decoding)
        for level in wanted:
            maps[level.name][box.rows_columns] = level_labels(leaf_hw, level)
        if confidence:
            chosen_hw = np.take_along_axis(scores_chw, leaf_hw[None], 0)[0]
            confidence_hw[box.rows_columns] = chosen_hw
    seconds["postprocess"] = time.perf_counter() - started - sum(seconds.values())
    output = NetworkOutput(confidence_hw, None)
    return Segmentation(maps, output, place(picture, picture, "stretch"), seconds)


def _telling(
    scores: Iterator[np.ndarray], total: int, told: Callable[[int, int], object]
) -> Iterator[np.ndarray]:
    for done, scores_chw in enumerate(scores, 1):
        told(done, total)
        yield scores_chw


def _window_scores(
    segmenter: Segmenter, bgr: bool, table: np.ndarray | None, seconds: dict[str, float]
) -> Callable[[np.ndarray], np.ndarray]:
    """uint8 [h, w, 3] of the network's size -> float32 scores [C, h, w]; adds up `seconds`."""

    def scores(window_hwc: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        _, given = segmenter.prepare(window_hwc, bgr=bgr, table=table)
        prepared = time.perf_counter()
        output = segmenter.infer(given)
        seconds["preprocess"] += prepared - started
        seconds["inference"] += time.perf_counter() - prepared
        assert output.probabilities is not None  # as require_scores has seen
        return scores_at(output.probabilities, segmenter.image_size)

    return scores
