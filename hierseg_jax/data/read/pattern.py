"""Paths with stars: the files that they match, and what stands in a file's name for the stars."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterator

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import leads_nowhere, real, scan

_ANY = ".*"


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A path in which `*` stands for what varies in a name, and `**` for any folders.

    What stands in a file's path for the stars is its key: of `a/**/*_rgb.png` and the file
    `a/b/c/7_rgb.png` that is `b/c/7`. By its key a file finds its partner of another pattern.

    Attributes:
      folder: in front of the first star, relative; empty where that stands in the first name.
      parts: names behind it, each with one star or none, or `**`; the last is of files.
      any_suffix: whether the last part is without its suffix, which may be any.
    """

    folder: str
    parts: tuple[str, ...]
    any_suffix: bool = False

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """Stars in front of `**` and, where there is one, behind it: alike in partners."""
        stars = ["*" in part for part in self.parts]
        if "**" not in self.parts:
            return (sum(stars),)
        at = self.parts.index("**")
        return sum(stars[:at]), sum(stars[at + 1 :])

    @property
    def text(self) -> str:
        """As `parse_pattern` reads it."""
        if self.parts == ("*",) and self.any_suffix and self.folder:
            return self.folder
        return "/".join(filter(None, (self.folder, *self.parts))) + _ANY * self.any_suffix

    def path(self, key: str, ending: str = "") -> str:
        """Of the file with a key, relative as the pattern is.

        Args:
          key: without a part that is no name in itself.
          ending: the file's suffix, where it may be any.
        """
        names = key.split("/") if key else []
        front, behind = (*self.shape, 0)[:2]
        end = len(names) - behind
        folders = names[front:end]
        single = iter((*names[:front], *names[end:]))
        parts = [self.folder] if self.folder else []
        for part in self.parts:
            if part == "**":
                parts += folders
            else:
                parts.append(part.replace("*", next(single), 1) if "*" in part else part)
        return "/".join(parts) + ending

    def files(self, root: pathlib.Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """(key, ending) of every file below `root` that matches, in no order.

        Folders are listed, and no file is looked at by itself. Hidden files and folders are
        passed over; links are followed, but not round in a circle. One that leads nowhere is a
        file that can't be read.

        Args:
          root: that the pattern is relative to.
          suffixes: in lower case, that any suffix is one of.

        Raises:
          OSError: a folder that cannot be listed.
        """
        ways = [_taken(part) for part in self.parts]
        last = len(self.parts) - 1
        find_file = _file_taken(self.parts[-1], suffixes if self.any_suffix else None)
        start = str(root / self.folder)
        trail: tuple[str, ...] = (real(root / self.folder),)
        left = [(start, [(0, "")], trail)]
        while left:
            folder, states, trail = left.pop()
            # `**` may stand for no folder at all.
            states += [(at + 1, key) for at, key in states if self.parts[at] == "**"]
            with scan(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if is_passed_over(name):
                        continue
                    deeper = []
                    for at, key in states:
                        if at == last:
                            found = find_file(name)
                            if found is not None and is_listed(entry):
                                yield (key + found[0]).removesuffix("/"), found[1]
                        elif self.parts[at] == "**":
                            deeper.append((at, f"{key}{name}/"))
                        elif (taken := ways[at](name)) is not None:
                            deeper.append((at + 1, f"{key}{taken}/" if taken else key))
                    if deeper and holds(entry.is_dir):
                        way = _followed(entry, folder, trail)
                        if way is not None:
                            left.append((entry.path, deeper, way))


def is_passed_over(name: str) -> bool:
    """Whether a file or folder is hidden, or what a disk keeps for itself, closed to others."""
    return name[0] == "." or name == "lost+found"


def parse_pattern(text: str) -> Pattern:
    """A path with stars; without any, a folder: the files in it.

    Args:
      text: normalised, with slashes, relative.

    Raises:
      ValueError: a sentence that begins with the pattern.
    """
    parts = text.split("/")
    first = next((at for at, part in enumerate(parts) if "*" in part), len(parts))
    folder, parts = "/".join(parts[:first]), parts[first:] or ["*"]
    if parts[-1] == "**":
        parts.append("*")
    any_suffix = parts[-1] == "*" or parts[-1].endswith(_ANY)
    if parts[-1].endswith(_ANY):
        parts[-1] = parts[-1].removesuffix(_ANY)
    double = parts.count("**")
    strange = [part for part in parts if part != "**" and part.count("*") > 1]
    if strange or double > 1 or not parts[-1]:
        raise HiersegError(
            f"{text!r} has more stars than can be told apart; `*` may stand once in every name, "
            "`**` once, in place of folders."
        )
    return Pattern(folder, tuple(parts), any_suffix)


def below(folder: str, images: Pattern) -> Pattern:
    """The files in another folder that have the places and names of images, with any suffix."""
    last = images.parts[-1] if images.any_suffix else os.path.splitext(images.parts[-1])[0]
    return Pattern(folder, (*images.parts[:-1], last), any_suffix=True)


def in_place_of_images(path: str, name: str) -> str:
    """A path with another name for the last `images` in it; the same where there is none."""
    parts = path.split("/")
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = name
    return "/".join(parts)


def _taken(part: str) -> Callable[[str], str | None]:
    """What a name has for the star of a part; empty without a star, None where it is another."""
    head, star, tail = part.partition("*")
    least = len(head) + len(tail)

    def taken(name: str) -> str | None:
        if not star:
            return "" if name == part else None
        if len(name) > least and name.startswith(head) and name.endswith(tail):
            return name[len(head) : len(name) - len(tail)]
        return None

    return taken


def _file_taken(
    part: str, suffixes: tuple[str, ...] | None
) -> Callable[[str], tuple[str, str] | None]:
    """As `_taken`, with the suffix, where it is not in the part."""
    taken = _taken(part)
    # Of a million files few suffixes are kept.
    endings: dict[str, str] = {}

    def file_taken(name: str) -> tuple[str, str] | None:
        if suffixes is None:
            found, ending = taken(name), ""
        else:
            stem, ending = os.path.splitext(name)
            if ending.lower() not in suffixes:
                return None
            found, ending = taken(stem), endings.setdefault(ending, ending)
        return None if found is None else (found, ending)

    return file_taken


def is_listed(entry: os.DirEntry) -> bool:
    """Whether an entry is a file, or a link that leads nowhere, which reading tells of."""
    return holds(entry.is_file) or (entry.is_symlink() and leads_nowhere(entry.path))


def holds(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind, `entry.is_file` say; a link to itself is of none."""
    try:
        return kind()
    except OSError:  # a link to itself
        return False


def _followed(entry: os.DirEntry, folder: str, trail: tuple[str, ...]) -> tuple[str, ...] | None:
    """The links on the way into a folder; None where it has been on the way already."""
    if not entry.is_symlink():
        return trail
    real = os.path.realpath(entry.path)
    here = os.path.realpath(folder)
    if real in trail or os.path.commonpath([real, here]) == real:
        return None
    return (*trail, real)
