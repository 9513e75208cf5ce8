"""Which checkpoint of a run is meant; a damaged one makes room for the next best."""

import shutil
import sys
from pathlib import Path
from typing import Any

from hierseg_jax.checkpoint.reader import Checkpoint, load_checkpoint, read_meta
from hierseg_jax.checkpoint.seal import DamagedCheckpointError, check_seal
from hierseg_jax.errors import HiersegError, HiersegFileNotFoundError, HiersegOSError

FOLDER = "checkpoints"
# Ends the name of a checkpoint while another one of the same step is being written.
SUPERSEDED = ".superseded"


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is itself a checkpoint, not a run that holds some."""
    return (path / "variables").is_dir() and (path / "meta").is_dir()


def checkpoint_steps(workdir: Path) -> list[int]:
    """Steps of a run's checkpoints, whole or damaged, ascending; empty where there is none."""
    folder = workdir / FOLDER
    if not folder.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in folder.iterdir()
        if entry.name.isascii() and entry.name.isdecimal() and entry.is_dir()
    )


def find_checkpoint(path: Path | str, which: str = "best") -> Path:
    """The folder of one checkpoint.

    Args:
      path: a run's workdir, or a checkpoint's folder, which is returned as it is.
      which: of a workdir: `best` (by the config's `best`), `last`, or the number of an
        epoch.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    return _in_order(Path(path), which)[0]


def open_checkpoint(path: Path | str, which: str = "best") -> Checkpoint:
    """Reads a checkpoint; of a workdir the best or the last one that is not damaged.

    Every damaged one that had to be passed over is named on stderr.

    Args:
      path, which: as in `find_checkpoint`.

    Raises:
      FileNotFoundError, ValueError: one sentence; `DamagedCheckpointError` where the
        one that was meant is damaged and no other can stand for it.
    """
    damages: list[DamagedCheckpointError] = []
    for folder in _in_order(Path(path), which):
        try:
            loaded = load_checkpoint(folder)
        except DamagedCheckpointError as damage:
            damages.append(damage)
            continue
        for damage in damages:
            _warn(f"{damage} Using {folder}.")
        return loaded
    raise damages[0]


def last_whole_checkpoint(workdir: Path) -> Path | None:
    """The newest checkpoint to go on from; None in a run that has none yet.

    All of a run's checkpoints are looked at, since the best of them is as dear as the
    last. Damaged ones are named on stderr and set aside as `<step>.damaged`, so that
    training may come by these steps again.

    Raises:
      DamagedCheckpointError: if there are some but none is whole.
    """
    settle_superseded(workdir / FOLDER)
    damaged: dict[Path, DamagedCheckpointError] = {}
    whole: list[Path] = []
    for step in checkpoint_steps(workdir):
        folder = workdir / FOLDER / str(step)
        try:
            if not check_seal(folder):
                load_checkpoint(folder)
            whole.append(folder)
        except DamagedCheckpointError as damage:
            damaged[folder] = damage
    if damaged and not whole:
        raise next(reversed(damaged.values()))
    for folder, damage in damaged.items():
        aside = _free_name(folder)
        folder.rename(aside)
        _warn(f"{damage} It is now {aside}.")
    return whole[-1] if whole else None


def settle_superseded(folder: Path) -> None:
    """Removes checkpoints whose successor is there; the others get their names back."""
    for earlier in folder.glob(f"*{SUPERSEDED}"):
        name = folder / earlier.name.removesuffix(SUPERSEDED)
        if name.exists():
            shutil.rmtree(earlier)
        else:
            earlier.rename(name)


def _in_order(path: Path, which: str) -> list[Path]:
    """The checkpoints that will do, the one that is meant first."""
    if is_checkpoint(path):
        return [path]
    if path.is_file():
        raise HiersegError(
            f"{path} is a file; give the workdir of a training run or a checkpoint's folder. "
            "(launch/convert.py makes one of PyTorch weights.)"
        )
    folders = [path / FOLDER / str(step) for step in checkpoint_steps(path)]
    if not folders:
        found = "holds no checkpoint" if path.is_dir() else "does not exist"
        raise HiersegFileNotFoundError(
            f"{path} {found}; give the workdir of a training run or a checkpoint's folder."
        )
    if which == "last":
        return folders[::-1]
    metas = _metas(folders)
    if which == "best":
        scores = {f: m["score"] for f, m in metas.items() if m["score"] is not None}
        if not scores:
            raise HiersegError(f"No checkpoint in {path} has been evaluated yet; try --which=last.")
        return sorted(scores, key=scores.__getitem__)
    epochs = {str(meta["epoch"]): folder for folder, meta in metas.items() if meta.get("epoch")}
    if which not in epochs:
        raise HiersegError(
            f"{path} has no checkpoint {which!r}; there are best, last and the epochs "
            f"{', '.join(epochs)}."
        )
    return [epochs[which]]


def _metas(folders: list[Path]) -> dict[Path, dict[str, Any]]:
    """Of those checkpoints whose `meta` can be read."""
    metas: dict[Path, dict[str, Any]] = {}
    damages: list[DamagedCheckpointError] = []
    for folder in folders:
        try:
            metas[folder] = read_meta(folder)
        except DamagedCheckpointError as damage:
            damages.append(damage)
    if not metas:
        raise damages[-1]
    for damage in damages:
        _warn(f"{damage} Its place among the best is not known.")
    return metas


def _free_name(folder: Path) -> Path:
    for number in range(1000):
        aside = folder.with_name(f"{folder.name}.damaged{number or ''}")
        if not aside.exists():
            return aside
    raise HiersegOSError(
        f"{folder} can't be set aside: there are a thousand damaged ones beside it."
    )


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr, flush=True)
