"""Notes: what the user should know of, and what ends nothing."""

import contextlib
import sys

from tqdm import tqdm


def note(text: str) -> None:
    """To stderr, above a bar if there is one; nothing for an empty text."""
    if text and sys.stderr is not None:  # a program in the background may have none
        # Where it is full or has gone, the work goes on.
        with contextlib.suppress(OSError):
            tqdm.write(f"note: {text}", file=sys.stderr)
            sys.stderr.flush()
