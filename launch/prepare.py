"""Makes a raw data set into folders and a data.yaml: `hierseg prepare`."""

from hierseg_jax.commands.prepare_command import main

if __name__ == "__main__":
    main()
