"""Trains a network, or continues a run: `hierseg train`."""

from hierseg_jax.commands.train_command import main

if __name__ == "__main__":
    main()
