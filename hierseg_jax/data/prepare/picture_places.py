"""Where the pictures lie that a file of annotations names."""

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


class Place(NamedTuple):
    """A picture's file, which may be missing, and its path in the folder of the pictures."""

    path: pathlib.Path
    within: str


def find_places(
    file: pathlib.Path, names: Sequence[str], raw_dir: pathlib.Path, split: str, own: str = ""
) -> dict[str, Place]:
    """Where every picture lies that a file of annotations names.

    By its path there, or where that leads to none of them, for it may be one of another machine, by
    the last part of that. The folder of a usual name is taken that holds most of the first
    pictures; but one of any name, below the file's or `raw_dir`, if that alone holds all. What is
    not there is looked for in all folders below.

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
    names = [*dict.fromkeys(names)]
    usual = _usual_folders(file, raw_dir, split, own)
    above = dict.fromkeys((file.parent, raw_dir))
    below: list[_Below] = []
    for last_part in (False, True):
        found = _in_most(usual, names, last_part)
        if len(found) == len(names):
            return found
        below = below or [_Below(folder) for folder in above]
        for each in below:
            if len(found) < len(names):
                found |= each.places(file, names, split, last_part, found)
        if found:
            path, within = next(iter(found.values()))
            nowhere = path.parents[within.count("/")]
            return {name: found.get(name, Place(nowhere / name, name)) for name in names}
    raise HiersegFileNotFoundError(
        f"{file} names pictures such as {shown(names[0])}, and none of these is in {raw_dir} or a "
        "folder below it; give the folder that holds both by --raw_dir."
    )


def _usual_folders(
    file: pathlib.Path, raw_dir: pathlib.Path, split: str, own: str
) -> list[pathlib.Path]:
    beside, last_word = file.parent, file.stem.rpartition("_")[2]
    called = dict.fromkeys(("", last_word, *((split, f"{split}/images") if split else ())))
    folders = [root / above / own for root in (beside, raw_dir) for above in ("images", "") if own]
    folders += [beside, beside / "images"]
    folders += [raw_dir / above / name for above in ("", "images") for name in called]
    return folders


def _in_most(
    folders: Sequence[pathlib.Path], names: Sequence[str], last_part: bool
) -> dict[str, Place]:
    """The pictures that are in the folder that holds most of the first ones."""

    def there(folder: pathlib.Path, some: Sequence[str]) -> dict[str, Place]:
        places = {name: _place(folder, name, last_part) for name in some}
        return {name: place for name, place in places.items() if is_there(place.path)}

    most = max(folders, key=lambda folder: len(there(folder, names[:_FIRST])))
    return there(most, names)


def _place(folder: pathlib.Path, name: str, last_part: bool) -> Place:
    """In a folder; frames of a video may be named without the suffix that they have."""
    within = pathlib.PurePosixPath(name).name if last_part else name
    path = as_spelled(folder / within)
    if not _has_suffix(name) and not is_there(path):
        others = (f"{within}{end}" for each in IMAGE_SUFFIXES for end in (each, each.upper()))
        within = next((other for other in others if is_there(folder / other)), within)
        path = folder / within
    return Place(path, within)


class _Below:
    """The pictures of a folder and those below, by the last part of their paths."""

    def __init__(self, above: pathlib.Path) -> None:
        self._above = above
        self._by_name: dict[str, list[pathlib.PurePath]] = {}
        for path in walk_files(above, IMAGE_SUFFIXES):
            picture = path.relative_to(above)
            for key in (picture.name, picture.stem):
                self._by_name.setdefault(_composed(key), []).append(picture)

    def places(
        self,
        file: pathlib.Path,
        names: Sequence[str],
        split: str,
        last_part: bool,
        known: Mapping[str, Place],
    ) -> dict[str, Place]:
        """Of pictures that are in none of the places known, or of all if one folder holds them.

        Raises:
          FileNotFoundError: as `find_places`.
        """
        holding = {name: [*self._pictures(name, last_part)] for name in names}
        counts = Counter(folder for of in holding.values() for folder, _ in of)
        splits = {folder: split_of(folder) for folder in counts}
        own = {folder for folder in counts if not split or splits[folder] in ("", split)}
        own = {folder for folder in own if split and splits[folder]} or own
        if counts and not own and not known:
            raise HiersegFileNotFoundError(
                f"{file} names pictures such as {shown(names[0])}, and those of this name are in "
                f"{self._above / next(iter(counts))}, which is called after another split; rename "
                "the folder or the file if they are meant."
            )
        whole = {folder for folder in own if counts[folder] == len(names)}
        meant = whole if len(whole) == 1 else own
        found: dict[str, Place] = {}
        for name, pictures in holding.items():
            places = [
                Place(self._above / picture, picture.relative_to(folder).as_posix())
                for folder, picture in pictures
                if folder in meant
            ]
            if name in known and len(whole) != 1:
                continue
            if len({place.path.resolve() for place in places}) > 1:
                raise HiersegFileNotFoundError(
                    f"{file} names the picture {shown(name)}, and it may be {places[0].path} or "
                    f"{places[1].path}; take what is not meant out of {self._above}, or write the "
                    "folder into the picture's name in that file."
                )
            if places:
                found[name] = places[0]
        return found

    def _pictures(
        self, name: str, last_part: bool
    ) -> Iterator[tuple[pathlib.PurePath, pathlib.PurePath]]:
        """Folders from which a name or its last part leads to a picture, with it; none of masks."""
        path = pathlib.PurePosixPath(name)
        parts = (path.name,) if last_part else path.parts
        for picture in self._by_name.get(_composed(path.name), ()):
            if len(parts) > len(picture.parents):
                continue
            folder = picture.parents[len(parts) - 1]
            rest = picture.relative_to(folder)
            rest = rest if _has_suffix(name) else rest.with_suffix("")
            leads_there = _composed(rest.as_posix()) == _composed("/".join(parts))
            if leads_there and not has(folder.name, MASK_WORDS):
                yield folder, picture


def _has_suffix(name: str) -> bool:
    return pathlib.PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
