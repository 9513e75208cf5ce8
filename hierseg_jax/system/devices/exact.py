"""Where results are to be the same on every machine: on the CPU, in all the bits of float32."""

import contextlib
import os
from collections.abc import Iterator

import jax

from hierseg_jax.system.errors import HiersegError


@contextlib.contextmanager
def exact_on_cpu() -> Iterator[jax.Device]:
    """While entered, JAX computes on the CPU, products and convolutions in full float32.

    By default accelerators compute them in TF32 or bfloat16, a hundred times coarser than an export
    is compared with the network. Also a decorator. Arrays that lie on another device are computed
    with there; move them first.

    Yields:
      The CPU.

    Raises:
      HiersegError: where JAX has no CPU.
    """
    with jax.default_device(_cpu()) as device, jax.default_matmul_precision("highest"):
        yield device


def _cpu() -> jax.Device:
    try:
        return jax.local_devices(backend="cpu")[0]
    # Where a platform is missing JAX raises one or the other.
    except (RuntimeError, AssertionError) as error:
        found = os.environ.get("JAX_PLATFORMS", "")
        raise HiersegError(
            "Part of this is computed on the CPU, which JAX can't use here: "
            f"JAX_PLATFORMS is {found!r}. Add cpu to it (JAX_PLATFORMS=cuda,cpu), or unset it."
        ) from error
