"""Evaluates every level of a trained network: `hierseg evaluate`."""

from hierseg_jax.commands.evaluate_command import main

if __name__ == "__main__":
    main()
