"""What a file leaves open, and who decides it: its classes and the size of its input."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hierseg_jax.data.sizes import MAX_SIDE, as_size
from hierseg_jax.runtime.metadata import Metadata
from hierseg_jax.runtime.opening import OpenNetwork
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy, check_hierarchy
from hierseg_jax.tree.parsing import MAX_CLASSES

DEFAULT_SIDE = 320


def choose_hierarchy(
    opened: OpenNetwork, channels: object, given: Hierarchy | None, file: str | Path
) -> Hierarchy:
    """The file's own, or else the given one, or one level with generated names.

    Args:
      opened: the file.
      channels: of its first output; a number, unless the graph leaves it open.
      given: by the user.
      file: for messages.

    Raises:
      ValueError: one sentence, where they don't agree.
    """
    if given is not None:
        check_hierarchy(given)
    if opened.metadata is not None:
        if given is not None and given != opened.metadata.hierarchy:
            raise HiersegError(f"{file} carries a class tree of its own; leave the other out.")
        given = opened.metadata.hierarchy
        if opened.contract == "deploy":
            return given
    if isinstance(channels, int) and not 2 <= channels <= MAX_CLASSES:
        raise HiersegError(f"{file} has {channels} classes; a network has 2 to {MAX_CLASSES}.")
    if not isinstance(channels, int):
        if given is None:
            raise HiersegError(f"{file} does not say how many classes it has; give a hierarchy.")
        return given
    if given is None:
        return Hierarchy.from_mapping(list(range(1, channels)))
    if given.num_classes != channels:
        raise HiersegError(
            f"{file} has {channels} classes, the hierarchy {given.num_classes}; they must agree."
        )
    return given


def choose_size(
    of_file: Sequence[Any],
    given: int | tuple[int, int] | None,
    metadata: Metadata | None,
    file: str | Path,
) -> tuple[int, int]:
    """The graph's own, or else the given one, or that of the training: (height, width).

    Args:
      of_file: both sides of the graph's input; numbers, or names of what is open.
      given: by the user.
      metadata: of the file.
      file: for messages.

    Raises:
      ValueError: one sentence, for sides that the graph does not take.
    """
    wanted = None if given is None else as_size(given)
    fixed = of_file[0], of_file[1]
    sides = [*fixed, *(wanted or ())]
    if any(isinstance(side, int) and not 0 < side <= MAX_SIDE for side in sides):
        raise HiersegError(
            f"{file} is to take {' x '.join(map(str, wanted or fixed))} (height x width); a "
            f"side has 1 to {MAX_SIDE} pixels."
        )
    if all(isinstance(side, int) for side in fixed):
        if wanted not in (None, fixed):
            raise HiersegError(
                f"{file} takes {fixed[0]} x {fixed[1]} (height x width) alone, not "
                f"{wanted[0]} x {wanted[1]}; export it with --dynamic."
            )
        return fixed
    if wanted is None:
        return metadata.image_size if metadata else (DEFAULT_SIDE, DEFAULT_SIDE)
    stride = metadata.stride if metadata else 1
    if min(wanted) < stride or any(side % stride for side in wanted):
        raise HiersegError(
            f"{file} takes sides in multiples of {stride}; got {wanted[0]} x {wanted[1]}."
        )
    return wanted
