"""Looks a data set over: `hierseg inspect`."""

from hierseg_jax.commands.inspect_command import main

if __name__ == "__main__":
    main()
