"""Trains a network, or continues a run: `hierseg train`."""

import sys

from hierseg_jax.system.command_help import asks_for_help
from hierseg_jax.system.imports import without_garbage_collection
from hierseg_jax.system.kernel_sources import compile_ahead


def main() -> None:
    """The command, whose kernels are compiled while it is imported."""
    if not asks_for_help(sys.argv):
        compile_ahead()
    with without_garbage_collection():
        from hierseg_jax.commands.train_command import main

    main()


if __name__ == "__main__":
    main()
