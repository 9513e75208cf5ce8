"""Flags that several commands have."""

from collections.abc import Callable

from absl import flags
from ml_collections import config_flags

from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.devices.hosts import join_hosts

Text = flags.FlagHolder[str]


def define_checkpoint(
    own_flags: CommandFlags, meaning: str = "A run's workdir or a checkpoint's folder."
) -> tuple[Text, Text]:
    """`--checkpoint`, or `--workdir`, which must be given, and `--which` of those in a workdir."""
    checkpoint = own_flags.string("checkpoint", None, meaning, required=True)
    own_flags.alias("workdir", "checkpoint")
    told = "Of a workdir: best, last, or an epoch's number."
    return checkpoint, own_flags.string("which", "best", told)


def define_config(own_flags: CommandFlags) -> flags.FlagHolder:
    """`--config` of what is trained."""
    return config_flags.DEFINE_config_file(
        "config",
        None,
        "A name (by default tree) or a file; any key with --config.KEY=VALUE.",
        lock_config=True,
        flag_values=own_flags,
    )


def define_hosts(own_flags: CommandFlags) -> Callable[[], None]:
    """Flags of a run of several processes; what is returned joins them."""
    coordinator = own_flags.string("coordinator", None, "host:port of process 0, if several.")
    count = own_flags.integer("num_processes", None, "Processes of the run.")
    number = own_flags.integer("process_id", None, "This one's number, from 0.")
    return lambda: join_hosts(coordinator.value, count.value, number.value)
