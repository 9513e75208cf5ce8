"""Whether arrays are those that are needed: their names, shapes and dtypes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from hierseg_jax.system.errors import HiersegError

# Training's projection head, which nothing else reads.
EMBEDDING = "embedding"


def described(tree: Any) -> dict[str, str]:
    """`params/head/kernel` -> `float32 (1, 1, 16, 7)`, of arrays or of what stands for them."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): describe_array(leaf)
        for path, leaf in leaves
    }


def describe_array(leaf: Any) -> str:
    """Dtype and shape."""
    # Wider numbers were asked for with JAX's own switch; without it they are read as float32.
    dtype = str(getattr(leaf, "dtype", type(leaf).__name__)).replace("float64", "float32")
    return f"{dtype} {tuple(getattr(leaf, 'shape', ()))}"


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """The first three of what is missing, too many or another array, and how many more.

    Args:
      found, wanted: from `described`.

    Returns:
      Empty where they are the same.
    """
    differ = [
        f"{_printable(name)} is {found.get(name, 'missing')}, expected {wanted.get(name, 'none')}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
    return f"{', '.join(differ[:3])}{more}"


def check_arrays(folder: Path, what: str, found: Any, wanted: Any) -> None:
    """Refuses a checkpoint with other arrays than it should have, though they are undamaged.

    Args:
      folder: the checkpoint's.
      what: has such arrays, as `esnet with 7 channels`.
      found: tree of its arrays, in which the projection head may be there besides.
      wanted: tree of what they should be.

    Raises:
      ValueError: one sentence with what was found and what was expected.
    """
    names, expected = described(found), described(wanted)
    for name in names.keys() - expected.keys():
        if name.split("/")[1:2] == [EMBEDDING]:
            del names[name]
    differ = differences(names, expected)
    if differ:
        raise HiersegError(
            f"The checkpoint {folder} does not hold the arrays of {what}: {differ}. Nothing of it "
            "is damaged, so it was written like that; use another checkpoint (a run goes on from "
            "the one before once this folder is gone)."
        )


def _printable(name: str) -> str:
    return name[:200] if name.isprintable() else repr(name[:200])
