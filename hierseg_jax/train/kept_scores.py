"""A teacher's scores of whole pictures, computed once and kept in the cache folder."""

import contextlib
import io
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from hierseg_jax.checkpoint.digest import json_digest
from hierseg_jax.data.pipeline import picture_batches
from hierseg_jax.data.read.inventory import Inventory
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.taught import CELL, PICTURES, SCORES, KeptScores
from hierseg_jax.evaluation.eval_step import DeviceBatch, scale_image
from hierseg_jax.losses.distillation import in_cells
from hierseg_jax.system.atomic_writing import make_folder, write_atomically
from hierseg_jax.system.cache_folder import cache_folder
from hierseg_jax.system.devices.hosts import say
from hierseg_jax.system.devices.parallel import Parallel
from hierseg_jax.system.errors import HiersegError, HiersegOSError
from hierseg_jax.system.locks import NoLocksError, hold
from hierseg_jax.system.stop import StopSignals
from hierseg_jax.system.wording import counted
from hierseg_jax.train.teacher import Teacher
from hierseg_jax.tree.hierarchy import Hierarchy

FOLDER = "teacher_scores"
# Scores that are on a device at a time, and pictures at most.
_MOST_SCORES, _MOST_PICTURES = 1 << 25, 16
# Stands for a picture that the teacher has not seen yet.
_NOT_YET = -1


def place_of_scores(
    teacher: Teacher, hierarchy: Hierarchy, hierarchical: bool, inventory: Inventory
) -> KeptScores:
    """Where a teacher's scores are kept, or will be: another folder for all that changes them.

    Args:
      teacher: whose they are.
      hierarchy: of the run, in whose order of classes they are kept.
      hierarchical: whether of all its nodes.
      inventory: of the pictures.
    """
    described = {
        "teacher": teacher.digest,
        "pictures": inventory.fingerprint,
        "size": teacher.size,
        "resize": [teacher.resize.rule, teacher.resize.sampling],
        "scales": teacher.view.scales,
        "flip": [teacher.view.flip, hierarchy.pairs],
        "levels": [level.class_names for level in hierarchy.levels] if hierarchical else [],
        "classes": hierarchy.class_names,
        "cell": CELL,
    }
    try:
        folder = cache_folder() / FOLDER / json_digest(described)[:32]
    except OSError as error:
        raise HiersegOSError(f"The teacher's scores can't be kept: {error}.") from error
    return KeptScores(folder, teacher.size, teacher.resize)


def compute_scores(
    teacher: Teacher,
    kept: KeptScores,
    source: Source,
    channels: int,
    parallel: Parallel,
    worker_count: int,
    stop: StopSignals,
) -> None:
    """Lets a teacher look at every picture, unless it has; what was cut off goes on.

    Args:
      teacher: that looks.
      kept: from `place_of_scores`.
      source: the pictures.
      channels: of the scores.
      parallel: of whose devices those of this process compute.
      worker_count: processes that read.
      stop: a signal ends the program; the pictures that were done stay done.

    Raises:
      OSError: a sentence, where they can't be written.
    """
    folder = kept.folder
    make_folder(folder.parent)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        # Processes of one run share a cache, and one of them computes.
        with hold(folder.with_name(f".{folder.name}.lock"), wait=True):
            if folder.is_dir():
                say(f"The scores of {teacher.loaded.path} are kept in {folder}.")
                return
            shape = (len(source), *(side // CELL for side in kept.size), channels)
            files = _open_partial(partial, shape)
            left = int((files[1] == _NOT_YET).sum())
            say(
                f"{teacher.loaded.path} looks at {counted(left, 'picture')}; its scores "
                f"({files[0].nbytes / 1e6:,.1f} MB) will be kept in {folder}."
            )
            if left:
                own = parallel.own
                count = max(1, _MOST_SCORES // math.prod(kept.size) // channels)
                batches = picture_batches(
                    source,
                    size=kept.size,
                    resize=kept.resize,
                    batch_size=min(count, _MOST_PICTURES) * len(own.local),
                    first=len(source) - left,
                    worker_count=worker_count,
                )
                with contextlib.closing(batches):
                    _fill(*files, _looked_at(teacher, own, batches), stop)
            os.replace(partial, folder)
    except OSError as error:
        if isinstance(error, HiersegError) and not isinstance(error, NoLocksError):
            raise  # of a picture that can't be read
        raise HiersegOSError(
            f"The teacher's scores can't be kept in {folder}: {error.strerror or error}. "
            "$HIERSEG_JAX_CACHE names another folder; teacher_options.scores=each_step keeps none."
        ) from error


def _fill(
    scores_nhwk: np.memmap[Any, Any],
    codes_n: np.memmap[Any, Any],
    found: Iterable[tuple[np.ndarray, Any]],
    stop: StopSignals,
) -> None:
    """Writes what was found of batch after batch, behind what is there."""
    done = int((codes_n != _NOT_YET).sum())
    with tqdm(
        total=len(codes_n), initial=done, desc="teacher", unit="img", leave=False, disable=None
    ) as bar:
        for scores_bhwk, batch in found:
            valid_b = batch["valid"]
            now = slice(done, done + int(valid_b.sum()))
            scores_nhwk[now] = scores_bhwk[valid_b]
            scores_nhwk.flush()  # before the codes, which say that they are there
            codes_n[now] = batch["code"][valid_b]
            codes_n.flush()
            done = now.stop
            bar.update(now.stop - now.start)
            if stop.received:
                stop.end(f"the teacher has looked at {counted(done, 'picture')}")


def _looked_at(
    teacher: Teacher, own: Parallel, batches: Iterable[Any]
) -> Iterator[tuple[np.ndarray, Any]]:
    """Batches with what a teacher says of them: float16 [B, h, w, K]."""
    step = own.compile_eval_step(_make_step(teacher))
    variables = own.put_state(teacher.loaded.variables)
    for batch in batches:
        given = own.put_batch({"image": batch["image"]})
        yield jax.device_get(step(variables, given)["scores"]), batch


def _make_step(teacher: Teacher) -> Any:
    """(variables, {"image": uint8 [B, h, w, 3]}) -> {"loss": None, "scores": float16 [B, ...]}."""
    hierarchical = teacher.loaded.settings.model.hierarchical

    def step(variables: Any, batch: DeviceBatch) -> dict[str, Any]:
        logits_bhwk = in_cells(teacher.forward(variables, scale_image(batch["image"])), CELL)
        if not hierarchical:
            logits_bhwk = jax.nn.log_softmax(logits_bhwk)
        return {"loss": None, "scores": logits_bhwk.astype(jnp.float16)}

    return step


def _open_partial(
    partial: Path, shape: tuple[int, ...]
) -> tuple[np.memmap[Any, Any], np.memmap[Any, Any]]:
    """Files of scores and codes to be filled, or to be filled up."""
    files = partial / SCORES, partial / PICTURES
    if not all(file.is_file() for file in files):
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        needed, free = 2 * math.prod(shape), shutil.disk_usage(partial).free
        if needed > free:
            raise OSError(f"they take {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free")
        np.lib.format.open_memmap(files[0], "w+", np.float16, shape)
        empty = io.BytesIO()
        np.save(empty, np.full(shape[0], _NOT_YET, np.int64))
        write_atomically(files[1], empty.getvalue())  # last: where it is, both are whole
    scores_nhwk, codes_n = (np.load(file, mmap_mode="r+") for file in files)
    return scores_nhwk, codes_n
