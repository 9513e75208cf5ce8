"""What a raw data set is to the writer: pictures, each with a way to its mask."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from hierseg_jax.data.read.value_names import Named, Value
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

Size = tuple[int, int]
"""Height and width in pixels."""

Draw = Callable[[Size], np.ndarray | None]
"""The size of the picture -> its mask, integers [H, W]; None where the picture is to be left out.

It may be called more than once, from any thread. It raises a `HiersegError` or an `OSError`.
"""


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture of a raw data set, and the files it stands for (whether they exist or not).

    Attributes:
      split: train, val or test; empty where the source has no splits.
      name: the stem that image and mask will have.
      image: its file.
      mask: a file of masks or annotations, which sentences name.
      draw: makes the mask; None where `mask` is one already.
      suffix: of the mask that is drawn.
      unpack: gives the bytes of the image, where there is no such file as `image`.
      listed_in: the file or folder that names the picture, for sentences.
    """

    split: str
    name: str
    image: pathlib.Path
    mask: pathlib.Path
    draw: Draw | None = None
    suffix: str = ".png"
    listed_in: str = ""
    unpack: Callable[[], bytes] | None = None

    @property
    def mask_name(self) -> str:
        """Name of the mask's file in the new data set."""
        return self.name + (self.mask.suffix if self.draw is None else self.suffix)


@dataclasses.dataclass(frozen=True)
class RawData:
    """What a format's reader found.

    Attributes:
      pictures: in the order in which they will be written.
      hierarchy: the class tree of the masks.
      labels: names of the masks' values, as in a data.yaml.
      faults: a sentence each.
      notes: sentences about what was left out, which is no fault.
    """

    pictures: list[Picture]
    hierarchy: Hierarchy
    labels: Named = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What the user says about a raw data set.

    Attributes:
      hierarchy: a class tree in place of the source's own.
      labels: with it, names of the values of masks.
      ignored, skips_unknown: and which of these are not counted, as in `DatasetSpec`.
      order: what lies on top where regions overlap: `area`, the smaller one; `file`, the later
        one; empty for the format's own rule.
    """

    hierarchy: Hierarchy | None = None
    labels: Named = ()
    order: str = ""
    ignored: tuple[Value, ...] = ()
    skips_unknown: bool = False

    def refuse_no_background(self, where: str) -> None:
        """For formats that annotate regions, and leave the rest of a picture to the background.

        Raises:
          HiersegError: a tree without one; a sentence that starts with `where`.
        """
        if self.hierarchy is not None and self.hierarchy.background is None:
            raise HiersegError(
                f"{where} leaves pixels without a class, which are background, and the tree of "
                "--hierarchy has none; name it first in its `names`, and not in its `hierarchy`."
            )

    def refuse_labels(self, where: str) -> None:
        """For formats whose masks are drawn.

        Raises:
          HiersegError: there is something about values; a sentence that starts with `where`.
        """
        said = {"labels": self.labels, "ignore": self.ignored, "unknown": self.skips_unknown}
        key = next((key for key, value in said.items() if value), None)
        if key is not None:
            raise HiersegError(
                f"{where} tells its classes by name; `{key}` is for masks that stay as they are: "
                "take it out of the --hierarchy file."
            )


def flat_name(path: str) -> str:
    """The stem of a picture of a sub-folder, in a folder without these: `a/b.png` -> `a__b`.

    Folders of all pictures alike say nothing: `images/b.png` -> `b`.
    """
    *folders, name = pathlib.PurePosixPath(path.replace("\\", "/")).parts
    folders = [folder for folder in folders if folder.lower() not in ("images", "jpegimages")]
    return "__".join((*folders, pathlib.PurePosixPath(name).stem))
