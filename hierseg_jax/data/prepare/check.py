"""Whether a raw data set can be brought to where it is to go: everything is read once."""

import concurrent.futures
import dataclasses
import filecmp
import functools
import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.prepare.id_lists import is_plain_id
from hierseg_jax.data.prepare.picture import Picture, Size
from hierseg_jax.data.prepare.scaled_masks import is_to_be_scaled, scaled
from hierseg_jax.data.read.folder import IMAGE_SUFFIXES
from hierseg_jax.data.read.image_files import check_size, decode_image, read_image
from hierseg_jax.data.read.mask_meaning import MaskMeaning
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.data.sampling import nearest
from hierseg_jax.system.bars import bar
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted, listed

LISTED_FAULTS = 20
_FILE = re.compile(r"((?:(?!: ).)+?\.\w{2,5}) (.+)", re.DOTALL)
"""A sentence that begins with a file."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture, where it goes, and what checking it showed."""

    picture: Picture
    image: pathlib.Path
    mask: pathlib.Path
    faults: tuple[str, ...] = ()
    skipped: bool = False
    size: Size = (0, 0)
    counts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(256, np.uint32))


def check_pictures(
    pictures: Sequence[Picture], out_dir: pathlib.Path, move: bool, spec: DatasetSpec
) -> list[Example]:
    """Reads and decodes, or draws, all files once; compares with what has arrived already."""
    empty = _is_background(spec)
    check = functools.partial(_check, out_dir=out_dir, move=move, values=spec.values, empty=empty)
    with concurrent.futures.ThreadPoolExecutor(available_cores()) as pool:
        return list(bar(pool.map(check, pictures), "reading", len(pictures)))


def _is_background(spec: DatasetSpec) -> bool:
    """Whether 0 in a mask is the background."""
    try:
        (label,) = spec.values.labels(np.zeros((1, 1), np.uint8), spec.file)[0].tolist()
    except HiersegError:  # it has no name
        return False
    return label == spec.hierarchy.background


def _check(
    picture: Picture, out_dir: pathlib.Path, move: bool, values: MaskMeaning, empty: bool
) -> Example:
    folder = out_dir / picture.split
    example = Example(
        picture,
        folder / "images" / (picture.name + picture.image.suffix),
        folder / "masks" / picture.mask_name,
    )
    faults: list[str] = []
    image = mask = counts = None
    image_file = _arrived(picture.image, example.image, move)
    mask_file = picture.mask if picture.draw else _arrived(picture.mask, example.mask, move)
    try:
        image = _read_image(picture, image_file)
        if picture.image.suffix.lower() not in IMAGE_SUFFIXES:
            raise HiersegError(
                f"{image_file} is no picture of a data set by its name; these are "
                f"{', '.join(IMAGE_SUFFIXES)}."
            )
    except (HiersegError, OSError) as error:
        faults.append(_sentence(error, image_file, picture))
    try:
        if picture.draw is None:
            mask = values.read(mask_file)
        elif image is not None:
            mask = picture.draw(image.shape[:2])
            if mask is None:
                return dataclasses.replace(example, skipped=True)
        if mask is not None and image is not None:
            if is_to_be_scaled(mask, image.shape[:2], empty):
                draw = picture.draw or (lambda _: values.read(mask_file))
                picture = scaled(picture, draw, mask)
                example = dataclasses.replace(
                    example, picture=picture, mask=example.mask.with_name(picture.mask_name)
                )
                mask = nearest(mask, image.shape[1::-1])
            check_size(mask, mask_file, image, image_file)
            counts = _count(mask, values, mask_file)
    except (HiersegError, OSError) as error:
        faults.insert(0, _sentence(error, mask_file, picture))
    if mask is None or counts is None:
        return dataclasses.replace(example, faults=tuple(faults))
    # What is in an annotation takes long to unpack.
    wanted = picture.unpack() if picture.unpack and example.image.is_file() else picture.image
    if not is_same(example.image, wanted):
        faults.append(taken(example.image))
    if not (
        _is_mask(example.mask, mask, values)
        if picture.draw
        else is_same(example.mask, picture.mask)
    ):
        faults.append(taken(example.mask))
    return dataclasses.replace(
        example, faults=tuple(faults), size=(mask.shape[0], mask.shape[1]), counts=counts
    )


def _count(mask_hw: np.ndarray, values: MaskMeaning, file: pathlib.Path) -> np.ndarray:
    """Pixels of every label: uint32 [256]. Of large masks only the few values get labels."""
    if mask_hw.dtype == np.uint8:
        of_value = count_labels(mask_hw)
        value_n = np.flatnonzero(of_value).astype(np.uint8)
        count_n = of_value[value_n]
    else:
        value_n, count_n = np.unique(mask_hw, return_counts=True)
    counts = np.zeros(256, np.uint32)
    np.add.at(counts, values.labels(value_n, file), count_n.astype(np.uint32))
    return counts


def _read_image(picture: Picture, file: pathlib.Path) -> np.ndarray:
    if picture.unpack is not None:
        return decode_image(picture.unpack(), pathlib.Path(f"{picture.mask}: its picture"))
    return read_image(file)


