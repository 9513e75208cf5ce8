"""A data set as its data.yaml describes it."""

import dataclasses
import functools
import pathlib

from hierseg_jax.data.read.layout import Layout, mask_folder
from hierseg_jax.data.read.mask_colours import named_colours
from hierseg_jax.data.read.mask_meaning import MaskMeaning
from hierseg_jax.data.read.mask_values import class_indices, named_values
from hierseg_jax.data.read.value_names import IGNORE, Named, Value, check_ignore, is_colour
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.tree.hierarchy import Hierarchy
from hierseg_jax.tree.meeting import name_in

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """What a data.yaml says.

    Attributes:
      file: the data.yaml, absolute.
      root: folder of the data, absolute.
      image_dirs: (split, where its images lie), of the splits that are given among train, val
        and test, in that order: an absolute folder with the masks beside it, or a layout.
      hierarchy: the class tree of the masks; with `inner_labels` where some are of groups.
      labels: names of the values of the masks, or of their colours; empty where values are
        class indices.
      own_classes: of the file, where `in_tree` has made names of class indices; else 0.
      ignored: values or colours that are not counted, beside those of `labels`, 255 and -1.
      skips_unknown: whether those without a name are not counted either.
      says_background: whether the file has the key `background`.
    """

    file: pathlib.Path
    root: pathlib.Path
    image_dirs: tuple[tuple[str, pathlib.Path | Layout], ...]
    hierarchy: Hierarchy
    labels: Named = ()
    own_classes: int = 0
    ignored: tuple[Value, ...] = ()
    skips_unknown: bool = False
    says_background: bool = False

    @functools.cached_property
    def values(self) -> MaskMeaning:
        """What the values of the masks stand for."""
        ignored, skips = self.ignored, self.skips_unknown
        if not self.labels:
            return class_indices(self.hierarchy.num_classes, ignored, skips_unknown=skips)
        if self.has_colours:
            return named_colours(self.labels, self.hierarchy, ignored, skips_unknown=skips)
        own = self.own_classes
        return named_values(self.labels, self.hierarchy, own, ignored, skips_unknown=skips)

    @property
    def has_colours(self) -> bool:
        """Whether masks hold colours, and no numbers."""
        return bool(self.labels) and is_colour(self.labels[0][0])

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes and groups that pixels may be labelled with."""
        named = [name for _, name in self.labels if name != IGNORE]
        return tuple(dict.fromkeys(named)) if self.labels else self.hierarchy.class_names

    def in_tree(self, common: Hierarchy) -> "DatasetSpec":
        """The same masks as labels of another tree, of which `check_meeting` has nothing to say."""
        own = self.hierarchy.class_names
        if not self.labels and own == common.class_names:
            return dataclasses.replace(self, hierarchy=common)
        check_ignore(self.hierarchy)
        labels = self.labels or tuple(enumerate(own))
        return dataclasses.replace(
            self,
            hierarchy=common,
            own_classes=0 if self.labels else len(own),
            labels=tuple((v, name_in(name, self.hierarchy, common)) for v, name in labels),
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are given."""
        return tuple(split for split, _ in self.image_dirs)

    def layout(self, split: str) -> Layout:
        """Where a split's images and masks lie.

        Raises:
          ValueError: naming the splits there are.
        """
        places = dict(self.image_dirs)
        if split not in places:
            given = ", ".join(places) if places else "none at all"
            raise HiersegError(
                f"{self.file} gives no image folder for {split!r} (it gives {given}); "
                f"{f'add `{split}: FOLDER`' if split in SPLITS else 'splits are train, val, test'}."
            )
        place = places[split]
        if isinstance(place, Layout):
            return place
        layout = self._beside(place)
        others = [self._beside(of) for of in places.values() if not isinstance(of, Layout)]
        masks = {of.images: mask_folder(of.root, of.images) for of in others}
        shared = [images for images, folder in masks.items() if folder == masks[layout.images]]
        return dataclasses.replace(layout, shared=len(shared) > 1)

    def image_dir(self, split: str) -> pathlib.Path:
        """Folder of a split's images, or the one below which they are; raises as `layout` does."""
        return self.layout(split).image_dir

    def _beside(self, folder: pathlib.Path) -> Layout:
        return Layout(self.root, folder.relative_to(self.root).as_posix())
