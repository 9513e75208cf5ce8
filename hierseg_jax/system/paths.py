"""From what a person names to a path: a file or folder of this machine, and nothing else."""

import pathlib
import re

from hierseg_jax.system.errors import HiersegError

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")


def is_url(text: str) -> bool:
    """Whether this names a place by a scheme, as `gs://bucket/run`, and no file of this machine."""
    return _SCHEME.match(text) is not None


def local_path(text: str | pathlib.Path) -> pathlib.Path:
    """The path of what has to be on this machine.

    Raises:
      ValueError: a URL, which as a path would be a folder with the name of its scheme.
    """
    if is_url(str(text)):
        raise HiersegError(
            f"{text} is not on this machine, and can't be used from where it is; give the path of "
            "a file or folder here."
        )
    return pathlib.Path(text)
