"""Searches for the best values of a config's keys: `hierseg tune`."""

from hierseg_jax.commands.tune_command import main

if __name__ == "__main__":
    main()
