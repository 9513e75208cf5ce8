"""The section `data` of the config: what is trained on, and how it is read."""

import dataclasses
import functools

from hierseg_jax.data.picture_cache import CACHES
from hierseg_jax.data.read.members import spec_text
from hierseg_jax.data.read.skip import ON_ERROR
from hierseg_jax.data.resize import RESIZES, Resize
from hierseg_jax.data.sampling import SAMPLINGS
from hierseg_jax.data.sizes import MAX_SIDE
from hierseg_jax.settings.key import Section, key
from hierseg_jax.system.errors import HiersegError


@dataclasses.dataclass(frozen=True)
class DataSettings(Section):
    """What is trained on, and how it is read."""

    spec: str | tuple[str, ...] = key(
        "",
        "What to train on: the path of a data.yaml, `figures` (drawn on the fly), `tfds:NAME`, or "
        "`module:function` of your own. Several as a sum, `a.yaml + 0.5*b.yaml`, or a list: a "
        "weight says how often an epoch draws every example, and classes meet by name "
        "(docs/more_data.md).",
    )
    unlabelled: str = key(
        "",
        "A folder of pictures without masks, those in folders below it as well, which a run with a "
        "teacher trains on too: they learn from the teacher alone. Empty: none.",
        earlier="",
    )
    negatives: str = key(
        "",
        "A folder of pictures that show none of the classes, those in folders below it as well: "
        "every pixel is learned as background. Empty: none.",
        earlier="",
    )
    hierarchy: str = key(
        "",
        "A YAML file with another tree (`hierarchy`, `level_names`) over the data's classes, or "
        "with the classes of data that don't name them; empty: the data's own, of several data "
        "sets the first's.",
        earlier="",
    )
    image_size: int | tuple[int, int] = key(
        320,
        "What the network sees of a picture, in pixels: one side of a square, or height,width. "
        "Sides that are no multiples of the network's stride are rounded.",
    )
    resize: str = key(
        "stretch",
        "How pictures come to that size: stretch, letterbox (whole, between bars, which no "
        "metric counts), or crop (the middle).",
        choices=RESIZES,
        earlier="stretch",
    )
    sampling: str = key(
        "exact",
        "How pixels are sampled for it: exact (about their centres, averaged where pictures "
        "shrink by more than 2), or reference, as the PyTorch reference does it, which moves "
        "labels by up to half a pixel.",
        choices=SAMPLINGS,
        earlier="reference",
    )
    worker_count: int = key(
        0,
        "Processes that read and augment; 0 reads in threads of this process, one a core.",
        least=0,
        free=True,
    )
    cache: str = key(
        "auto",
        "Where training pictures stay once they are decoded: none (validation pictures are decoded "
        "anew, too), host (in memory, with the same results to the bit), device (where "
        "augment=modern is done, too), or auto: device on GPUs, else host or none, by what there "
        "is room for.",
        choices=CACHES,
        free=True,
        earlier="none",
    )
    beside: str = key(
        "background",
        "What training pictures teach beside what they show, in the bars of a letterbox and where "
        "augment=modern shrinks them: that it is background, where the classes have one, or "
        "nothing (ignored). Where augment=reference shrinks them it is always background.",
        choices=("background", "ignored"),
        earlier="ignored",
    )
    on_error: str = key(
        "fail",
        "What to do about an image or mask that can't be read: fail, or skip it and say so.",
        choices=ON_ERROR,
        free=True,
        earlier="fail",
    )
    allow_missing_classes: bool = key(
        False,
        "Whether a run may begin where a class of the tree has no pixel in any training mask.",
        free=True,
        earlier=True,
    )
    allow_changed: bool = key(
        False,
        "Whether a run may go on where files of its data were added, removed or changed.",
        free=True,
        earlier=False,
    )
    figures_train: int = key(
        600,
        "Training pictures of `figures`; other data sets have their own numbers of pictures.",
        least=1,
    )
    figures_val: int = key(120, "Validation pictures of `figures`.", least=1)
    figures_test: int = key(120, "Test pictures of `figures`.", least=1)
    figures_inner_share: float = key(
        0.0,
        "Share of the pictures of `figures` that are labelled by upper_body and lower_body alone, "
        "not by parts.",
        within="[0, 1]",
        earlier=0.0,
    )

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of what the network sees.

        Raises:
          ValueError: where `image_size` is neither a side nor a height and a width.
        """
        given = self.image_size
        sides = given if isinstance(given, tuple) else (given, given)
        if len(sides) != 2 or not all(type(s) is int and 1 <= s <= MAX_SIDE for s in sides):
            raise HiersegError(
                f"The config's data.image_size is {given!r}; it must be one side in pixels, or "
                f"height,width, each from 1 to {MAX_SIDE}."
            )
        return sides

    @property
    def named(self) -> str:
        """`spec` as people read it, and as an argument may give it.

        Raises:
          ValueError: where it is neither text nor a list of texts.
        """
        texts = (self.spec,) if isinstance(self.spec, str) else self.spec
        if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
            raise HiersegError(
                f"The config's data.spec is {self.spec!r}; it must be text, such as a path "
                "(./2024 of one that is a number) or a sum of them, or a list of such texts."
            )
        return spec_text(texts)

    @property
    def resizing(self) -> Resize:
        """How pictures come to `size`."""
        return Resize(self.resize, self.sampling)

    def training_resizing(self, background: int | None) -> Resize:
        """As `resizing`, with the label that is taught of what lies beside a picture.

        Args:
          background: of the hierarchy, if it has one.
        """
        if self.beside == "ignored" or background is None:
            return self.resizing
        return dataclasses.replace(self.resizing, beside=background)

    def figures(self, split: str) -> int:
        """Pictures of `figures` in a split."""
        return getattr(self, f"figures_{split}")
