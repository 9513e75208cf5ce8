"""Label maps of pictures as a data set, to be corrected and learned from.

Its data.yaml names the classes of the network. In the sum of it and another data set classes meet
by their names, whatever numbers the other's masks have.
"""

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hierseg_jax.data.read.dataset_spec import DatasetSpec
from hierseg_jax.data.read.layout import LIST_SUFFIX, Layout
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.data.read.text_lines import numbered_lines
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy

DATA, LIST = "data.yaml", "pictures.txt"
# What stands in names that are no UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")


def can_be_data_set(masks: Path, files: Sequence[Path]) -> bool:
    """Whether a data.yaml can name several pictures, in one folder, and their label maps."""
    folders = {file.parent.resolve() for file in files}
    both = [masks.resolve(), *folders]
    plain = not any(
        "*" in str(each) or each.suffix.lower() == LIST_SUFFIX or not _is_line(str(each))
        for each in both
    )
    return len(files) > 1 == len(folders) and len({each.drive for each in both}) == 1 and plain


class MaskData:
    """A data.yaml whose training split are some pictures and their label maps, as they come.

    A run may be killed at any time: what was written of it is named by then, with its classes.
    """

    def __init__(self, masks: Path, pictures: Path, hierarchy: Hierarchy, overwrite: bool) -> None:
        """Writes nothing yet.

        Args:
          masks: folder of label maps of the leaf classes, which exists.
          pictures: folder of the pictures.
          hierarchy: of the network.
          overwrite: whether a data.yaml of something else may go.
        """
        self.masks, pictures = masks.resolve(), pictures.resolve()
        self._list = self.masks / LIST
        root = Path(os.path.commonpath([self.masks, pictures]))
        paths = [of.relative_to(root).as_posix() for of in (pictures, self.masks, self._list)]
        layout = Layout(root, paths[0], paths[1], paths[2])
        file = self.masks / DATA
        self._spec = DatasetSpec(file, root, (("train", layout),), hierarchy, says_background=True)
        self._is_there = file.exists() and _is(file, self._spec)
        # None where it is of something else, which stays.
        self._named: list[str] | None = None
        if self._is_there or not file.exists():
            self._named = _lines(self._list)
        elif overwrite:
            self._named = []
        self._known = {*(self._named or ())}
        self._begun = False

    def begin(self) -> bool:
        """Writes the data.yaml before the first label map.

        One that is there already, of the same folders and classes, is told of more pictures.

        Returns:
          Whether label maps are named: not where it is of something else.
        """
        if self._named is None:
            return False
        if not self._begun:
            self._begun = True
            self.finish()  # the last line may have no end
            if not self._is_there:
                write_spec(self._spec)
        return True

    def add(self, name: str) -> None:
        """Names a picture before its label map is written: one that is missing is made again."""
        # What is hidden is no picture of a folder.
        if self._named is None or name[0] == "." or not _is_line(name):
            return
        # A user may have left its suffix out.
        if self._known.isdisjoint((name, Path(name).stem)):
            self._known.add(name)
            self._named.append(name)
            with self._list.open("a", encoding="utf-8", newline="\n") as listed:
                listed.write(f"{name}\n")

    def finish(self) -> None:
        """Brings the names in order."""
        if self._begun and self._named is not None:
            lines = "".join(f"{line}\n" for line in sorted(self._named))
            write_atomically(self._list, lines.encode())


def _lines(file: Path) -> list[str]:
    """Those of a list that users may have edited.

    Raises:
      ValueError: a sentence, where it is no UTF-8.
    """
    if not file.exists():
        return []
    return [line for _, line in numbered_lines(file, "save it as UTF-8, or delete it")]


def _is_line(text: str) -> bool:
    """Whether it is read from a file as it was written: lines are stripped, and UTF-8."""
    return text.strip() == text and text.splitlines() == [text] and not _SURROGATE.search(text)


def _is(file: Path, spec: DatasetSpec) -> bool:
    with contextlib.suppress(HiersegError, OSError):
        return load_spec(file) == spec
    return False
