"""Turns PyTorch weights into a checkpoint, or back: `hierseg convert`."""

from hierseg_jax.commands.convert_command import main

if __name__ == "__main__":
    main()
