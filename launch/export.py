"""Exports a trained network to ONNX: `hierseg export`."""

from hierseg_jax.commands.export_command import main

if __name__ == "__main__":
    main()
