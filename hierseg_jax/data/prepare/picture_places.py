"""Where the pictures lie that a file of annotations names."""

import itertools
import pathlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hierseg_jax.data.prepare.file_words import MASK_WORDS, has
from hierseg_jax.data.prepare.folders import as_spelled, is_there, split_of, walk_files
from hierseg_jax.data.prepare.json_file import shown
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES
from hierseg_jax.system.errors import HiersegFileNotFoundError

# Pictures that are looked for in one usual folder after another.
_FIRST = 100
_ByName = Mapping[str, Sequence[pathlib.PurePath]]


class Place(NamedTuple):
    """A picture's file, which may be missing, and its path in the folder of the pictures."""

    path: pathlib.Path
    within: str


def find_places(
    file: pathlib.Path, names: Sequence[str], raw_dir: pathlib.Path, split: str, own: str = ""
) -> dict[str, Place]:
    """Where every picture lies that a file of annotations names.

    The first folder of a usual name is taken that holds one of the first pictures: by its path, or
    where none does, for it may be one of another machine, by the last part of that. What is not
    there is looked for in all folders below the file's, and then below `raw_dir`.

    Args:
      file: of the annotations.
      names: of the pictures, as it has them.
      raw_dir: of everything.
      split: of the pictures; may be empty.
      own: what a folder of theirs may be called.

    Raises:
      FileNotFoundError: none is there, or in another split's folder alone; or several folders
        hold one.
    """
    folder, last_part = _usual_folder(file, names, raw_dir, split, own)
    found: dict[str, Place] = {}
    if folder is not None:
        found = {name: _place(folder, name, last_part) for name in names}
    left = [name for name in names if name not in found or not is_there(found[name].path)]
    for above in dict.fromkeys((file.parent, raw_dir)) if left else ():
        if below := _places_below(above, file, left, split, folder is None):
            found |= below
            break
    if names and not found:
        raise HiersegFileNotFoundError(
            f"{file} names pictures such as {shown(names[0])}, and none of these is in {raw_dir} "
            "or a folder below it; give the folder that holds both by --raw_dir."
        )
    nowhere = next((place.path.parent for place in found.values()), raw_dir)
    return {name: found.get(name, Place(nowhere / name, name)) for name in names}


def _usual_folder(
    file: pathlib.Path, names: Sequence[str], raw_dir: pathlib.Path, split: str, own: str
) -> tuple[pathlib.Path | None, bool]:
    """The folder, and whether the last parts of the paths lead to pictures there."""
    beside, last_word = file.parent, file.stem.rpartition("_")[2]
    called = dict.fromkeys((own, "", last_word, *((split, f"{split}/images") if split else ())))
    folders = [root / above / own for root in (beside, raw_dir) for above in ("images", "") if own]
    folders += [beside, beside / "images"]
    folders += [raw_dir / above / name for above in ("", "images") for name in called]
    for last_part, folder in itertools.product((False, True), folders):
        places = (_place(folder, name, last_part) for name in names[:_FIRST])
        if not names or any(is_there(place.path) for place in places):
            return folder, last_part
    return None, False


def _place(folder: pathlib.Path, name: str, last_part: bool) -> Place:
    """In a folder; frames of a video may be named without the suffix that they have."""
    within = pathlib.PurePosixPath(name).name if last_part else name
    path = as_spelled(folder / within)
    if pathlib.PurePath(name).suffix.lower() not in IMAGE_SUFFIXES and not is_there(path):
        others = (f"{within}{end}" for each in IMAGE_SUFFIXES for end in (each, each.upper()))
        within = next((other for other in others if is_there(folder / other)), within)
        path = folder / within
    return Place(path, within)


def _places_below(
    above: pathlib.Path, file: pathlib.Path, names: Sequence[str], split: str, alone: bool
) -> dict[str, Place]:
    """Of the pictures that folders of any name hold.

    Args:
      above: the folder that these are below.
      file, names, split: as `find_places` has them.
      alone: whether the pictures have no other place.
    """
    by_name: dict[str, list[pathlib.PurePath]] = {}
    for picture in walk_files(above, IMAGE_SUFFIXES):
        by_name.setdefault(_composed(picture.name), []).append(picture.relative_to(above))
    for last_part in (False, True):
        holding = {name: [*_pictures(name, by_name, last_part)] for name in names}
        counts = Counter(folder for of in holding.values() for folder, _ in of)
        splits = {folder: split_of(folder) for folder in counts}
        own = {folder for folder in counts if not split or splits[folder] in ("", split)}
        own = {folder for folder in own if split and splits[folder]} or own
        if counts and not own and alone:
            raise HiersegFileNotFoundError(
                f"{file} names pictures such as {shown(names[0])}, and those of this name are in "
                f"{above / next(iter(counts))}, which is called after another split; rename the "
                "folder or the file if they are meant."
            )
        # Where one folder has them all, others hold copies of some.
        whole = {folder for folder in own if counts[folder] == len(names)}
        meant = whole if len(whole) == 1 else own
        found = {}
        for name, pictures in holding.items():
            places = [
                Place(above / picture, picture.relative_to(folder).as_posix())
                for folder, picture in pictures
                if folder in meant
            ]
            if len(places) > 1:
                raise HiersegFileNotFoundError(
                    f"{file} names the picture {shown(name)}, and it may be {places[0].path} or "
                    f"{places[1].path}; take what is not meant out of {above}, or write the "
                    "folder into the picture's name in that file."
                )
            if places:
                found[name] = places[0]
        if found:
            return found
    return {}


def _pictures(
    name: str, by_name: _ByName, last_part: bool
) -> Iterator[tuple[pathlib.PurePath, pathlib.PurePath]]:
    """Folders from which a name, or its last part, leads to a picture, with it; none of masks."""
    path = pathlib.PurePosixPath(name)
    parts = (path.name,) if last_part else path.parts
    for picture in by_name.get(_composed(path.name), ()):
        if len(parts) > len(picture.parents):
            continue
        folder = picture.parents[len(parts) - 1]
        leads_there = _composed(picture.relative_to(folder).as_posix()) == _composed(
            "/".join(parts)
        )
        if leads_there and not has(folder.name, MASK_WORDS):
            yield folder, picture


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
