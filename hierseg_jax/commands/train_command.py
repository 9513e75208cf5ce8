"""Trains a network, or continues a run.

hierseg train data.yaml --name=mine
hierseg train --config=figures --workdir=runs/figures

Goes on with a run that was stopped: hierseg train --workdir=runs/figures
"""

from ml_collections import config_flags

from hierseg_jax.commands.shared_flags import define_config, define_hosts
from hierseg_jax.commands.short_forms import DEFAULT_CONFIG, OF_TRAINING
from hierseg_jax.settings import Settings, read_settings
from hierseg_jax.settings.config_files import config_called
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.process import set_up_process
from hierseg_jax.train.loop import train
from hierseg_jax.train.workdir import begun_settings

FLAGS = CommandFlags()
_CONFIG = define_config(FLAGS)
_WORKDIR = FLAGS.string(
    "workdir",
    None,
    "Folder of the run, new or to be continued; --name=NAME stands for runs/NAME.",
    required=True,
)
_join_hosts = define_hosts(FLAGS)


@command(FLAGS, OF_TRAINING)
def main() -> None:
    """Hands the flags to the library."""
    set_up_process()
    _join_hosts()
    train(_settings(_WORKDIR.value), _WORKDIR.value, keep_steps=True)


def _settings(workdir: str) -> Settings:
    """Of the flags; where they name no data and no other config, of the run that is there."""
    flag = FLAGS["config"]
    config = config_called(config_flags.get_config_filename(flag))
    if config != DEFAULT_CONFIG or _CONFIG.value.data.spec:
        return read_settings(_CONFIG.value)
    begun = begun_settings(workdir, config_flags.get_override_values(flag))
    if begun is None:
        raise HiersegError(
            f"{workdir} holds no run to go on with, and no data set is given for a new one: "
            "--data takes the path of a data.yaml, 'figures', 'tfds:NAME' or 'module:function'."
        )
    return begun
