"""Searches for the best values of some of a config's keys.

hierseg tune --config=figures --space=space.yaml --study_dir=runs/tuning --trials=20
"""

import sys

from ml_collections import config_flags

from hierseg_jax.commands.shared_flags import define_config
from hierseg_jax.commands.short_forms import OF_SEARCHES
from hierseg_jax.settings import read_settings
from hierseg_jax.settings.building import tree_of
from hierseg_jax.settings.config_files import config_called
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.missing import installation_of
from hierseg_jax.system.paths import local_path
from hierseg_jax.system.process import set_up_process
from hierseg_jax.train.tune.objective import find_metric
from hierseg_jax.train.tune.outcome import Outcome
from hierseg_jax.train.tune.search_page import Report, format_page, format_text
from hierseg_jax.train.tune.space import read_space

FLAGS = CommandFlags()
_CONFIG = define_config(FLAGS)
_SPACE = FLAGS.string(
    "space", None, "YAML file with a range or choice for every key.", required=True
)
_STUDY_DIR = FLAGS.string(
    "study_dir", None, "Folder of the study, new or to be continued.", required=True
)
_TRIALS = FLAGS.integer(
    "trials", None, "Trials in all, of all processes together.", 1, required=True
)
_METRIC = FLAGS.string(
    "metric",
    None,
    "Column of metrics.csv, such as levels.part.f1 or val_loss; the mIoU of the finest level.",
)
_STARTUP = FLAGS.integer("startup_trials", 5, "Complete trials before any is pruned.", 1)
_WARMUP = FLAGS.integer("warmup_epochs", 1, "Epochs of a trial before it is pruned.", 1)


@command(FLAGS, OF_SEARCHES)
def main() -> None:
    """Hands the flags to the library and reports after every trial."""
    try:
        import optuna

        from hierseg_jax.train.tune.search import tune
        from hierseg_jax.train.tune.study import lock_study
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        sys.exit(f"error: tuning needs Optuna: {installation_of('tune')}.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings, folder = read_settings(_CONFIG.value), local_path(_STUDY_DIR.value)
    flag = FLAGS["config"]
    overrides = config_flags.get_override_values(flag)
    space = read_space(local_path(_SPACE.value), settings)
    for key in space.keys() & overrides.keys():
        raise HiersegError(f"{key} is set with --config.{key} and searched in {_SPACE.value}.")
    hierarchy = tree_of(settings.data)
    metric = find_metric(_METRIC.value, hierarchy, settings.metric_names)
    file = folder / "report.html"

    def report(outcomes: list[Outcome]) -> Report:
        config = config_called(config_flags.get_config_filename(flag))
        found = Report(folder, config, overrides, space, metric, outcomes)
        with lock_study(folder):
            write_atomically(file, format_page(found).encode())
        return found

    set_up_process()
    outcomes = tune(
        settings,
        space,
        metric,
        folder,
        _TRIALS.value,
        startup_trials=_STARTUP.value,
        warmup_epochs=_WARMUP.value,
        report=report,
    )
    print(f"\n{format_text(report(outcomes))}\n\nPlots: {file}")
