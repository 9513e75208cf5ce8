"""Where the images and masks of a split lie, as a data.yaml says it.

```yaml
train: train/images                  # a folder; masks lie beside it, in train/masks
val: {images: photos/**/*_rgb.jpg, masks: labels/**/*_id.png}
test: {images: JPEGImages, list: sets/test.txt, masks: SegmentationClass}
```
"""

import dataclasses
import os
import pathlib
import reprlib
from collections.abc import Iterable
from typing import Any

from hierseg_jax.data.read.pattern import Pattern, below, in_place_of_images, parse_pattern
from hierseg_jax.data.read.safe_yaml import flow, found_kind
from hierseg_jax.system.errors import HiersegError, said_with
from hierseg_jax.system.paths import as_path, real, slashed
from hierseg_jax.system.wording import counted, did_you_mean

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
# Pictures all the same. OpenCV would open some as videos of one frame.
UNREAD_SUFFIXES = (".heic", ".heif", ".avif", ".gif", ".jp2", ".jxl")
MASK_SUFFIXES = (".npy", ".png", ".bmp", ".tif", ".tiff")
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp")
LOSSY = (
    "These change the values at the edges of classes, so masks can't be read from them; export "
    "the masks as PNG."
)
LIST_SUFFIX = ".txt"
KEYS = ("images", "masks", "list")
_LONGEST = 4096


def about_unread(files: Iterable[str]) -> str:
    """A sentence about pictures of kinds that are not read among the files; of none ""."""
    unread = sorted(file for file in files if file.lower().endswith(UNREAD_SUFFIXES))
    if not unread:
        return ""
    if len(unread) == 1:
        return (
            f"{unread[0]} is a picture of a kind that is not read; save it as PNG, or a photograph "
            "as JPEG."
        )
    return (
        f"{counted(len(unread), 'picture')} are of kinds that are not read, such as {unread[0]}; "
        "save them as PNG, or photographs as JPEG."
    )


@dataclasses.dataclass(frozen=True)
class Layout:
    """Images and masks of a split. The folders themselves are not looked at.

    Attributes:
      root: that the paths are relative to.
      images: a folder; a path with stars; or a text file of paths, one a line.
      masks: a folder, in which a mask has its image's place and name; a path with as many stars
        as that of the images; or empty, where masks lie beside the images' folder, or where the
        lines of `images` name them.
      list: a text file of names of images, one a line, where not all that are there belong to
        the split; else empty.
      shared: whether masks of other splits lie in the same folder.
    """

    root: pathlib.Path
    images: str
    masks: str = ""
    list: str = ""
    shared: bool = False

    @property
    def paths_listed(self) -> bool:
        """Whether `images` is a text file."""
        return self.images.lower().endswith(LIST_SUFFIX)

    @property
    def beside(self) -> bool:
        """Whether it is the short form: a folder of images, and masks beside it."""
        return not self.masks and not self.paths_listed

    @property
    def image_pattern(self) -> Pattern:
        """Of the images, where they are not listed by their paths."""
        return parse_pattern(self.images)

    def mask_pattern(self, images: Pattern) -> Pattern:
        """Of the masks, where lines don't name them.

        Args:
          images: their pattern.

        Raises:
          ValueError: a sentence, for stars other than those of the images.
        """
        if self.beside:
            return parse_pattern(mask_folder(self.root, self.images))
        if "*" not in self.masks:
            return below(self.masks, images)
        masks = parse_pattern(self.masks)
        if masks.shape != images.shape:
            raise HiersegError(
                f"{self.masks!r} and {images.text!r} have not the same stars; what stands for a "
                "star in the path of an image stands for it in the path of its mask."
            )
        return masks

    @property
    def place(self) -> tuple[str, ...]:
        """Alike for splits of the same images."""
        folder = real(self.image_dir)
        if self.paths_listed:
            return folder, os.path.basename(self.images)
        return folder, *self.image_pattern.parts, self.list

    @property
    def image_dir(self) -> pathlib.Path:
        """The folder of the images; the one in front of the first star; that of a text file."""
        folder = os.path.dirname(self.images) if self.paths_listed else self.image_pattern.folder
        return self.root / folder


def beside_folder(image_dir: str | pathlib.Path) -> Layout:
    """The layout of a folder of images whose masks lie beside it."""
    folder = as_path(image_dir)
    parts = folder.parts[:-1]
    # Far enough up for the masks of `images/train`, which are in `masks/train`.
    depth = len(parts) - 1 - parts[::-1].index("images") if "images" in parts else len(parts)
    root = type(folder)(*folder.parts[:depth])
    return Layout(root, folder.relative_to(root).as_posix())


