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


def write_data_set(
    masks: Path, pictures: Path, names: Sequence[str], hierarchy: Hierarchy, overwrite: bool
) -> bool:
    """Writes a data.yaml whose training split are some pictures and their label maps.

    One that is there already, of the same folders and classes, is told of more pictures.

    Args:
      masks: folder of label maps of the leaf classes.
      pictures: folder of the pictures.
      names: of those that have a label map.
      hierarchy: of the network.
      overwrite: whether a data.yaml of something else may go.

    Returns:
      Whether it names them now.
    """
    masks, pictures = masks.resolve(), pictures.resolve()
    file, listed = masks / DATA, masks / LIST
    root = Path(os.path.commonpath([masks, pictures]))
    paths = [each.relative_to(root).as_posix() for each in (pictures, masks, listed)]
    layout = Layout(root, paths[0], paths[1], paths[2])
    spec = DatasetSpec(file, root, (("train", layout),), hierarchy, says_background=True)
    before: list[str] = []
    if file.exists() and _is(file, spec):
        before = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    elif file.exists() and not overwrite:
        return False
    # What is hidden is no picture of a folder.
    readable = [name for name in names if _is_line(name) and not name.startswith(".")]
    lines = sorted({*before, *readable})
    write_atomically(listed, "".join(f"{line}\n" for line in lines).encode())
    write_spec(spec)
    return True


def _is_line(text: str) -> bool:
    """Whether it is read from a file as it was written: lines are stripped, and UTF-8."""
    return text.strip() == text and text.splitlines() == [text] and not _SURROGATE.search(text)


def _is(file: Path, spec: DatasetSpec) -> bool:
    with contextlib.suppress(HiersegError, OSError):
        return load_spec(file) == spec
    return False
