"""Which files a run over a source writes: settled, and refused, before any work."""

import dataclasses
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from hierseg_jax.runtime.frames import Images
from hierseg_jax.runtime.mask_data import can_be_data_set
from hierseg_jax.runtime.outputs import CODECS, check_video_name, folder_name, refuse_existing
from hierseg_jax.runtime.video import Video, is_address
from hierseg_jax.system.atomic_writing import make_folder
from hierseg_jax.system.errors import HiersegError, HiersegPermissionError
from hierseg_jax.system.paths import local_path, stored_name
from hierseg_jax.system.wording import counted

# Of pictures and videos, which nobody means as the end of a new folder's name.
NO_FOLDER = (*UNREAD_SUFFIXES, *CODECS, ".apng", ".svg", ".pdf")


@dataclasses.dataclass(frozen=True)
class Places:
    """Where everything goes.

    Attributes:
      folder: of all that is written, or would be.
      pictures: name of a source's image, as of `Images.names` -> file of it as drawn.
      video: of drawn frames.
      masks: name of a level -> folder of its label maps.
      masks_of_images: their files, where the source is images.
      labelled: folder of label maps that are written as a data set, too.
    """

    folder: Path
    pictures: dict[str, Path] = dataclasses.field(default_factory=dict)
    video: Path | None = None
    masks: dict[str, Path] = dataclasses.field(default_factory=dict)
    masks_of_images: tuple[Path, ...] = ()
    labelled: Path | None = None

    @property
    def where_to_look(self) -> tuple[Path, ...]:
        """A file, if there is one alone, or the folder of several; nothing if none is written."""
        if len(self.pictures) == 1 and not self.masks:
            return tuple(self.pictures.values())
        if self.pictures or self.masks_of_images:
            return (self.folder,)
        of_frames = {folder.parent for folder in self.masks.values()}
        return (*([self.video] if self.video else []), *of_frames)

    def of_image(self, name: str) -> list[Path]:
        """All that is written of a source's image."""
        drawn = [self.pictures[name]] if name in self.pictures else []
        return [*drawn, *(label_map(to, name) for to in self.masks.values())]

    def has_image(self, name: str) -> bool:
        """Whether all that is written of it is there, and something is written at all."""
        files = self.of_image(name)
        return bool(files) and all(file.exists() for file in files)

    def make_room(self, overwrite: bool) -> None:
        """Makes the folders, and takes away frames of an older video.

        Raises:
          ValueError, OSError: a sentence; nothing is written or lost then.
        """
        # A shorter video would leave the last frames of a longer one among its own.
        of_frames = () if self.masks_of_images else tuple(self.masks.values())
        stale = [file for to in of_frames for file in sorted(to.glob("frame_*.png"))]
        targets = [*self.pictures.values(), *([self.video] if self.video else [])]
        targets += [*self.masks_of_images, *(to / "frame_000001.png" for to in of_frames), *stale]
        refuse_existing(targets, overwrite, len(self.pictures or self.masks_of_images) > 1)
        folders = {self.folder, *self.masks.values(), *(target.parent for target in targets)}
        for needed in sorted(folders) if targets else ():
            make_folder(needed)
            if not os.access(needed, os.W_OK):
                raise HiersegPermissionError(
                    f"{needed} can't be written to; choose another --output."
                )
        for file in stale:
            file.unlink()


def label_map(folder: Path, name: str) -> Path:
    """The file in a level's folder of a source's image of that name."""
    return (folder / name).with_suffix(".png")