def mask_folder(root: pathlib.Path, images: str) -> str:
    """Folder of the masks of a folder of images: beside it, or `masks/train` of `images/train`."""
    beside = "/".join((*images.split("/")[:-1], "masks"))
    instead = in_place_of_images(images, "masks")
    if instead != images and not (root / beside).is_dir() and (root / instead).is_dir():
        return instead
    return beside


def read_layout(file: pathlib.Path, root: pathlib.Path, split: str, value: Any) -> Layout | None:
    """What stands behind `train:`, `val:` or `test:`; None for nothing.

    Raises:
      ValueError: a sentence that starts with `file`.
    """
    if not isinstance(value, dict):
        text = read_path(file, split, value)
        if not text:
            return None
        images = _below_root(file, split, text)
        layout = Layout(root, images)
        if layout.paths_listed or "*" not in images:
            return layout
        raise HiersegError(
            f"{file}: {split}: {text!r} has stars; say where the masks are, too: "
            f"`{split}: {flow({'images': text, 'masks': 'PATH'})}`, with the same stars in PATH."
        )
    for key in value:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS, f"the keys are {', '.join(KEYS)}.")
            raise HiersegError(f"{file}: {split}: the key {reprlib.repr(key)} is unknown; {hint}")
    texts = {key: read_path(file, f"{split}: {key}", value.get(key)) for key in KEYS}
    paths = {key: text and _below_root(file, split, text, key) for key, text in texts.items()}
    if not paths["images"]:
        raise HiersegError(f"{file}: {split}: the key images is missing; give a folder or a path.")
    layout = Layout(root, images=paths["images"], masks=paths["masks"], list=paths["list"])
    if layout.beside and (layout.list or "*" in layout.images):
        raise HiersegError(
            f"{file}: {split}: the key masks is missing; give the folder of the masks, or a path "
            "with the same stars as that of the images."
        )
    if layout.paths_listed and layout.list:
        raise HiersegError(
            f"{file}: {split}: {layout.images!r} lists images already; leave out `list`, or give "
            "the folder of the images in place of it."
        )
    with said_with(f"{file}: {split}: "):
        _check(layout)
    return layout


def write_layout(layout: Layout) -> str | dict[str, str]:
    """As `read_layout` reads it."""
    if not layout.masks and not layout.list:
        return layout.images
    return {key: getattr(layout, key) for key in KEYS if getattr(layout, key)}


def read_path(file: pathlib.Path, key: str, value: Any) -> str:
    """A path as it stands in the file; empty where none is given."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise HiersegError(
            f"{file}: {key}: expected the path of a folder; found {found_kind(value)}."
        )
    if len(value) > _LONGEST or any(character < " " for character in value):
        raise HiersegError(f"{file}: {key}: {reprlib.repr(value)} is no path of a folder.")
    return value


def _check(layout: Layout) -> None:
    """Refuses patterns that can't be, or whose files are never read."""
    kinds = {"images": (layout.images, IMAGE_SUFFIXES), "masks": (layout.masks, MASK_SUFFIXES)}
    for kind, (text, suffixes) in kinds.items():
        if "*" not in text:
            continue
        pattern = parse_pattern(text)
        suffix = os.path.splitext(pattern.parts[-1])[1].lower()
        if not pattern.any_suffix and suffix not in suffixes:
            lossy = f" {LOSSY}" if suffix in LOSSY_SUFFIXES else ""
            raise HiersegError(
                f"{text!r} is for files that are not read; {kind} are {', '.join(suffixes)}.{lossy}"
            )
    if layout.masks and not layout.paths_listed:
        layout.mask_pattern(layout.image_pattern)


def _below_root(file: pathlib.Path, split: str, path: str, key: str = "") -> str:
    """A normalised path, relative to the root.

    Args:
      path: as it stands in the file.
      key: of a mapping; empty for the folder of the short form.
    """
    where = f"{file}: {split}: {key}{': ' * bool(key)}"
    if os.path.isabs(path):
        raise HiersegError(
            f"{where}{path!r} is absolute; what is named lies below `path`, and is named from "
            "there. Give a `path` above all of it."
        )
    normal = slashed(os.path.normpath(path))
    if normal == ".." or normal.startswith("../") or (normal == "." and not key):
        within = (
            "everything that is named must lie within it, so give a `path` above all of it."
            if key
            else "images and the folder `masks` next to them must lie within it. To name images "
            f"and masks of one folder write `{split}: {{images: '*.jpg', masks: '*_mask.png'}}`, "
            "say."
        )
        raise HiersegError(f"{where}{path!r} is not below `path`; {within}")
    return "*.*" if normal == "." else normal
