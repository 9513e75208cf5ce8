"""All training pictures, read once, as they go to the device."""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Iterable

import numpy as np

from hierseg_jax.data.augment.modern import SCALES
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.resize import Resize
from hierseg_jax.data.sized_examples import bounded_example, stored_shape
from hierseg_jax.system.bars import bar
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.devices.hosts import is_main


@dataclasses.dataclass(frozen=True, eq=False)
class StoredPictures:
    """Pictures of a source, in its order.

    Attributes:
      planes_n4hw: uint8 [N, 4, H, W], red, green, blue and label, each picture in the upper left
        corner.
      shapes_n2: int64 [N, 2], height and width of each.
      shown_nk: bool [N, 256], which labels it has.
    """

    planes_n4hw: np.ndarray
    shapes_n2: np.ndarray
    shown_nk: np.ndarray

    def labels_in(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Which labels the pictures of a batch have, bool [256], by its `index`."""
        return self.shown_nk[batch["index"]].any(0)


def store_pictures(
    source: Source, size: tuple[int, int], resize: Resize, largest: float = SCALES[1]
) -> StoredPictures:
    """Reads all pictures of a source, in threads.

    They become those of `bounded_example`, of `stored_shape` for the largest scale.

    Raises:
      HiersegError, OSError: for one that can't be read.
    """
    shape_of = functools.partial(stored_shape, largest=largest)

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        example = bounded_example(source[index], size, resize, shape_of)
        return example["image"], example["label"]

    with concurrent.futures.ThreadPoolExecutor(available_cores()) as pool:
        read_ones: Iterable[tuple[np.ndarray, np.ndarray]] = pool.map(read, range(len(source)))
        pictures = list(bar(read_ones, "reading", len(source), hidden=not is_main()))
    shapes_n2 = np.array([label_hw.shape for _, label_hw in pictures])
    planes_n4hw = np.zeros((len(pictures), 4, *shapes_n2.max(0)), np.uint8)
    shown_nk = np.zeros((len(pictures), 256), bool)
    nothing = (np.empty(0, np.uint8), np.empty(0, np.uint8))
    for number, (height, width) in enumerate(shapes_n2.tolist()):
        image_hwc, label_hw = pictures[number]
        pictures[number] = nothing  # no picture is in memory twice for long
        planes_n4hw[number, :3, :height, :width] = np.moveaxis(image_hwc, -1, 0)
        planes_n4hw[number, 3, :height, :width] = label_hw
        shown_nk[number, np.unique(label_hw)] = True
    return StoredPictures(planes_n4hw, shapes_n2, shown_nk)
