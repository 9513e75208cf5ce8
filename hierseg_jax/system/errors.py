"""Errors of this project's own: one sentence for the person who can do something about it.

Whatever else is raised is a defect, of this project or of a library, and keeps its traceback.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping

TRACEBACK_VARIABLE = "HIERSEG_JAX_TRACEBACK"
NO_KERNELS = "This project's CPU kernels can't be used: "
"""How a sentence begins that comes by way of XLA, as an error of JAX's."""
DEFECTS = (TypeError, AttributeError, LookupError, AssertionError, NotImplementedError)
"""What a defect raises. orbax and drivers of buckets have nearly any other kind for what a disk, a
store or a network does."""


class HiersegError(ValueError):
    """A mistake in what was given: which file, what was found, what was expected, what to do."""


class HiersegOSError(HiersegError, OSError):
    """The same about a file or the machine; an `OSError` to those who look for one."""


class HiersegFileNotFoundError(HiersegOSError, FileNotFoundError):
    """The same about a file or folder that is not there."""


class HiersegFileExistsError(HiersegOSError, FileExistsError):
    """The same about a file that would be overwritten."""


class HiersegPermissionError(HiersegOSError, PermissionError):
    """The same about a file that may not be written."""


@contextlib.contextmanager
def said_with(before: str, after: str = "") -> Iterator[None]:
    """Puts words around the sentence, or half of one, of a `HiersegError` that is raised within."""
    try:
        yield
    except HiersegError as error:
        raise HiersegError(f"{before}{error}{after}") from error


def is_sentence(error: BaseException) -> bool:
    """Whether an error's text is all that a user needs: ours, or the operating system's.

    The system's have an `errno`: a full disk, a folder without permission, a missing file.
    """
    return isinstance(error, HiersegError) or (
        isinstance(error, OSError) and error.errno is not None
    )


def warn(sentence: str) -> None:
    """A warning on stderr, about what does not end the program."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


def wants_tracebacks(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `HIERSEG_JAX_TRACEBACK` asks for the traceback of every error."""
    return environment.get(TRACEBACK_VARIABLE, "").lower() not in ("", "0", "false", "no")
