"""A run's data where its settings name them by paths that are relative to another folder.

Most runs lie below the folder in which they were begun, as `runs/mine` does beside `data.yaml`:
what a relative path does not lead to from here, it may lead to from a folder above the run.
"""

import os
from pathlib import Path

from hierseg_jax.data.read.members import Kind, Member, Spec, parse_members, spec_text
from hierseg_jax.settings.settings import Settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import in_bucket, is_url

_PATHS = ("hierarchy", "negatives", "unlabelled")
"""Keys of `data` that name files or folders, beside `spec`."""


def data_in_sight(settings: Settings, folder: Path) -> Settings:
    """With those relative paths of data that lead nowhere from here as `folder` has them in sight.

    Args:
      settings: of a run or a checkpoint.
      folder: of it. The first above it from which there is something is taken.
    """
    if in_bucket(folder):
        return settings
    above = (folder, *Path(os.path.abspath(folder)).parents)
    data = settings.data
    paths = {f"data.{key}": _found(getattr(data, key), above) for key in _PATHS}
    return settings.replace({**paths, "data.spec": _spec_in_sight(data.spec, above)})


def with_paths_of(settings: Settings, begun: Settings, folder: Path) -> Settings:
    """With the paths of data that a run was begun with, where they lead to those of now.

    So a run's files go on telling relative paths, and the run may move with its data.
    """
    in_sight, data = data_in_sight(begun, folder).data, settings.data
    same = [key for key in ("spec", *_PATHS) if getattr(in_sight, key) == getattr(data, key)]
    return settings.replace({f"data.{key}": getattr(begun.data, key) for key in same})


def _spec_in_sight(spec: Spec, above: tuple[Path, ...]) -> Spec:
    try:
        members = parse_members(spec) if spec else ()
    except HiersegError:  # told where it is read
        return spec
    found = [
        Member(_found(member.name, above), member.weight) if member.kind is Kind.FILE else member
        for member in members
    ]
    if found == [*members]:
        return spec
    texts = [
        member.name if member.weight == 1 else f"{member.weight!r}*{member.name}"
        for member in found
    ]
    in_sight = texts[0] if len(texts) == 1 else tuple(texts)
    try:  # folders may have plus signs in their names
        same = all(list(parse_members(spec)) == found for spec in (in_sight, spec_text(in_sight)))
    except HiersegError:
        same = False
    return in_sight if same else spec


def _found(path: str, above: tuple[Path, ...]) -> str:
    if not path or is_url(path) or os.path.isabs(path) or os.path.exists(path):
        return path
    places = (os.path.normpath(folder / path) for folder in above)
    return next((place for place in places if os.path.exists(place)), path)
