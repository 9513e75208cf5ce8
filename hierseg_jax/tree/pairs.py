"""Left and right: which leaf classes change places when a picture is mirrored."""

import re
import reprlib
from collections.abc import Sequence
from typing import Any

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean
from hierseg_jax.tree.background import foreground

Pairs = tuple[tuple[int, int], ...]
# A word of its own, or one that a capital letter ends or begins.
_LEFT = re.compile(
    r"(?<![A-Za-z])(?:left(?![a-z])|Left(?![a-z])|LEFT(?![A-Z])|[lL](?![A-Za-z]))|"
    r"(?<=[a-z])Left(?![a-z])"
)


def parse_pairs(pairs: Any, class_names: Sequence[str], background: int | None = 0) -> Pairs:
    """`[[left_arm, right_arm], [3, 4]]` as class indices.

    Args:
      pairs: a list of pairs, each of two names or indices of leaf classes; None for none.
      class_names: of the leaf classes.
      background: which of them is, if any.

    Raises:
      ValueError: for what is no pair; a name or index that is no leaf class, or the
        background; a class paired with itself or in two pairs.
    """
    if pairs is None:
        return ()
    if isinstance(pairs, str) or not isinstance(pairs, Sequence):
        raise HiersegError(
            f"pairs: expected a list such as `[[left_arm, right_arm]]`; got {reprlib.repr(pairs)}."
        )
    parsed: list[tuple[int, int]] = []
    seen: dict[int, str] = {}
    for pair in pairs:
        shown = reprlib.repr(pair)
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise HiersegError(
                f"pairs: {shown} is no pair; give two leaf classes, as in `[left_arm, right_arm]`."
            )
        left, right = (_leaf(member, class_names, background, shown) for member in pair)
        if left == right:
            raise HiersegError(
                f"pairs: {shown} pairs {class_names[left]!r} with itself; a class that looks the "
                "same in the mirror needs no pair."
            )
        for member in (left, right):
            if member in seen:
                raise HiersegError(
                    f"pairs: {class_names[member]!r} is in both {seen[member]} and {shown}; a "
                    "class has one partner at most."
                )
            seen[member] = shown
        parsed.append((left, right))
    return tuple(parsed)


def unpaired(class_names: Sequence[str], pairs: Pairs) -> tuple[tuple[str, str], ...]:
    """Left and right of one thing by their names, such as `l_eye` and `r_eye`, in no pair yet."""
    taken = {class_names[member] for pair in pairs for member in pair}
    free = [name for name in class_names if name not in taken]
    found = []
    for name in free:
        other = _LEFT.sub(_right, name)
        if other != name and other in free:
            found.append((name, other))
    return tuple(found)


def _right(left: re.Match[str]) -> str:
    return {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R"}[left[0]]


def _leaf(member: Any, class_names: Sequence[str], background: int | None, shown: str) -> int:
    if isinstance(member, str) and member in class_names:
        index = list(class_names).index(member)
    elif isinstance(member, int) and not isinstance(member, bool):
        index = member
    else:
        index = -1
    if index == background:
        raise HiersegError(f"pairs: {shown} holds the background, which has no partner.")
    if not 0 <= index < len(class_names):
        known = class_names[foreground(background)]
        hint = did_you_mean(member, known, f"they are {', '.join(known)}.")
        raise HiersegError(
            f"pairs: {shown} holds {reprlib.repr(member)}, which is no leaf class; {hint}"
        )
    return index
