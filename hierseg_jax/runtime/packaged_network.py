"""The network that comes with the package, and the photograph to try it on.

`docs/packaged_network.md` is its model card.
"""

from importlib import resources
from pathlib import Path

from hierseg_jax.system.errors import HiersegError

PRECISIONS = ("float32", "int8")
SUBJECT = "whole persons in street photographs"
CREDIT = "Clothing Co-Parsing (Yang, Luo, Lin, CVPR 2014; Apache-2.0)"
_FOLDER = "street_photographs"


def packaged_network(precision: str = "float32") -> Path:
    """The `deploy` file, with its MODEL.json beside it.

    Args:
      precision: of `PRECISIONS`; `int8` is a third as large, and a little faster and less exact.

    Raises:
      ValueError: for another precision.
    """
    if precision not in PRECISIONS:
        raise HiersegError(
            f"The packaged network comes as {' and '.join(PRECISIONS)}; got {precision!r}."
        )
    return _packaged(f"street_photographs_{precision}.onnx")


def packaged_photograph() -> Path:
    """A JPEG of 550 x 817 pixels that the network did not learn from."""
    return _packaged("photograph.jpg")


def _packaged(name: str) -> Path:
    return Path(str(resources.files("hierseg_jax.runtime") / _FOLDER / name))
