"""One name of several."""

from collections.abc import Iterable
from typing import Any

from hierseg_jax.system.errors import HiersegError


def check_choice(what: str, name: Any, known: Iterable[str]) -> None:
    """Raises HiersegError, a sentence with all names that there are, for any other."""
    if name not in (names := list(known)):
        raise HiersegError(f"There is no {what} {name!r}; choose one of {', '.join(names)}.")
