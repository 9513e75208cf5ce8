"""Writes the page with its network into a folder, of which nothing else is touched."""

import hashlib
import json
from pathlib import Path
from typing import Any

from hierseg_jax.runtime.segmenter import Segmenter
from hierseg_jax.runtime.web.engine import Engine
from hierseg_jax.system.atomic_writing import json_bytes, make_folder, write_atomically
from hierseg_jax.system.errors import HiersegError, HiersegFileExistsError

PAGE = Path(__file__).parent / "page"
RECORD = "site.json"
"""In every site: the runtime that the page loads, and the digests of all files written."""


def model_json(segmenter: Segmenter, data: bytes) -> dict[str, Any]:
    """What the page reads of its network: MODEL.json as an export writes it, without tensors.

    Args:
      segmenter: of the file.
      data: the file.

    Raises:
      HiersegError: for a file without metadata.
    """
    if segmenter.metadata is None:
        raise HiersegError(
            "The file has no metadata, which tell the page how pictures come and go; give one "
            "that hierseg export has written."
        )
    content = {
        **segmenter.metadata.to_json(),
        "file": {"name": "model.onnx", "sha256": hashlib.sha256(data).hexdigest()},
        "image_size": list(segmenter.image_size),
        "open": segmenter.open,
        "plain": segmenter.plain,
    }
    # NaN is no JSON: browsers refuse the whole file for it.
    return json.loads(json.dumps(content), parse_constant=lambda _: None)


def site_files(segmenter: Segmenter, data: bytes, engine: Engine) -> dict[str, bytes]:
    """All files of a site but its record, by their paths in it."""
    files = {file.name: file.read_bytes() for file in sorted(PAGE.iterdir()) if file.is_file()}
    files["model.onnx"] = data
    files["model.json"] = json_bytes(model_json(segmenter, data))
    return files | {f"{engine.base}{name}": content for name, content in engine.files.items()}


def write_site(folder: Path, files: dict[str, bytes], engine: Engine) -> None:
    """Writes a site, in place of an earlier one.

    Args:
      folder: new, empty, or with a site that was written here. Other files in it stay.
      files: of `site_files`.
      engine: that the page loads.

    Raises:
      HiersegError: where a file would be replaced that is not as an earlier site had it.
    """
    written = _written_before(folder)
    _check(folder, files, written)
    make_folder(folder)
    digests = {name: _digest(data) for name, data in files.items()}
    # Should this be cut off, files are the earlier site's or this one's, and both may be replaced.
    either = {name: [*written.get(name, []), digest] for name, digest in digests.items()}
    _write_record(folder, engine, written | either)
    for name, data in files.items():
        make_folder((folder / name).parent)
        write_atomically(folder / name, data)
    for name in written.keys() - files.keys():
        if _is_ours(folder / name, written[name]):
            (folder / name).unlink()
    _write_record(folder, engine, {name: [digest] for name, digest in digests.items()})


def _write_record(folder: Path, engine: Engine, digests: dict[str, list[str]]) -> None:
    write_atomically(
        folder / RECORD, json_bytes({"runtime": engine.told, "sha256_of_files": digests})
    )


def _written_before(folder: Path) -> dict[str, list[str]]:
    """Digests that files of an earlier site may have; empty for a new or empty folder."""
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise HiersegFileExistsError(f"{folder} is a file; --output is a folder.")
    try:
        found = json.loads((folder / RECORD).read_bytes())["sha256_of_files"]
    except FileNotFoundError:
        if any(folder.iterdir()):
            raise HiersegFileExistsError(
                f"{folder} holds files, and no {RECORD} of an earlier site; choose a new or empty "
                "folder for --output."
            ) from None
        return {}
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, list) for each in found.values()):
        raise HiersegFileExistsError(
            f"{folder / RECORD} is not the record of an earlier site; choose another --output."
        )
    # A name that leaves the folder can't have been written here.
    inside = {name for name in found if (folder / name).resolve().is_relative_to(folder.resolve())}
    return {name: found[name] for name in inside}


def _check(folder: Path, files: dict[str, bytes], written: dict[str, list[str]]) -> None:
    for name in files:
        file = folder / name
        if file.exists() and not _is_ours(file, written.get(name, [])):
            raise HiersegFileExistsError(
                f"{file} was not written by an earlier call, or has been changed since; move it "
                "away, or choose another --output."
            )


def _is_ours(file: Path, digests: list[str]) -> bool:
    return file.is_file() and _digest(file.read_bytes()) in digests


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
