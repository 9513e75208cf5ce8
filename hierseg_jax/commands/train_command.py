"""Trains a network, or continues a run.

hierseg train --config=figures --workdir=runs/figures
"""

from absl import flags

from hierseg_jax.commands.shared_flags import define_config, define_hosts
from hierseg_jax.commands.short_forms import OF_TRAINING
from hierseg_jax.settings import read_settings
from hierseg_jax.system.command_line import run
from hierseg_jax.system.process import set_up_process
from hierseg_jax.train.loop import train

FLAGS = flags.FlagValues()
_CONFIG = define_config(FLAGS)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run, new or to be continued.", required=True, flag_values=FLAGS
)
_join_hosts = define_hosts(FLAGS)


def _run() -> None:
    """Hands the flags to the library."""
    set_up_process()
    _join_hosts()
    train(read_settings(_CONFIG.value), _WORKDIR.value, keep_steps=True)


def main() -> None:
    """`hierseg train`."""
    run(_run, FLAGS, OF_TRAINING)
