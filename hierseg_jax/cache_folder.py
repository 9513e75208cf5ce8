"""Where compiled things are kept between processes."""

import os
from pathlib import Path

VARIABLE = "HIERSEG_JAX_CACHE"


def cache_folder() -> Path:
    """The user's own folder: `$HIERSEG_JAX_CACHE`, or `hierseg_jax` among their caches."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hierseg_jax"
