"""The weights that the reference networks held when the golden files were made.

Each is drawn from NumPy's frozen `RandomState` stream, seeded by its name.
"""

import json
import pathlib
import zlib
from collections.abc import Mapping

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"


def load_golden(name: str) -> tuple[Mapping[str, np.ndarray], dict]:
    """Arrays of a golden file, and its description."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(str(arrays.pop("meta", "{}")))


def reference_state_dict(meta: dict) -> dict[str, np.ndarray]:
    """The state_dict that `meta` describes by names, shapes and gain."""
    pairs = zip(meta["names"], meta["shapes"], strict=True)
    return {name: _draw(name, tuple(shape), meta["gain"]) for name, shape in pairs}


def _draw(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        value = 1 + 0.1 * np.abs(normal)
    elif name.endswith(("running_mean", "bias")):
        value = 0.1 * normal
    elif len(shape) == 1:
        value = 1 + 0.1 * normal
    else:
        value = normal * np.sqrt(gain / np.prod(shape[1:]))
    return value.astype(np.float32)
