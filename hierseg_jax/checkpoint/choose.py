"""Which checkpoint of a run is meant; a damaged one makes room for the next best.

The run may be at work, and take away what is about to be read: then the choice is made anew.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hierseg_jax.checkpoint.folders import is_there, move, remove
from hierseg_jax.checkpoint.reader import Checkpoint, load_checkpoint, read_meta
from hierseg_jax.checkpoint.seal import DamagedCheckpointError, check_seal, lacks_files
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError, HiersegOSError, warn
from hierseg_jax.system.paths import as_path, in_bucket, scan

FOLDER = "checkpoints"
HISTORY = "history.json"
_CHOICES = 20
# Looks at what is being removed, and the seconds between them, in which some file of it goes.
_LOOKS, _BETWEEN = 30, 1.0
_T = TypeVar("_T")


class ReplacedError(HiersegError):
    """A run at work took a checkpoint away that was about to be read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The checkpoint {folder} was replaced by its run while it was read, as were others "
            "before it. Wait for the end of the run, or give it a larger keep_last."
        )


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
    with scan(folder) as entries:
        names = {entry.name.removesuffix(SUPERSEDED) for entry in entries if entry.is_dir()}
    steps = sorted(int(name) for name in names if name.isascii() and name.isdecimal())
    if in_bucket(folder):
        # Others are being written or removed.
        steps = [step for step in steps if is_there(checkpoint_folder(workdir, step))]
    return steps


def checkpoint_folder(workdir: Path, step: int) -> Path:
    """Where a run's checkpoint lies: beside the one that is about to take its place, if any."""
    folder = workdir / FOLDER / str(step)
    earlier = folder.with_name(f"{step}{SUPERSEDED}")
    return earlier if is_there(earlier) and not is_there(folder) else folder


def newest_meta(workdir: Path) -> dict[str, Any]:
    """The JSON of a run's newest checkpoint that can be read; empty where there is none."""
    for step in reversed(checkpoint_steps(workdir)):
        with contextlib.suppress(DamagedCheckpointError):  # named when the run is restored
            return read_meta(checkpoint_folder(workdir, step))
    return {}


def find_checkpoint(path: Path | str, which: str | int = "best") -> Path:
    """The folder of one checkpoint.

    Args:
      path: a run's workdir, or a checkpoint's folder, which is returned as it is.
      which: of a workdir: `best` (by the run's `best`), `last`, or the number of an
        epoch.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    return _again_if_replaced(lambda: _in_order(as_path(path), str(which))[0])


def open_checkpoint(
    path: Path | str,
    which: str | int = "best",
    load: Callable[[Path], Checkpoint] = load_checkpoint,
) -> Checkpoint:
    """Reads a checkpoint; of a workdir the best or the last one that is not damaged.

    Every damaged one that had to be passed over is named on stderr. One that its run has
    replaced meanwhile is not damaged: the best or the last of those that are there now is read.

    Args:
      path, which: as in `find_checkpoint`.
      load: reads one folder.

    Raises:
      FileNotFoundError, ValueError: one sentence; `DamagedCheckpointError` where the
        one that was meant is damaged and no other can stand for it.
    """
    return _again_if_replaced(lambda: _open(as_path(path), str(which), load))


def _open(path: Path, which: str, load: Callable[[Path], Checkpoint]) -> Checkpoint:
    damages: list[DamagedCheckpointError] = []
    for folder in _in_order(path, which):
        try:
            loaded = load(folder)
        except DamagedCheckpointError as damage:
            if _was_removed(folder):
                raise ReplacedError(folder) from damage
            damages.append(damage)
            continue
        for earlier in damages:
            warn(f"{earlier} Using {folder}.")
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
    for folder, fault in damaged.items():
        aside = _free_name(folder)
        move(folder, aside)
        warn(f"{fault} It is now {aside}.")
    return whole[-1] if whole else None


def settle_superseded(folder: Path) -> None:
    """Removes checkpoints whose successor is there; the others get their names back."""
    for earlier in folder.glob(f"*{SUPERSEDED}"):
        name = folder / earlier.name.removesuffix(SUPERSEDED)
        if is_there(name):
            remove(earlier)
        elif is_there(earlier):
            move(earlier, name)


def _in_order(path: Path, which: str) -> list[Path]:
    """The checkpoints that will do, the one that is meant first."""
    if path.name == FOLDER and path.is_dir():
        path = path.parent
    if is_checkpoint(path):
        return [path]
    if path.is_file():
        raise HiersegError(
            f"{path} is a file; give the workdir of a training run or a checkpoint's folder. "
            "(hierseg convert makes one of PyTorch weights.)"
        )
    folders = [checkpoint_folder(path, step) for step in checkpoint_steps(path)]
    if not folders:
        if path.parent.name == FOLDER and not path.exists():
            raise HiersegFileNotFoundError(
                f"There is no checkpoint {path} any more, or yet: a run keeps its keep_last newest "
                f"and keep_best best ones. Give its workdir, {path.parent.parent}."
            )
        found = "holds no checkpoint" if path.is_dir() else "does not exist"
        named = Path("runs", path.name)  # what `hierseg train --name` makes
        meant = f" Did you mean {named}?" if named != path and named.is_dir() else ""
        raise HiersegFileNotFoundError(
            f"{path} {found}; give the workdir of a training run or a checkpoint's folder.{meant}"
        )
    if which == "last":
        return folders[::-1]
    metas = _metas(folders)
    if which == "best":
        scores = {
            f: (m["score"], 0.0 if m["val_loss"] is None else m["val_loss"])
            for f, m in metas.items()
            if m["score"] is not None
        }
        if not scores:
            evaluated = any(meta["epoch"] is not None for meta in metas.values())
            why = "has a number for its best" if evaluated else "has been evaluated yet"
            raise HiersegError(f"No checkpoint in {path} {why}; try --which=last.")
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
            if not _was_removed(folder):
                damages.append(damage)
    if not metas:
        raise damages[-1] if damages else ReplacedError(folders[-1])
    for fault in damages:
        warn(f"{fault} Its place among the best is not known.")
    return metas


def _again_if_replaced(choose: Callable[[], _T]) -> _T:
    """Chooses anew, as often as a run can reasonably get in between."""
    for _ in range(_CHOICES - 1):
        try:
            return choose()
        except ReplacedError:
            continue
    return choose()


def _was_removed(folder: Path) -> bool:
    """Whether a checkpoint that can't be read has been taken away, or just is, file by file."""
    before = None
    for _ in range(_LOOKS if folder.parent.name == FOLDER else 0):
        if not is_there(folder) or not lacks_files(folder):
            break
        left = sum(1 for _ in folder.rglob("*"))
        if left == before:
            break
        before = left
        time.sleep(_BETWEEN)
    return not is_there(folder)


def _free_name(folder: Path) -> Path:
    for number in range(1000):
        aside = folder.with_name(f"{folder.name}.damaged{number or ''}")
        if not aside.exists():
            return aside
    raise HiersegOSError(
        f"{folder} can't be set aside: there are a thousand damaged ones beside it."
    )
