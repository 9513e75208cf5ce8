"""Trains a network, or continues a run: `hierseg train`."""

import sys

from hierseg_jax.system.command_help import asks_for_help
from hierseg_jax.system.kernel_sources import compile_ahead

if __name__ == "__main__":
    if not asks_for_help(sys.argv):
        compile_ahead()  # while the rest is imported
    from hierseg_jax.commands.train_command import main

    main()
