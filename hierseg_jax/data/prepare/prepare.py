"""From a raw download to the folders and the data.yaml that training reads.

Everything is checked before anything is written. Then files arrive one by one under
their final names, data.yaml last: wherever the work is cut off, it can be run again.
"""

import concurrent.futures
import dataclasses
import filecmp
import functools
import io
import os
import pathlib
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from hierseg_jax.data.label_statistics import count_labels, summarize_split
from hierseg_jax.data.prepare.pascal_part import merge_table, read_person_parts
from hierseg_jax.data.prepare.raw import RawExample, list_examples
from hierseg_jax.data.read.image_files import check_size, read_image, read_mask
from hierseg_jax.data.read.mask_values import MaskValues, Named
from hierseg_jax.data.read.spec import SPLITS, DatasetSpec, load_spec, write_spec
from hierseg_jax.system.atomic_writing import bring, json_bytes, write_atomically
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import local_path
from hierseg_jax.system.wording import listed
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy

LISTED_FAULTS = 20


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A data set that is ready.

    Attributes:
      spec: as `spec.file` has it.
      summary: as summary.json has it: `splits`, by split what `summarize_split` gives,
        and `skipped`, the number of images without an annotated person.
      written: files copied or moved now.
      kept: files that were there already.
    """

    spec: DatasetSpec
    summary: dict[str, Any]
    written: int
    kept: int


@dataclasses.dataclass(frozen=True)
class _Example:
    """A raw example, where it goes, and what checking it showed."""

    raw: RawExample
    image: pathlib.Path
    mask: pathlib.Path
    faults: tuple[str, ...] = ()
    skipped: bool = False
    size: tuple[int, int] = (0, 0)
    counts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(256, np.int64))
    merged: bytes | None = None  # .npy made of an annotation, compressed


def prepare(
    raw_dir: str | pathlib.Path,
    out_dir: str | pathlib.Path,
    *,
    move: bool = False,
    hierarchy: Hierarchy = PASCAL_PERSON_PART,
    labels: Named = (),
) -> Prepared:
    """Copies (or moves) a raw data set into `<out_dir>/<split>/{images,masks}`.

    Writes summary.json and, last of all, data.yaml. Files that are there already with
    the same content are kept; a file with another content is never overwritten.

    Args:
      raw_dir: the raw layout, see `raw`.
      out_dir: made where it does not exist.
      move: images and masks are moved. PASCAL-Part annotations stay where they are.
      hierarchy: the class tree of the masks.
      labels: names of their values, as in `DatasetSpec`.

    Raises:
      ValueError, FileNotFoundError: before anything is written; a sentence, or one and a
        list where there are several faults.
      OSError: from the file system while writing (a full disk); run it again.
    """
    raw_dir = local_path(raw_dir)
    out_dir = pathlib.Path(os.path.abspath(local_path(out_dir)))
    _check_folders(raw_dir, out_dir)
    spec = DatasetSpec(out_dir / "data.yaml", out_dir, (), hierarchy, labels)
    splits, examples = _check_all(raw_dir, out_dir, move, spec)
    kept = [example for example in examples if not example.skipped]
    image_dirs = tuple((split, out_dir / split / "images") for split in splits)
    spec = dataclasses.replace(spec, image_dirs=image_dirs)
    summary = {"splits": _statistics(kept, splits, hierarchy), "skipped": len(examples) - len(kept)}
    summary_file, summary_data = out_dir / "summary.json", json_bytes(summary)
    _refuse(
        _differing_spec(spec) + [_taken(summary_file)] * (not _is_same(summary_file, summary_data)),
        raw_dir,
    )
    written = _transfer(kept, move)
    write_atomically(summary_file, summary_data)
    if not spec.file.exists():
        write_spec(spec)
    return Prepared(spec, summary, written, 2 * len(kept) - written)


def _check_all(
    raw_dir: pathlib.Path, out_dir: pathlib.Path, move: bool, spec: DatasetSpec
) -> tuple[list[str], list[_Example]]:
    """Splits and examples; raises one ValueError of all faults."""
    raw_examples, faults = list_examples(raw_dir)
    from_parts = any(raw.annotation.suffix == ".mat" for raw in raw_examples)
    if from_parts and spec.labels:
        raise HiersegError(
            f"{raw_dir} holds annotations of PASCAL-Part, which are merged by the names of classes;"
            " `labels` are for masks: take them out of the --hierarchy file."
        )
    class_of = merge_table(spec.hierarchy) if from_parts else {}
    check = functools.partial(
        _check, out_dir=out_dir, move=move, values=spec.values, class_of=class_of
    )
    with concurrent.futures.ThreadPoolExecutor(available_cores()) as pool:
        examples = list(pool.map(check, raw_examples))
    faults += [fault for example in examples for fault in example.faults]
    kept = [example for example in examples if not example.skipped]
    if not faults:
        faults += _empty_splits(raw_examples, kept)
    splits = [split for split in SPLITS if any(raw.split == split for raw in raw_examples)]
    _refuse(faults + _strangers(out_dir, splits, kept), raw_dir)
    return splits, examples


def _check_folders(raw_dir: pathlib.Path, out_dir: pathlib.Path) -> None:
    raw, out = raw_dir.resolve(), out_dir.resolve()
    if raw.is_relative_to(out) or out.is_relative_to(raw):
        raise HiersegError(
            f"The raw data {raw_dir} and the output {out_dir} lie one in the other; give an "
            "--out_dir elsewhere."
        )
    if out_dir.exists() and not out_dir.is_dir():
        raise HiersegError(f"{out_dir} is a file; --out_dir is the folder to be made.")


def _check(
    raw: RawExample,
    out_dir: pathlib.Path,
    move: bool,
    values: MaskValues,
    class_of: dict[str, int],
) -> _Example:
    """Reads and decodes both files once; compares with what has arrived already."""
    folder = out_dir / raw.split
    example = _Example(
        raw, folder / "images" / raw.image.name, folder / "masks" / f"{raw.name}.npy"
    )
    faults: list[str] = []
    mask = image = label = merged = None
    mask_file = raw.annotation
    try:
        if class_of:
            mask = read_person_parts(mask_file, class_of)
            if mask is None:
                return dataclasses.replace(example, skipped=True)
            merged = _npy(mask)
        else:
            mask_file = _arrived(raw.annotation, example.mask, move)
            mask = read_mask(mask_file)
    except (HiersegError, OSError) as error:
        faults.append(_sentence(error, mask_file, raw))
    image_file = _arrived(raw.image, example.image, move)
    try:
        image = read_image(image_file)
        if mask is not None:
            check_size(mask, mask_file, image, image_file)
            label = values.labels(mask, mask_file)
    except (HiersegError, OSError) as error:
        faults.append(_sentence(error, image_file, raw))
    if label is None:
        return dataclasses.replace(example, faults=tuple(faults))
    pairs = ((example.image, raw.image), (example.mask, merged or raw.annotation))
    faults += [_taken(target) for target, wanted in pairs if not _is_same(target, wanted)]
    return dataclasses.replace(
        example,
        faults=tuple(faults),
        size=label.shape,
        counts=count_labels(label),
        merged=None if merged is None else zlib.compress(merged, 1),
    )


def _arrived(source: pathlib.Path, target: pathlib.Path, move: bool) -> pathlib.Path:
    """Where the file is: a run with --move that was cut off has taken it away already."""
    return target if move and not source.exists() and target.exists() else source


def _is_same(target: pathlib.Path, wanted: pathlib.Path | bytes) -> bool:
    """Whether `target` is free, or holds what would be written there."""
    if not os.path.lexists(target):
        return True
    if not target.is_file():
        return False
    if isinstance(wanted, bytes):
        return target.read_bytes() == wanted
    return not wanted.exists() or filecmp.cmp(wanted, target, shallow=False)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _sentence(error: HiersegError | OSError, file: pathlib.Path, raw: RawExample) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{file} is missing, though {raw.split}_id.txt names {raw.name}."
    return str(error) if isinstance(error, HiersegError) else f"{file}: {error.strerror}."


def _taken(file: pathlib.Path) -> str:
    return f"{file} is there already with another content; move it away, or use another --out_dir."


def _empty_splits(raw_examples: list[RawExample], kept: list[_Example]) -> list[str]:
    left = {example.raw.split for example in kept}
    return [
        f"{split}_id.txt names no image with an annotated person; a split must not be empty."
        for split in dict.fromkeys(raw.split for raw in raw_examples)
        if split not in left
    ]


def _strangers(out_dir: pathlib.Path, splits: list[str], kept: list[_Example]) -> list[str]:
    """Visible files in the folders to be filled that no id stands for."""
    faults = []
    expected = {path for example in kept for path in (example.image, example.mask)}
    for split in splits:
        for folder in (out_dir / split / "images", out_dir / split / "masks"):
            blocking = [path for path in (folder.parent, folder) if path.is_file()]
            faults += [f"{path} is a file; a folder must go there." for path in blocking]
            if not folder.is_dir():
                continue
            strange = sorted(
                path.name
                for path in folder.iterdir()
                if path not in expected and not path.name.startswith(".")
            )
            if strange:
                faults.append(
                    f"{folder} holds {len(strange)} files that {split}_id.txt does not stand for "
                    f"({listed(strange, 3)}); move them away, or use another --out_dir."
                )
    return faults


def _differing_spec(spec: DatasetSpec) -> list[str]:
    try:
        return [] if load_spec(spec.file) == spec else [_taken(spec.file)]
    except FileNotFoundError:
        return []
    except HiersegError:
        return [_taken(spec.file)]


def _refuse(faults: list[str], raw_dir: pathlib.Path) -> None:
    if len(faults) == 1:
        raise HiersegError(f"{faults[0]} Nothing was written.")
    if faults:
        more = len(faults) - LISTED_FAULTS
        lines = [*faults[:LISTED_FAULTS], *([f"and {more} more"] if more > 0 else [])]
        raise HiersegError(
            f"{raw_dir} has {len(faults)} faults, and nothing was written:\n- " + "\n- ".join(lines)
        )


def _statistics(
    kept: list[_Example], splits: Iterable[str], hierarchy: Hierarchy
) -> dict[str, dict[str, Any]]:
    by_split = {s: [e for e in kept if e.raw.split == s] for s in splits}
    return {
        split: summarize_split([e.size for e in of], [e.counts for e in of], hierarchy)
        for split, of in by_split.items()
    }


def _transfer(examples: list[_Example], move: bool) -> int:
    """Brings what is not there yet; returns the number of files."""
    for folder in {path.parent for e in examples for path in (e.image, e.mask)}:
        folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for example in examples:
        written += bring(example.raw.image, example.image, move)
        if example.merged is None:
            written += bring(example.raw.annotation, example.mask, move)
        elif not example.mask.exists():
            write_atomically(example.mask, zlib.decompress(example.merged))
            written += 1
    return written
