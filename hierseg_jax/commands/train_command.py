"""Trains a network, or continues a run.

hierseg train --config=figures --workdir=runs/figures
"""

from absl import flags
from ml_collections import config_flags

from hierseg_jax.commands.short_forms import OF_TRAINING
from hierseg_jax.devices.hosts import join_hosts
from hierseg_jax.settings import read_settings
from hierseg_jax.system.command_line import run
from hierseg_jax.system.process import set_up_process
from hierseg_jax.train.loop import train

FLAGS = flags.FlagValues()
_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "A name (by default tree) or a file; any key with --config.KEY=VALUE.",
    lock_config=True,
    flag_values=FLAGS,
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run, new or to be continued.", required=True, flag_values=FLAGS
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "host:port of process 0, if several.", flag_values=FLAGS
)
_NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "Processes of the run.", flag_values=FLAGS
)
_PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "This one's number, from 0.", flag_values=FLAGS
)


def _run() -> None:
    """Hands the flags to the library."""
    set_up_process()
    join_hosts(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    train(read_settings(_CONFIG.value), _WORKDIR.value)


def main() -> None:
    """`hierseg train`."""
    run(_run, FLAGS, OF_TRAINING)
