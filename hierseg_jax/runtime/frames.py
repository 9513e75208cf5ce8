"""Pictures from an image, a folder, a pattern, a video or a camera, one after another."""

import dataclasses
import functools
import glob
import itertools
import os
import re
import shlex
from collections.abc import Generator, Sequence
from pathlib import Path

import cv2

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, UNREAD_SUFFIXES, about_unread
from hierseg_jax.runtime.video import Frame, Video, is_address
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import absolute, leads_nowhere, local_path
from hierseg_jax.system.regular_file import refuse_dead_link
from hierseg_jax.system.wording import about_closed, counted


@dataclasses.dataclass(frozen=True)
class Images:
    """Image files, in order.

    Attributes:
      files: of kinds that are read, as the source has them.
      root: the folder that all of them are in, or are in folders of; absolute.
      passed_over: sentences about others beside and below them.
    """

    files: tuple[Path, ...]
    root: Path
    passed_over: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files, as frames have them: from `root` on, with slashes."""
        return tuple(map(self._name, self.files))

    def _name(self, file: Path) -> str:
        return absolute(file).relative_to(self.root).as_posix()

    def __iter__(self) -> Generator[Frame]:
        """Reads file after file; what can't be read comes as a fault."""
        for file in self.files:
            try:
                # No name for the picture in RGB, which would keep it beside the other.
                yield Frame(self._name(file), cv2.cvtColor(read_image(file), cv2.COLOR_RGB2BGR))
            except (HiersegError, OSError) as error:
                yield Frame(self._name(file), None, str(error))

    def __len__(self) -> int:
        """Number of files."""
        return len(self.files)


