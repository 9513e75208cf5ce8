"""Segments pictures, a video or a camera: `hierseg predict`."""

from hierseg_jax.commands.predict_command import main

if __name__ == "__main__":
    main()
