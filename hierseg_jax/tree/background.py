"""The background: class 0 where it stands outside of the tree; a tree may have none.

It is trained and predicted as every class, but stands in no group, counts in no mean, and is not
painted. `Hierarchy.background` says which class it is: 0 or None.
"""

import re
from collections.abc import Sequence
from typing import Any

from hierseg_jax.system.errors import HiersegError

DEFAULT_NAME = "background"
NAMES = frozenset({DEFAULT_NAME, "void", "_background_", "__background__", "bg"})
"""By which it is known where nothing else tells, in small letters."""
# Words of names that are not surprising for it.
_LIKELY = re.compile(
    r"(?<![a-z])(background|void|bg|others?|unlabell?ed|unknown|none|nothing|rest|misc|clutter|empty|"
    r"ignored?|outside|negative|non?|not)(?![a-z])"
)


def looks_like_background(name: str) -> bool:
    """Whether a class of this name is taken for the background where nothing else tells."""
    return name.lower() in NAMES


def may_be_background(name: str) -> bool:
    """Whether the name of a class that is taken for the background is no sign of a mistake."""
    return _LIKELY.search(name.lower()) is not None


def foreground(background: int | None) -> slice:
    """Of names and arrays by class, those of all classes but the background."""
    return slice(0 if background is None else 1, None)


def single_class(name: str) -> HiersegError:
    """The error about a class that has no other beside it, nor a background."""
    return HiersegError(
        f"names: {name!r} is the only class, so that every pixel would be of it; name a second "
        f"class for the others, `names: [{DEFAULT_NAME}, {name}]`, and where masks hold other "
        "values than 0 and 1, say with `labels` what these mean."
    )


def flat_tree(class_names: Sequence[str], background: int | None) -> list[int]:
    """The tree of one level over class names.

    Raises:
      HiersegError: where there is no class but the background, or a single one and none.
    """
    if len(class_names) == 1 and background is None:
        raise single_class(class_names[0])
    tree = [*range(len(class_names))[foreground(background)]]
    if not tree:
        raise HiersegError(
            f"names: {class_names[0]!r} is the background, and there is no other class; name the "
            "classes."
        )
    return tree


def read_background(said: Any, class_names: Sequence[str]) -> int | None:
    """What `background: NAME` or `background: null` of a data.yaml says.

    Raises:
      HiersegError: for anything but None and the name of class 0.
    """
    if said is None:
        return None
    first = class_names[0]
    if not isinstance(said, str):
        raise HiersegError(
            "background: expected the name of class 0, or null where there is none; found "
            f"{str(said)[:50]!r}."
        )
    if said not in class_names:
        raise HiersegError(
            f"background: {said[:200]!r} is no class; class 0 is {first!r}. Where no class is the "
            "background, write `background: null`."
        )
    if said != first:
        raise HiersegError(
            f"background: {said!r} is class {list(class_names).index(said)}, and only class 0 can "
            f"be the background, which is {first!r}; put {said!r} first in `names`, and say with "
            "`labels` what the masks' values mean."
        )
    return 0


def check_background(said: int | None, found: int | None, class_names: Sequence[str]) -> None:
    """Refuses a tree that has its background elsewhere than the data.yaml says.

    Args:
      said: by `read_background`.
      found: `Hierarchy.background`.
      class_names: of the leaf classes.

    Raises:
      HiersegError: one sentence.
    """
    if said == found:
        return
    first = class_names[0]
    if said is None:
        raise HiersegError(
            f"background: null says that no class is the background, but class 0, {first!r}, does "
            "not stand in the hierarchy; add it there."
        )
    raise HiersegError(
        f"background: {first!r} stands in the hierarchy, too; the background stands outside, so "
        "take it out there, or write `background: null`."
    )
