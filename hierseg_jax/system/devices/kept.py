"""Files of what was computed from this package's code, for the next process.

They are named after everything that they depend on. What is missing, damaged or somebody else's
is computed anew.
"""

import contextlib
import functools
import hashlib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from hierseg_jax.system.cache_folder import cache_folder
from hierseg_jax.system.compiler import describe_machine
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.kernel_sources import FLAGS_VARIABLE, installed_version

PACKAGE = Path(__file__).parents[2]
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "ml_dtypes")
"""Whose code is traced, or traces."""
VARIABLES = ("XLA_FLAGS", "NPROC", "LIBTPU_INIT_ARGS", "CXX", FLAGS_VARIABLE)


def kept_file(made_of: Sequence[str], suffix: str = "") -> Path | None:
    """Where something is kept; None where JAX keeps nothing, or is to look into what it runs.

    Args:
      made_of: words for all that it depends on beside code, machine and environment.
      suffix: of the file's name.
    """
    config = jax.config.values
    looks_inside = config["jax_disable_jit"] or config["jax_debug_nans"] or config["jax_debug_infs"]
    on = config["jax_compilation_cache_dir"] and config["jax_enable_compilation_cache"]
    if looks_inside or not on:
        return None
    key = hashlib.sha256("\n".join([*made_of, *_surroundings()]).encode()).hexdigest()
    with contextlib.suppress(OSError):
        return cache_folder() / "programs" / f"{key[:32]}{suffix}"
    return None


@functools.cache
def _surroundings() -> tuple[str, ...]:
    """Words for the code, its interpreter, the machine and the environment."""
    digest = hashlib.sha256()
    root = str(PACKAGE)
    files = (os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
    for file in sorted(file for file in files if file.endswith((".py", ".cc", ".h"))):
        content = Path(file).read_bytes()
        digest.update(f"{os.path.relpath(file, root)} {len(content)}\n".encode() + content)
    settings = {
        name: value for name, value in jax.config.values.items() if "compilation_cache" not in name
    }
    return (
        digest.hexdigest(),
        sys.version,
        platform.platform(),
        *(f"{name} {installed_version(name)}" for name in PACKAGES),
        *(f"{name}={os.environ.get(name)}" for name in VARIABLES),
        *(f"{name}={value}" for name, value in sorted(settings.items())),
        *(f"{device.id} {device.platform} {device.device_kind}" for device in jax.devices()),
        f"{available_cores()} cores",
        *describe_machine(),
    )
