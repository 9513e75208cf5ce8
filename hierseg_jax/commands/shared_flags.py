"""Flags that several commands have."""

from collections.abc import Callable

from absl import flags
from ml_collections import config_flags

from hierseg_jax.system.devices.hosts import join_hosts

Text = flags.FlagHolder[str]


def define_checkpoint(
    own_flags: flags.FlagValues, meaning: str = "A run's workdir or a checkpoint's folder."
) -> tuple[Text, Text]:
    """`--checkpoint`, or `--workdir`, which must be given, and `--which` of those in a workdir."""
    checkpoint = flags.DEFINE_string(
        "checkpoint",
        None,
        meaning,
        required=True,
        flag_values=own_flags,
    )
    flags.DEFINE_alias("workdir", "checkpoint", flag_values=own_flags)
    which = flags.DEFINE_string(
        "which", "best", "Of a workdir: best, last, or an epoch's number.", flag_values=own_flags
    )
    return checkpoint, which


def define_config(own_flags: flags.FlagValues) -> flags.FlagHolder:
    """`--config` of what is trained."""
    return config_flags.DEFINE_config_file(
        "config",
        None,
        "A name (by default tree) or a file; any key with --config.KEY=VALUE.",
        lock_config=True,
        flag_values=own_flags,
    )


def define_hosts(own_flags: flags.FlagValues) -> Callable[[], None]:
    """Flags of a run of several processes; what is returned joins them."""
    coordinator = flags.DEFINE_string(
        "coordinator", None, "host:port of process 0, if several.", flag_values=own_flags
    )
    count = flags.DEFINE_integer(
        "num_processes", None, "Processes of the run.", flag_values=own_flags
    )
    number = flags.DEFINE_integer(
        "process_id", None, "This one's number, from 0.", flag_values=own_flags
    )

    def join() -> None:
        join_hosts(coordinator.value, count.value, number.value)

    return join