def settle_places(
    opened: Images | Video,
    source: str,
    output: str | None,
    masks_of: Sequence[str],
    pictures: bool,
    finest: str = "",
) -> Places:
    """Names for all that a run writes.

    Args:
      opened: the source.
      source: as it was given.
      output: a folder, or a file; None for `segmented`.
      masks_of: names of the levels whose label maps are written.
      pictures: whether what is drawn is written.
      finest: name of the level whose label maps make a data set.

    Raises:
      ValueError: where two would have one name, or one that of the source.
    """
    if isinstance(opened, Images):
        places = _of_images(opened, output, masks_of, pictures)
        if finest not in places.masks:
            return places
        # Where a pattern has found one folder alone, its label maps lie in a folder of its name.
        labelled = label_map(places.masks[finest], opened.names[0]).parent
        if not can_be_data_set(labelled, opened.files):
            return places
        return dataclasses.replace(places, labelled=labelled)
    if not pictures or (opened.live and not output):
        folder = Path("segmented")
        return Places(folder, masks=_mask_folders(folder / f"{_stem(source)}_masks", masks_of))
    file = local_path(output) if output else Path("segmented") / f"{_stem(source)}.mp4"
    given = Path(source) if is_address(source) else local_path(source)
    if file.exists() and given.exists() and file.samefile(given):
        raise HiersegError(f"--output is the source itself, {file}; choose another.")
    check_video_name(file, f"{_stem(source)}.mp4")
    # Frames are numbered, so that those of two videos can't lie in one folder.
    masks = _mask_folders(file.with_name(f"{file.stem}_masks"), masks_of)
    return Places(file.parent, video=file, masks=masks)


def _of_images(
    opened: Images, output: str | None, masks_of: Sequence[str], pictures: bool
) -> Places:
    folder = local_path(output or "segmented")
    sources = names = opened.names
    suffix = "" if folder.is_dir() else folder.suffix.lower()
    if suffix in NO_FOLDER:
        raise HiersegError(
            f"--output is {folder}, and pictures are not written as {suffix}; give a folder, or "
            f"for one picture a name that ends in {', '.join(IMAGE_SUFFIXES)}."
        )
    if suffix in IMAGE_SUFFIXES and len(names) > 1:
        raise HiersegError(
            f"--output is {folder}, the name of one picture, and there are "
            f"{counted(len(names), 'picture')}; give a folder."
        )
    if suffix in IMAGE_SUFFIXES:
        names, folder = (folder.name,), folder.parent
    drawn = {name: folder / new for name, new in zip(sources, names, strict=True) if pictures}
    masks = _mask_folders(folder / "masks", masks_of)
    # Label maps have the names of their pictures.
    files = tuple(label_map(to, name) for to in masks.values() for name in sources)
    targets = (*drawn.values(), *files)
    _refuse_one_name(targets, itertools.cycle(opened.files))
    # Of a link that leads to itself `Path.resolve` makes an error.
    mine = {os.path.realpath(file) for file in opened.files}
    for target in targets:
        if os.path.realpath(target) in mine:
            raise HiersegError(
                f"--output is where the images are, {target.parent}; choose another."
            )
    return Places(folder, drawn, None, masks, files)


def _refuse_one_name(targets: Sequence[Path], sources: Iterable[Path]) -> None:
    """Names the first two sources of one target, theirs in order."""
    first: dict[str, Path] = {}
    for target, file in zip(targets, sources, strict=False):
        before = first.setdefault(stored_name(str(target)), file)
        if before != file:
            raise HiersegError(
                f"{before} and {file} would both be written to {target}; segment them apart, each "
                "to an --output of its own."
            )


def _mask_folders(folder: Path, levels: Sequence[str]) -> dict[str, Path]:
    folders = {level: folder / folder_name(level) for level in levels}
    if len({stored_name(folder.name) for folder in folders.values()}) < len(folders):
        raise HiersegError(
            "Two levels of the network have one name as that of a folder "
            f"({', '.join(folders)}); write their masks one by one, with --level, to an --output "
            "each."
        )
    return folders


def _stem(source: str) -> str:
    """Of a file, or of what an address ends in."""
    if not is_address(source):
        return Path(source).stem
    return re.sub(r"[^\w.-]", "_", Path(urlsplit(source).path).stem) or "stream"
