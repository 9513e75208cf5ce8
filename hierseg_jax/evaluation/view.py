"""How an evaluation looks at pictures."""

import dataclasses

from hierseg_jax.evaluation.test_time_augmentation import make_augmented_forward
from hierseg_jax.models import Forward, SegmentationModel, grid_forward_of
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

RESOLUTIONS = ("network", "original", "refined")


@dataclasses.dataclass(frozen=True)
class View:
    """How an evaluation looks at pictures; its defaults are those of training's validation.

    Attributes:
      image_size: another (height, width) in pixels, rounded to what the network takes; None
        for the run's own.
      resolution: of RESOLUTIONS, the pixels that are counted: the network's, or the
        pictures' own, to which predictions are brought as the runtime does it: `original`
        enlarges scores, `refined` has borders that follow the picture's edges as well. None is
        `original` with `tiles`, else `network`.
      scales: of the sides, over which predictions are averaged; of each window, if `tiles`.
      flip: whether they are averaged over mirrored pictures too.
      tiles: whether pictures are not scaled, but seen in windows of the network's size; pixels
        are the pictures' own then, and there is no loss.
    """

    image_size: tuple[int, int] | None = None
    resolution: str | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    tiles: bool = False

    @property
    def counted(self) -> str:
        """The pixels that are counted, of RESOLUTIONS.

        Raises:
          ValueError: for others, or those of the network with `tiles`.
        """
        resolution = self.resolution or ("original" if self.tiles else "network")
        if resolution not in RESOLUTIONS:
            raise HiersegError(
                f"The resolution is {resolution!r}; choose {', '.join(RESOLUTIONS)}."
            )
        if self.tiles and resolution != "original":
            raise HiersegError(
                "--tiles sees pictures on their own pixels, and "
                f"--resolution={resolution} scales them; leave one of the two out."
            )
        return resolution


def augmented_forward(
    model: SegmentationModel, view: View, hierarchy: Hierarchy, hierarchical: bool
) -> Forward | None:
    """What averages over the views; None where there is but the usual one."""
    if not view.flip and view.scales == (1.0,):
        return None
    grid_of = grid_forward_of(model)
    return make_augmented_forward(
        # Views of several sizes don't meet in blocks, whatever the network was trained for.
        lambda variables, image_bhwc: model.from_grid(grid_of(variables, image_bhwc), smooth=True),
        hierarchy,
        hierarchical=hierarchical,
        stride=model.stride,
        scales=view.scales,
        flip=view.flip,
    )
