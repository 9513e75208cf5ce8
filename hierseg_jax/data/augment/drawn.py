"""What the augmentation `modern` draws for an example, apart from its picture."""

from collections.abc import Iterable

import numpy as np

from hierseg_jax.data.augment.modern import draw_jitter, draw_mirrored, draw_placement
from hierseg_jax.data.read.inventory import Entry
from hierseg_jax.data.read.source import Example


class Numbers:
    """A source of the numbers and sizes of pictures that lie elsewhere."""

    def __init__(self, shapes_n2: np.ndarray) -> None:
        """With (height, width) of each, int [N, 2]."""
        self._shapes_n2 = shapes_n2

    def __len__(self) -> int:
        return len(self._shapes_n2)

    def __getitem__(self, index: int) -> Example:
        """`index`, int32 scalar; `shape`, int [2]."""
        return {"index": np.array(index, np.int32), "shape": self._shapes_n2[index]}

    def inventory(self) -> Iterable[Entry]:
        """Nothing is read."""
        return ()


def draw_modern(
    size: tuple[int, int], scales: tuple[float, float], example: Example, rng: np.random.Generator
) -> Example:
    """What `augment_modern` does to a picture of that shape, of the same generator.

    Args:
      size: (height, width) of the example that is made of it.
      scales: the least and the largest.
      example: of `Numbers`; what else it has stays.
      rng: the only source of randomness.

    Returns:
      `index`; `seen` and `filled`, int32 [4]: top, left, height and width of the part of the
      picture that is shown, and of that of the example which it fills; `mirrored`, bool;
      `values` and `saturations`, uint8 [256], `hue`, int32, and `coloured`, bool: as of `Jitter`,
      whose `saturation` is None where it is not coloured.
    """
    height, width = (int(side) for side in example["shape"])
    placement = draw_placement(rng, (height, width), size, scales)
    mirrored = draw_mirrored(rng)
    jitter = draw_jitter(rng)
    seen, filled = (
        np.array([box.top, box.left, box.height, box.width], np.int32)
        for box in (placement.seen, placement.filled)
    )
    rest = {key: value for key, value in example.items() if key != "shape"}
    return rest | {
        "seen": seen,
        "filled": filled,
        "mirrored": np.array(mirrored),
        "values": jitter.values,
        "saturations": jitter.saturations,
        "hue": np.array(jitter.hue, np.int32),
        "coloured": np.array(jitter.saturation is not None),
    }
