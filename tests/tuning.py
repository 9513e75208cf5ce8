"""Searches whose trials take no time: a stand-in for the training, beside the real study.

As a program, `python -m tests.tuning FOLDER TRIALS BEHAVIOUR`, it is one of several processes.
"""

import importlib.util
import json
import signal
import sys
import time
from pathlib import Path

import pytest

from configs import figures
from hierseg_jax.settings import read_settings
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.tune.objective import Metric
from hierseg_jax.train.tune.space import Choice, Range

SPACE = {"learning_rate": Range("log_uniform", 1e-4, 1e-2), "data.figures_train": Choice((8, 16))}
EPOCHS = 3
PART_MIOU = "levels.part.miou"

needs_optuna = pytest.mark.skipif(
    not importlib.util.find_spec("optuna"),
    reason="Optuna is not installed: pip install '.[tune]'",
)


def base_settings(**changes):
    config = figures.get_config()
    config.update(epochs=EPOCHS, patience=0, **changes)
    return read_settings(config)


def row(epoch, val_loss):
    # So large a loss is of a network that predicts nothing.
    miou = 1 - val_loss / 10 if val_loss < 10 else None
    return {"epoch": epoch, "val_loss": val_loss, "levels": {"part": {"miou": miou}}}


def make_train(loss_of=lambda number, epoch: 1 / (1 + number + epoch), after=lambda *at: None):
    """Like `train`, with losses by trial and epoch; goes on after the epochs it finds.

    Args:
      loss_of: the validation loss of an epoch of a trial; may raise.
      after: called with the trial, the epoch and the workdir once an epoch is saved.
    """

    def train(settings, workdir, on_epoch):
        file, number = Path(workdir) / "run.json", int(Path(workdir).name)
        Path(workdir).mkdir(exist_ok=True)
        run = json.loads(file.read_text()) if file.exists() else {"rows": [], "figures": []}
        progress = Progress(rows=tuple(run["rows"]))
        while not progress.finished(settings.epochs, 0):
            epoch = progress.epoch + 1
            rows = (*progress.rows, row(epoch, loss_of(number, epoch)))
            progress = Progress(rows=rows)
            run = {"rows": rows, "figures": [*run["figures"], settings.data.figures_train]}
            file.write_text(json.dumps(run))
            after(number, epoch, Path(workdir))
            on_epoch(progress)
        return progress

    return train


def search(folder, trials, train=None, **options):
    from hierseg_jax.train.tune.search import tune  # needs Optuna

    given = {"settings": base_settings(), "space": SPACE, "metric": Metric("val_loss")} | options
    return tune(folder=Path(folder), trials=trials, train=train or make_train(), **given)


def wait_for_company(number, epoch, workdir):
    """Ends no trial before another process has one too."""
    while len([entry for entry in workdir.parent.iterdir() if entry.is_dir()]) < 2:
        time.sleep(0.02)


def hang(number, epoch, workdir):
    """Never returns from the second epoch."""
    if epoch == 2:
        (workdir / "hangs").touch()
        signal.pause()


if __name__ == "__main__":
    behaviour = {"wait_for_company": wait_for_company, "hang": hang}[sys.argv[3]]
    search(sys.argv[1], int(sys.argv[2]), make_train(after=behaviour))
