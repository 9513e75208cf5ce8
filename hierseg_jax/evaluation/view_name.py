"""The folder of an evaluation, named after what differs from the usual one."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from hierseg_jax.data.read.members import parse_members
from hierseg_jax.data.sizes import as_size
from hierseg_jax.settings import Settings

BEST = "best"
BATCH_SIZE = 16
"""Of an evaluation that is not told another; the loss and the reference's mIoU depend on it."""
# File systems take 255; a partial file's name is longer than its own.
_LONGEST = 200


def evaluation_name(description: Mapping[str, Any], settings: Settings, which: str = BEST) -> str:
    """As `val`, or `val_last_flip_scales0.75,1`: two views never share a name.

    Letters, digits and `.,_-` alone; `_` only between the parts.

    Args:
      description: of the evaluation, from `evaluate_checkpoint`.
      settings: of the checkpoint, whose data, size, decoding and metrics are the usual ones.
      which: checkpoint of a run was asked for: `best`, `last`, or the number of an epoch.
    """
    parts = [description["task"]]
    if which != BEST:
        parts.append(f"epoch{which}" if which.isdecimal() else which)
    data = _location(description["data"])
    if data != _location(settings.data.named):
        parts.append(f"data-{_short(data)}-{_digest(data)}")
    height, width = size = as_size(description["image_size"])
    if size != settings.data.size:
        parts.append(f"size{height}x{width}")
    if description.get("tiles"):
        parts.append("tiles")
    elif description["resolution"] != "network":
        parts.append(description["resolution"])
    if description["flip"]:
        parts.append("flip")
    if description["scales"] != [1]:
        parts.append(f"scales{','.join(map(_number, description['scales']))}")
    if description["decode"] != settings.decoding:
        parts.append(f"decode-{description['decode'].replace('_', '-')}")
    if tuple(description["metrics"]) != settings.metric_names:
        parts.append(f"metrics-{','.join(description['metrics']).replace('_', '-')}")
    if description["batch_size"] != BATCH_SIZE:
        parts.append(f"batch{description['batch_size']}")
    name = "_".join(parts)
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}_more-{_digest(name)}"


def _location(spec: str) -> str:
    """The same for the same data sets, however their paths were written."""
    members = parse_members(spec) if spec else ()
    return " + ".join(member.location for member in members)


def _short(location: str) -> str:
    """Something of it that a reader knows again: most are `NAME/data.yaml`."""
    path = PurePath(location)
    return re.sub("[^A-Za-z0-9.]+", "-", f"{path.parent.name}-{path.stem}").strip("-")[:40]


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:10]


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
