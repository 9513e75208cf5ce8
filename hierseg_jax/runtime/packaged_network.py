"""The network that comes with the package, and the photograph to try it on.

`docs/packaged_network.md` is its model card.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from hierseg_jax.system.paths import as_path

SUBJECT = "persons in street photographs"
CREDIT = "Clothing Co-Parsing (Yang, Luo, Lin, CVPR 2014; Apache-2.0)"
NAME = "street_photographs"


def packaged_network() -> Path:
    """The `deploy` file, with its MODEL.json beside it.

    It computes in int8; height and width are open.
    """
    return _packaged(f"{NAME}.onnx")


def network_file(named: str | Path | None) -> Path:
    """The file of that path; the network in the package for None, or for its `NAME`."""
    if named is None or (str(named) == NAME and not Path(NAME).exists()):
        return packaged_network()
    return as_path(named)


def packaged_metadata() -> dict[str, Any]:
    """What the file's MODEL.json says."""
    content: dict[str, Any] = json.loads(_packaged(f"{NAME}.json").read_text("utf-8"))
    return content


def packaged_photograph() -> Path:
    """A JPEG of 550 x 817 pixels that the network did not learn from."""
    return _packaged("photograph.jpg")


def _packaged(name: str) -> Path:
    return Path(str(resources.files("hierseg_jax.runtime") / NAME / name))