def open_sources(sources: Sequence[str], results: Path | None = None) -> Images | Video:
    """What `--source` names, given once or several times, as a shell does with `photos/*.jpg`.

    Args:
      sources: as in `open_frames`; of several each is of images.
      results: the folder that results go to, whose images are none of a pattern's or of several
        sources, unless all are there.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    if not sources:
        raise HiersegError("There is no source; give images, folders, patterns, or a video.")
    opened = []
    for source in sources:
        opened.append(one := open_frames(source, results))
        if isinstance(one, Video) and len(sources) > 1:
            one.close()
            raise HiersegError(
                f"{source} is a video or a camera, one of {len(sources)} sources; give it alone."
            )
    if len(opened) == 1:
        return opened[0]
    images = [one for one in opened if isinstance(one, Images)]
    files = list(itertools.chain.from_iterable(one.files for one in images))
    notes = tuple(itertools.chain.from_iterable(one.passed_over for one in images))
    return _gathered(files, None, results, notes)


def open_frames(source: str, results: Path | None = None) -> Images | Video:
    """What one source is.

    Args:
      source: an image, a folder of images, a pattern with *, ? or ** for any number of folders,
        a video, its address (rtsp://, http:// and the like), or the index of a camera. Hidden
        files of a folder are passed over.
      results: as in `open_sources`.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    if not source:
        raise HiersegError(
            "--source is empty; give an image, a folder, a video or a camera's index."
        )
    if is_address(source):
        return Video(source)
    path = local_path(source)
    if path.suffix.lower() in UNREAD_SUFFIXES:
        raise HiersegError(f"{source} is no JPEG or PNG image; convert it first.")
    if path.is_dir():
        # As in data sets: copies from a Mac have a hidden file beside each picture.
        seen = (file for file in path.iterdir() if file.name[0] != ".")
        listed = sorted(filter(_is_listed, seen))
        images = tuple(file for file in listed if file.suffix.lower() in IMAGE_SUFFIXES)
        unread = about_unread(map(str, listed))
        if not images:
            kinds = ", ".join(IMAGE_SUFFIXES)
            raise HiersegError(f"{source} holds no images ({kinds}). {unread}".rstrip())
        own = results if results is not None and results.is_dir() else None
        folders = (each for each in sorted(path.iterdir()) if each.is_dir())
        others = (each for each in folders if own is None or not each.samefile(own))
        deeper = next(filter(None, map(_first_image, others)), None)
        below = _how_to_reach(path, deeper) if deeper else ""
        return Images(images, absolute(path), tuple(filter(None, [unread, below])))
    if _is_listed(path):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return Images((path,), absolute(path).parent)
        refuse_dead_link(path)
        return Video(str(path))
    if source.isdecimal() and len(source) < 6:
        return Video(source)
    if path.exists():
        if camera := re.fullmatch(r"/dev/video(\d+)", source):
            return Video(camera[1])
        raise HiersegError(
            f"{source} is a pipe or a device; give an image, a folder, a video, its address, or a "
            "camera's index."
        )
    files = sorted(filter(_is_listed, set(map(Path, glob.glob(str(path), recursive=True)))))
    closed = about_closed(_closed_folders(path))
    if not files:
        raise HiersegFileNotFoundError(
            f"{source} is no file, folder or camera index, and no file matches it as a pattern. "
            f"{' '.join(closed)}".rstrip()
        )
    strange = next((f for f in files if f.suffix.lower() not in IMAGE_SUFFIXES), None)
    if strange is not None:
        raise HiersegError(
            f"{source} matches {strange}; a pattern is for images "
            f"({', '.join(IMAGE_SUFFIXES)}), videos are given one by one."
        )
    return _gathered(files, _fixed_part(path), results, closed)


def _closed_folders(pattern: Path) -> list[str]:
    """Of a pattern, the ones that may not be looked into, which `glob` passes over silently."""
    above = pattern if pattern.name == "**" else pattern.parent
    folders = glob.glob(os.path.join(above, ""), recursive=True)
    return sorted(path for path in folders if not os.access(path, os.R_OK | os.X_OK))


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first that stands for others."""
    anchor = Path(pattern.anchor)
    folders = pattern.parent.parts[len(anchor.parts) :]
    # A bracket that stands for itself is written [[].
    plain = [re.sub(r"\[([*?[])\]", r"\1", folder) for folder in folders]
    both = zip(folders, plain, strict=True)
    fixed = itertools.takewhile(lambda each: each[0] == glob.escape(each[1]), both)
    return anchor.joinpath(*(folder for _, folder in fixed))


def _gathered(
    files: Sequence[Path], root: Path | None, results: Path | None, notes: tuple[str, ...] = ()
) -> Images:
    """Images of several folders, each once, whatever links lead there, and without results.

    Args:
      files: at least one.
      root: a folder above all of them; None or another: the one that all have in common.
      results: as in `open_sources`.
      notes: about others.
    """
    real = functools.cache(lambda folder: Path(os.path.realpath(folder)))
    shortest: dict[Path, Path] = {}
    for file in sorted(files, key=lambda each: len(each.parts)):
        shortest.setdefault(real(file.parent) / file.name, file)
    kept = {*shortest.values()}
    files = [file for file in dict.fromkeys(files) if file in kept]
    if results is not None and results.is_dir():
        folder = real(results)
        earlier = {f for f in files if folder in (real(f.parent), *real(f.parent).parents)}
        meant = len(earlier) == len(files)
        if meant and root is not None and folder not in (real(root), *real(root).parents):
            raise HiersegError(
                f"All images that match are in {results}, where results go; choose another "
                "--output."
            )
        if earlier and not meant:
            files = [file for file in files if file not in earlier]
            there = counted(len(earlier), "image")
            notes += (f"{there} in {results}, where results go, stay out of this.",)
    folders = {absolute(file).parent for file in files}
    if root is None or not all(absolute(root) in (f, *f.parents) for f in folders):
        try:
            root = Path(os.path.commonpath(folders))
        except ValueError:
            drives = " and ".join(sorted({folder.drive for folder in folders}))
            raise HiersegError(
                f"The images are on several drives, {drives}; segment them apart."
            ) from None
    return Images(tuple(files), absolute(root), notes)


def _first_image(folder: Path) -> Path | None:
    """Of a folder that can be looked into, and that has images right in it; none is hidden."""
    try:
        files = sorted(folder.iterdir()) if folder.name[0] != "." else []
    except OSError:
        return None
    seen = (file for file in files if file.name[0] != ".")
    return next((file for file in seen if file.suffix.lower() in IMAGE_SUFFIXES), None)


def _how_to_reach(path: Path, deeper: Path) -> str:
    """A note that a folder's folder has this image, too, of which a folder alone takes none."""
    every = shlex.quote(f"--source={glob.escape(str(path))}/**/*{deeper.suffix}")
    return f"{deeper.parent} has images, too; {every} takes the {deeper.suffix} of all folders."


def _is_listed(file: Path) -> bool:
    """Whether it is a file, or a link that leads nowhere, which reading tells of."""
    return file.is_file() or leads_nowhere(file)
