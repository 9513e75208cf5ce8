"""Pictures from an image, a folder, a pattern, a video or a camera, one after another."""

import dataclasses
import glob
import itertools
import os
import shlex
from collections.abc import Generator, Sequence
from pathlib import Path

import cv2

from hierseg_jax.data.read.image_files import read_image
from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, UNREAD_SUFFIXES, about_unread
from hierseg_jax.runtime.video import Frame, Video, is_address
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import leads_nowhere, local_path
from hierseg_jax.system.regular_file import refuse_dead_link
from hierseg_jax.system.wording import counted


@dataclasses.dataclass(frozen=True)
class Images:
    """Image files, in order.

    Attributes:
      files: of kinds that are read.
      root: the folder that all of them are in, or are in folders of.
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
        return file.relative_to(self.root).as_posix()

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


def open_frames(source: str, results: Path | None = None) -> Images | Video:
    """What `--source` names.

    Args:
      source: an image, a folder of images, a pattern with *, ? or ** for any number of folders,
        a video, its address (rtsp://, http:// and the like), or the index of a camera. Hidden
        files of a folder are passed over.
      results: the folder that results go to, whose images are none of the source's unless it is
        named itself.

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
        folders = sorted(each for each in path.iterdir() if not _is_in(each, results))
        deeper = next(filter(None, map(_first_image, folders)), None)
        below = _how_to_reach(path, deeper) if deeper else ""
        return Images(images, path, tuple(filter(None, [unread, below])))
    if _is_listed(path):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return Images((path,), path.parent)
        refuse_dead_link(path)
        return Video(str(path))
    if source.isdecimal() and len(source) < 6:
        return Video(source)
    matches = set(map(Path, glob.glob(str(path), recursive=True)))
    files = sorted(filter(_is_listed, matches))
    if not files:
        raise HiersegFileNotFoundError(
            f"{source} is no file, folder or camera index, and no file matches it as a pattern."
        )
    strange = next((f for f in files if f.suffix.lower() not in IMAGE_SUFFIXES), None)
    if strange is not None:
        raise HiersegError(
            f"{source} matches {strange}; a pattern is for images "
            f"({', '.join(IMAGE_SUFFIXES)}), videos are given one by one."
        )
    root = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parent.parts))
    if _is_in(root, results):
        return Images(tuple(files), root)
    own = tuple(file for file in files if not _is_in(file, results))
    if not own:
        raise HiersegError(
            f"All that {source} matches is in {results}, where results go; choose another --output."
        )
    earlier = counted(len(files) - len(own), "image")
    note = (
        f"Of {results}, where results go, {earlier} that {source} matches, too, stay out of this."
    )
    return Images(own, root, (note,) if len(own) < len(files) else ())


def open_sources(sources: Sequence[str], results: Path | None = None) -> Images | Video:
    """What `--source` names, given once or several times, as a shell does with `photos/*.jpg`.

    Args:
      sources: as in `open_frames`; of several each is of images.
      results: as there.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    if len(sources) == 1:
        return open_frames(sources[0], results)
    files: list[Path] = []
    notes: list[str] = []
    for source in sources:
        opened = open_frames(source, results)
        if isinstance(opened, Video):
            opened.close()
            raise HiersegError(
                f"{source} is a video or a camera, one of {len(sources)} sources; give it alone."
            )
        files += opened.files
        notes += opened.passed_over
    files = [*dict.fromkeys(files)]
    try:
        root = Path(os.path.commonpath([file.parent for file in files]))
    except ValueError:  # some are relative, or on other drives
        files = [*dict.fromkeys(Path(os.path.abspath(file)) for file in files)]
        drives = {file.anchor for file in files}
        if len(drives) > 1:
            raise HiersegError(
                f"The sources are on several drives, {' and '.join(sorted(drives))}; segment them "
                "apart."
            ) from None
        root = Path(os.path.commonpath([file.parent for file in files]))
    return Images(tuple(files), root, tuple(notes))


def _is_in(path: Path, folder: Path | None) -> bool:
    """Whether a path is that folder, or below it."""
    if folder is None or not folder.is_dir():
        return False
    resolved = path.resolve()
    return folder.resolve() in (resolved, *resolved.parents)


def _first_image(folder: Path) -> Path | None:
    """Of a folder that can be looked into, and that has images right in it; none is hidden."""
    try:
        files = sorted(folder.iterdir()) if folder.is_dir() and folder.name[0] != "." else []
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
