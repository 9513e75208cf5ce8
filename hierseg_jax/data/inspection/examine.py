"""One image and its mask: what they hold, and what is wrong with them."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.inspection.pairing import Pair
from hierseg_jax.data.inspection.perceptual_hash import perceptual_hash
from hierseg_jax.data.inspection.speckle import MANY_SPECKS, count_specks, speck_area
from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.read.image_files import check_size, read_image
from hierseg_jax.data.read.png import losses_of
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import printable
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy


@dataclasses.dataclass(frozen=True, eq=False)
class Examined:
    """A pair after a look at every pixel; small, so that very many can be kept.

    Attributes:
      pair: the files.
      findings: about them.
      size: (height, width) of the image; None where it can't be read.
      digest: of the image's pixels and size; empty where it can't be read.
      hash: perceptual; None where the image can't be read or has no structure.
    """

    pair: Pair
    findings: tuple[Finding, ...]
    size: tuple[int, int] | None = None
    digest: bytes = b""
    hash: int | None = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Usable(Examined):
    """A pair that training reads.

    Attributes:
      label_digest: of the mask's pixels and size.
      counts_l: uint32 [L + 1], pixels of every label and, last, ignored ones.
    """

    size: tuple[int, int]
    label_digest: bytes
    counts_l: np.ndarray


def examine(pair: Pair, spec: DatasetSpec) -> Examined:
    """Reads and checks a pair of a data set; what can't be read becomes a finding."""
    findings: list[Finding] = []
    root, hierarchy = spec.root, spec.hierarchy

    def attempt(kind: str, file: pathlib.Path, check: Callable[..., Any], *given: Any) -> Any:
        try:
            return check(*given)
        except (HiersegError, OSError) as error:
            if isinstance(error, HiersegError):
                sentence = str(error)
            else:
                sentence = f"{file} cannot be read: {error.strerror or error}."
            text = printable(sentence.replace(f"{root}{os.sep}", ""))
            findings.append(Finding(kind, pair.split, shown(file, root), text))
            return None

    image = attempt("unreadable_image", pair.image, read_image, pair.image)
    mask = attempt("unreadable_mask", pair.mask, spec.values.read, pair.mask)
    if image is not None and mask is not None:
        attempt("size_mismatch", pair.mask, check_size, mask, pair.mask, image, pair.image)
    label = None
    if mask is not None:
        label = attempt("unknown_labels", pair.mask, spec.values.labels, mask, pair.mask)
    file = shown(pair.image, root)
    unread = tuple(
        Finding("unread", pair.split, file, f"{file} {loss}.") for loss in losses_of(pair.image)
    )
    examined = Examined(pair, (*findings, *unread))
    if image is not None:
        examined = dataclasses.replace(
            examined,
            size=image.shape[:2],
            digest=_digest(image),
            hash=perceptual_hash(image),
        )
    if findings:
        return examined
    label = np.ascontiguousarray(label)
    counts = count_labels(label)
    return Usable(
        pair,
        (*unread, *_odd_masks(label, counts, pair, root, hierarchy)),
        size=image.shape[:2],
        digest=examined.digest,
        hash=examined.hash,
        label_digest=_digest(label),
        counts_l=np.append(counts[: len(hierarchy.labels.names)], counts[IGNORE_LABEL]),
    )


def _odd_masks(
    label_hw: np.ndarray,
    counts: np.ndarray,
    pair: Pair,
    root: pathlib.Path,
    hierarchy: Hierarchy,
) -> list[Finding]:
    """Masks that are in order but look like a mistake."""
    file = shown(pair.mask, root)
    present = [index for index in np.flatnonzero(counts).tolist() if index != IGNORE_LABEL]
    if len(present) < 2:
        what = f"the class {hierarchy.labels.names[present[0]]}" if present else "ignored pixels"
        text = f"{file} holds nothing but {printable(what)}."
        return [Finding("single_class", pair.split, file, text)]
    specks = count_specks(label_hw, present)
    if specks < MANY_SPECKS:
        return []
    text = f"{file} has {specks:,} islands of at most {speck_area(label_hw.size)} pixels."
    return [Finding("speckle", pair.split, file, text)]


def _digest(array: np.ndarray) -> bytes:
    """Equal for equal arrays of uint8, and for no others."""
    digest = hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16)
    digest.update(str(array.shape).encode())
    return digest.digest()