def _arrived(source: pathlib.Path, target: pathlib.Path, move: bool) -> pathlib.Path:
    """Where the file is: a run with --move that was cut off has taken it away already."""
    return target if move and not source.exists() and target.exists() else source


def is_same(target: pathlib.Path, wanted: pathlib.Path | bytes) -> bool:
    """Whether `target` is free, or holds what would be written there."""
    if not os.path.lexists(target):
        return True
    if not target.is_file():
        return False
    if isinstance(wanted, bytes):
        return target.read_bytes() == wanted
    return not wanted.exists() or filecmp.cmp(wanted, target, shallow=False)


def _is_mask(target: pathlib.Path, mask_hw: np.ndarray, values: MaskMeaning) -> bool:
    """Whether `target` is free, or holds these values; OpenCV's versions pack them otherwise."""
    if not os.path.lexists(target):
        return True
    try:
        return np.array_equal(values.read(target), mask_hw)
    except (HiersegError, OSError):
        return False


def _sentence(error: HiersegError | OSError, file: pathlib.Path, picture: Picture) -> str:
    if isinstance(error, HiersegError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return (
            f"{file} is missing, though {picture.listed_in} names it. Put it there, take it out of "
            "the list, or leave out all that is missing by --skip_missing."
        )
    return f"{file}: {error.strerror}."


def taken(file: pathlib.Path) -> str:
    """The sentence about a file of another content."""
    return f"{file} is there already with another content; move it away, or use another --out_dir."


def name_faults(pictures: Iterable[Picture]) -> list[str]:
    """Names that can't be those of files, or that two pictures of a split share."""
    faults: list[str] = []
    first: dict[tuple[str, str], Picture] = {}
    for picture in pictures:
        if not is_plain_id(picture.name):
            faults.append(
                f"{picture.listed_in} names a picture {picture.name[:100]!r}, which is no name for "
                "a file; rename it."
            )
        other = first.setdefault((picture.split, picture.name), picture)
        if other is not picture and other.image == picture.image:
            faults.append(
                f"{picture.listed_in} names {picture.image} twice; take one away, so that all of "
                "its annotations stand together."
            )
        elif other is not picture:
            faults.append(
                f"{picture.listed_in} names {picture.image}, which would be called "
                f"{picture.name} as {other.image} is; rename one of them."
            )
    return faults


def empty_splits(examples: Iterable[Example]) -> list[str]:
    """A sentence for every split of which all pictures are skipped."""
    left = Counter[str]()
    listed_in: dict[str, str] = {}
    for example in examples:
        left[example.picture.split] += not example.skipped
        listed_in.setdefault(example.picture.split, example.picture.listed_in)
    return [
        f"{listed_in[split]} names no image in which anything is annotated; a split must not be "
        "empty."
        for split, count in left.items()
        if not count
    ]


def strangers(out_dir: pathlib.Path, kept: Iterable[Example]) -> list[str]:
    """Visible files in the folders to be filled that no picture stands for."""
    faults = []
    expected: dict[pathlib.Path, set[str]] = {}
    listed_in: dict[pathlib.Path, str] = {}
    for example in kept:
        for path in (example.image, example.mask):
            expected.setdefault(path.parent, set()).add(path.name)
            where = example.picture.listed_in
            # labelme has a list of its own for every picture.
            if listed_in.setdefault(path.parent, where) != where:
                listed_in[path.parent] = "the raw data"
    for folder, names in expected.items():
        blocking = [path for path in (folder.parent, folder) if path.is_file()]
        faults += [f"{path} is a file; a folder must go there." for path in blocking]
        if not folder.is_dir():
            continue
        found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        strange = [name for name in found if name not in names]
        if strange:
            faults.append(
                f"{folder} holds {counted(len(strange), 'file')} that {listed_in[folder]} does not "
                f"put there ({listed(strange, 3)}); move them away, or use another --out_dir."
            )
    return faults


def refuse(faults: Sequence[str], raw_dir: pathlib.Path) -> None:
    """Ends the preparation, if there are faults.

    Raises:
      ValueError: the sentence, or a list of the first ones.
    """
    if len(faults) == 1:
        raise HiersegError(f"{faults[0]} Nothing was written.")
    if faults:
        groups = _grouped(faults)[:LISTED_FAULTS]
        more = len(faults) - sum(map(len, groups))
        lines = [*map(_sentence_of, groups), *([f"and {more} more"] if more > 0 else [])]
        raise HiersegError(
            f"{raw_dir} has {counted(len(faults), 'fault')}, and nothing was written:\n- "
            + "\n- ".join(lines)
        )


def _grouped(faults: Sequence[str]) -> list[list[str]]:
    """Those that differ only by the file they begin with stand together."""
    alike: dict[str, list[str]] = {}
    for fault in faults:
        begun = _FILE.match(fault)
        alike.setdefault(begun[2] if begun else fault, []).append(fault)
    return list(alike.values())


def _sentence_of(alike: Sequence[str]) -> str:
    """The first of such faults, and the files of the others."""
    files = dict.fromkeys(begun[1] for fault in alike if (begun := _FILE.match(fault)))
    others = list(files)[1:]
    if others:
        return f"{alike[0]} The same of {counted(len(others), 'more file')} ({listed(others, 3)})."
    return alike[0] + (f" (So {len(alike)} times.)" if len(alike) > 1 else "")
