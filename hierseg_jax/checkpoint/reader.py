"""Reads checkpoints, and checks them against their hashes."""

import contextlib
import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from hierseg_jax.checkpoint.arrays import check_arrays
from hierseg_jax.checkpoint.contents import completed_meta
from hierseg_jax.checkpoint.digest import json_digest, tree_digest
from hierseg_jax.checkpoint.folders import at_hand
from hierseg_jax.checkpoint.seal import DamagedCheckpointError, check_seal
from hierseg_jax.models import SegmentationModel
from hierseg_jax.settings import Settings
from hierseg_jax.settings.building import build_model
from hierseg_jax.settings.data_in_sight import data_in_sight
from hierseg_jax.system.wording import one_line
from hierseg_jax.tree.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """One checkpoint as read.

    Attributes:
      path: its folder.
      variables: {"params": ..., "batch_stats": ...}, NumPy arrays.
      training: the rest of the training state, if it was asked for.
      meta: plain JSON.
      settings: of its run.
      hierarchy: of its classes.
    """

    path: Path
    variables: dict[str, Any] = dataclasses.field(repr=False)
    training: Any = dataclasses.field(repr=False)
    meta: dict[str, Any] = dataclasses.field(repr=False)
    settings: Settings = dataclasses.field(repr=False)
    hierarchy: Hierarchy = dataclasses.field(repr=False)

    @property
    def model(self) -> SegmentationModel:
        """The network that `variables` are of: `run.model.apply(run.variables, image_bhwc)`."""
        return build_model(self.settings.model, self.hierarchy)

    @property
    def row(self) -> dict[str, Any] | None:
        """Of its run's history, that of the epoch that it ends; None where it ends none."""
        rows = (self.meta.get("progress") or {}).get("rows", ())
        return next((row for row in rows if row["epoch"] == self.meta["epoch"]), None)


def read_meta(folder: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint.

    Raises:
      DamagedCheckpointError: if it can't be read, or is not as it was written.
    """
    return read_contents(folder)[0]


def read_contents(folder: Path) -> tuple[dict[str, Any], Settings, Hierarchy]:
    """`read_meta`, and the settings and the classes' tree that are read from it."""
    with _named_at_hand(folder, ["meta"]) as near:
        check_seal(near, ["meta"])
        restored = _restore(near, {"meta": ocp.args.JsonRestore()})
    return _checked_meta(restored["meta"], folder)


def load_checkpoint(folder: Path, training_like: Any = None) -> Checkpoint:
    """Reads a checkpoint and checks it against its hashes.

    Its settings name data where they are in sight (see `data_in_sight`); `meta` is as written.

    Args:
      training_like: a tree of arrays like the one saved as `training`; without it only
        the variables are given back.

    Raises:
      DamagedCheckpointError: if it can't be read, or is not as it was written.
      ValueError: if what was saved as `training` is not like that.
    """
    items: dict[str, Any] = {
        "meta": ocp.args.JsonRestore(),
        "variables": ocp.args.StandardRestore(),
    }
    if training_like is not None:
        items["training"] = ocp.args.StandardRestore(training_like)
    with _named_at_hand(folder, items) as near:
        check_seal(near, items)
        if training_like is not None:
            stored = _stored_training(near)
            check_arrays(folder, "this run's training state", stored, training_like)
        restored = _restore(near, items)
    meta, settings, hierarchy = _checked_meta(restored.pop("meta"), folder)
    arrays = jax.tree.map(np.asarray, restored)
    for item, tree in arrays.items():
        if tree_digest(tree) != meta["sha256"].get(item):
            raise _changed(folder, item)
    return Checkpoint(
        folder,
        arrays["variables"],
        arrays.get("training"),
        meta,
        data_in_sight(settings, folder),
        hierarchy,
    )


def alone() -> ocp.options.MultiprocessingOptions:
    """orbax is not to wait for other processes."""
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process{index}"
    )


@contextlib.contextmanager
def _named_at_hand(folder: Path, items: Collection[str]) -> Iterator[Path]:
    """As `at_hand`, but what is said of the copy is said of the checkpoint."""
    try:
        with at_hand(folder, items) as near:
            yield near
    except DamagedCheckpointError as damage:
        raise DamagedCheckpointError(folder, damage.what) from damage


def _checked_meta(meta: Any, folder: Path) -> tuple[dict[str, Any], Settings, Hierarchy]:
    try:
        digests = meta["sha256"]
        rest = {key: value for key, value in meta.items() if key != "sha256"}
        intact = digests["meta"] == json_digest(rest)
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        intact = False
    if not intact:
        raise _changed(folder, "meta")
    try:
        return completed_meta(meta)
    except ValueError as error:
        reason = one_line(error, 300)
        raise DamagedCheckpointError(folder, f"in its meta {reason}") from error


def _changed(folder: Path, item: str) -> DamagedCheckpointError:
    what = f"its item {item} does not have the hash it was written with"
    return DamagedCheckpointError(folder, what)


def _unreadable(folder: Path, failure: Exception) -> DamagedCheckpointError:
    lines = str(failure).strip().splitlines() or [type(failure).__name__]
    return DamagedCheckpointError(folder, f"it can't be read ({lines[0]})")


def _stored_training(folder: Path) -> Any:
    """What orbax has noted of the arrays of `training`: a tree of shapes and dtypes."""
    try:
        return ocp.StandardCheckpointHandler().metadata(folder.absolute() / "training").tree
    except Exception as failure:
        # As in `_restore`; of a crafted file it may be any.
        raise _unreadable(folder, failure) from failure


def _restore(folder: Path, items: dict[str, Any]) -> dict[str, Any]:
    handler = ocp.CompositeCheckpointHandler()
    with ocp.Checkpointer(handler, multiprocessing_options=alone()) as checkpointer:
        try:
            restored = checkpointer.restore(folder.absolute(), ocp.args.Composite(**items))
            return dict(restored.items())
        except Exception as failure:
            # orbax raises many kinds, bare `Exception` among them, for a cut file.
            raise _unreadable(folder, failure) from failure
