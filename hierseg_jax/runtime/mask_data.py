"""Label maps of pictures as a data set, to be corrected and learned from.

Its data.yaml names the classes of the network. In the sum of it and another data set classes meet
by their names, whatever numbers the other's masks have.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from hierseg_jax.data.read.dataset_spec import DatasetSpec
from hierseg_jax.data.read.layout import Layout
from hierseg_jax.data.read.spec_writing import write_spec
from hierseg_jax.system.atomic_writing import write_atomically
from hierseg_jax.tree.hierarchy import Hierarchy

DATA, LIST = "data.yaml", "pictures.txt"


def files_of_data_set(masks: Path) -> tuple[Path, Path]:
    """What is written beside the label maps of a folder."""
    return masks / DATA, masks / LIST


def write_data_set(masks: Path, pictures: Path, names: Sequence[str], hierarchy: Hierarchy) -> None:
    """Writes a data.yaml whose training split are some pictures and their label maps.

    Args:
      masks: folder of label maps of the leaf classes.
      pictures: folder of the pictures.
      names: of those that have a label map.
      hierarchy: of the network.
    """
    masks, pictures = masks.resolve(), pictures.resolve()
    file, listed = files_of_data_set(masks)
    write_atomically(listed, "".join(f"{name}\n" for name in names).encode())
    root = Path(os.path.commonpath([masks, pictures]))
    layout = Layout(root, _below(root, pictures), _below(root, masks), _below(root, listed))
    splits = (("train", layout),)
    write_spec(DatasetSpec(file, root, splits, hierarchy, says_background=True))


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
