"""What an evaluation counted in every single picture, in files that can be compared later."""

import csv
import dataclasses
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import printable

COUNTS_FILE = "counts.npz"
PICTURES_FILE = "pictures.csv"
# What zipfile and NumPy raise, RuntimeError and NotImplementedError of archives that seem to be
# encrypted, or compressed in some other way.
_DAMAGE = (
    *(ValueError, KeyError, TypeError, EOFError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, OverflowError, MemoryError),
)
_FIRST_COLUMNS = ("picture", "score")


@dataclasses.dataclass(frozen=True, eq=False)
class PictureCounts:
    """Pixels of every class of every level, picture by picture.

    Attributes:
      names: str [N], of the pictures' files in the order of evaluation; empty where they have
        none.
      levels: str [K], the level of each class; levels coarse to fine, their classes in order.
      classes: str [K].
      background: bool [K], of the classes that are.
      labelled_nk, predicted_nk, right_nk: int64 [N, K]. Classes whose numbers an evaluation
        leaves undefined have 0.
    """

    names: np.ndarray
    levels: np.ndarray
    classes: np.ndarray
    background: np.ndarray
    labelled_nk: np.ndarray
    predicted_nk: np.ndarray
    right_nk: np.ndarray

    def __len__(self) -> int:
        return len(self.labelled_nk)

    def take(
        self, pictures: np.ndarray | None = None, classes: np.ndarray | None = None
    ) -> "PictureCounts":
        """Of some pictures and classes, by their numbers, in that order; by default of all."""
        if pictures is None:
            pictures = np.arange(len(self))
        if classes is None:
            classes = np.arange(len(self.classes))
        return PictureCounts(
            self.names[pictures] if len(self.names) else self.names,
            self.levels[classes],
            self.classes[classes],
            self.background[classes],
            *(
                counts_nk[np.ix_(pictures, classes)]
                for counts_nk in (self.labelled_nk, self.predicted_nk, self.right_nk)
            ),
        )


def iou(labelled: np.ndarray, predicted: np.ndarray, right: np.ndarray) -> np.ndarray:
    """float64, element by element; NaN where a class is neither labelled nor predicted."""
    return ratio(right, labelled + predicted - right)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """float64, element by element; NaN where the denominator is 0."""
    out = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) != 0)


def counts_bytes(counts: PictureCounts) -> bytes:
    """The content of counts.npz: the attributes of `PictureCounts`, without pickles."""
    file = io.BytesIO()
    np.savez_compressed(file, **vars(counts))
    return file.getvalue()


def read_counts(file: Path) -> PictureCounts:
    """Reads counts.npz.

    Raises:
      ValueError: a sentence, where it is none.
      OSError: where it can't be read.
    """
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
            counts = PictureCounts(
                **{field.name: arrays[field.name] for field in dataclasses.fields(PictureCounts)}
            )
        (pictures, classes), text = counts.labelled_nk.shape, ("U", "U")
        of_classes = (counts.levels, counts.classes, counts.background)
        of_pictures = (counts.predicted_nk, counts.right_nk)
        if (
            any(of.shape != (classes,) for of in of_classes)
            or any(of.shape != (pictures, classes) for of in of_pictures)
            or len(counts.names) not in (0, pictures)
            or (counts.levels.dtype.kind, counts.classes.dtype.kind) != text
        ):
            raise ValueError("shapes")
    except _DAMAGE as error:
        raise HiersegError(
            f"{file} is damaged or was not written by an evaluation; delete it and evaluate again."
        ) from error
    return counts


def pictures_csv(counts: PictureCounts, scores_n: np.ndarray, inner_labels: bool = False) -> str:
    """The content of pictures.csv: a line for every picture, the worst first.

    Args:
      counts: of N pictures.
      scores_n: float64 [N], from `image_scores`; pictures of background alone, NaN, come last.
      inner_labels: whether the data label groups as well; a class that a picture is not labelled
        with has no number then, for pixels of its group may be of it.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    classes = (f"{level}/{name}" for level, name in zip(counts.levels, counts.classes, strict=True))
    table.writerow([*_FIRST_COLUMNS, *(printable(str(name)) for name in classes)])
    iou_nk = iou(counts.labelled_nk, counts.predicted_nk, counts.right_nk)
    if inner_labels:
        iou_nk[counts.labelled_nk == 0] = np.nan
    for n in np.argsort(scores_n, kind="stable"):
        numbers = ("" if np.isnan(x) else f"{x:.4f}" for x in (scores_n[n], *iou_nk[n]))
        table.writerow([picture_name(counts, n), *numbers])
    return text.getvalue()


def picture_name(counts: PictureCounts, number: int) -> str:
    """Of its file, printable; its number from 0 where it has none."""
    name = str(counts.names[number]) if len(counts.names) else ""
    return printable(name) or str(number)


def is_counts(file: Path) -> bool:
    """Whether an evaluation has written it as its counts."""
    try:
        read_counts(file)
    except HiersegError:
        return False
    return True


def is_pictures(file: Path) -> bool:
    """Whether an evaluation has written it as its table of pictures."""
    with file.open("rb") as start:
        return start.read(64).startswith(",".join(_FIRST_COLUMNS).encode())
