"""Where things lie in the plots of the pages; `axes.svg` draws their axes."""

import dataclasses

Tick = tuple[float, str]
"""A place between 0 and 1 along an axis, and what stands there."""


@dataclasses.dataclass(frozen=True)
class Area:
    """A plot of a size, and what is left free around its axes, in units of its drawing."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    def x(self, at: float) -> float:
        """From a place between 0 and 1, to the right."""
        return self.left + at * (self.width - self.left - self.right)

    def y(self, at: float) -> float:
        """From a place between 0 and 1, upwards."""
        return self.height - self.bottom - at * (self.height - self.top - self.bottom)
