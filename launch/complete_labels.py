"""Fills in what masks leave open: `hierseg complete`."""

from hierseg_jax.commands.complete_command import main

if __name__ == "__main__":
    main()
