"""Prints the networks and their layers: `hierseg models`."""

from hierseg_jax.commands.models_command import main

if __name__ == "__main__":
    main()
