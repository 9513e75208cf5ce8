"""Where compiled things are kept between processes."""

import os
from pathlib import Path

VARIABLE = "HIERSEG_JAX_CACHE"


def cache_folder() -> Path:
    """The user's own folder: `$HIERSEG_JAX_CACHE`, or `hierseg_jax` among their caches.

    Raises:
      OSError: for a user without a home, as in some containers.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser()
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "hierseg_jax"
    try:
        return Path.home() / ".cache" / "hierseg_jax"
    except RuntimeError:
        raise OSError(f"this user has no home folder; name one for caches in ${VARIABLE}") from None
