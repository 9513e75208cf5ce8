"""One image and its mask: what they hold, and what is wrong with them."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hierseg_jax.data.inspection.blur import as_bytes, find_blur
from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.inspection.pairing import Pair
from hierseg_jax.data.inspection.perceptual_hash import perceptual_hash
from hierseg_jax.data.inspection.speckle import MANY_SPECKS, count_specks, speck_area
from hierseg_jax.data.label_statistics import count_labels
from hierseg_jax.data.read.image_files import ASK, check_size, read_image
from hierseg_jax.data.read.png import palette_of
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.data.read.unread import PAGES, is_stack, losses_of
from hierseg_jax.data.read.value_names import IGNORE
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import printable
from hierseg_jax.tree.hierarchy import IGNORE_LABEL


@dataclasses.dataclass(frozen=True, eq=False)
class Examined:
    """A pair after a look at every pixel; small, so that very many can be kept.

    Attributes:
      pair: the files.
      findings: about them.
      size: (height, width) of the image; None where it can't be read.
      digest: of the image's pixels and size; empty where it can't be read.
      hash: perceptual; None where the image can't be read or has no structure.
      values: numbers from 0 to 255 that the mask holds as it is stored; empty where it holds
        colours or can't be read.
      colours: of a mask with a palette, those of `values`, 0xRRGGBB; else empty.
    """

    pair: Pair
    findings: tuple[Finding, ...]
    size: tuple[int, int] | None = None
    digest: bytes = b""
    hash: int | None = None
    values: tuple[int, ...] = ()
    colours: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Usable(Examined):
    """A pair that training reads.

    Attributes:
      label_digest: of the mask's pixels and size.
      counts_l: uint32 [L + 1], pixels of every label and, last, ignored ones.
      ignored_values: of a mask that is mostly ignored, the value or colour that most of these
        pixels hold, and their number; else empty.
    """

    size: tuple[int, int]
    label_digest: bytes
    counts_l: np.ndarray
    ignored_values: tuple[tuple[int, int], ...] = ()


def examine(pair: Pair, spec: DatasetSpec) -> Examined:
    """Reads and checks a pair of a data set; what can't be read becomes a finding."""
    findings: list[Finding] = []
    root = spec.root

    def attempt(kind: str, file: pathlib.Path, check: Callable[..., Any], *given: Any) -> Any:
        try:
            return check(*given)
        except (HiersegError, OSError) as error:
            if isinstance(error, HiersegError):
                sentence = str(error)
            else:
                sentence = f"{file} cannot be read: {error.strerror or error}."
            text = printable(sentence.replace(f"{root}{os.sep}", "").replace(ASK, ""))
            findings.append(Finding(kind, pair.split, shown(file, root), text))
            return None

    image = attempt("unreadable_image", pair.image, read_image, pair.image)
    mask = attempt("unreadable_mask", pair.mask, spec.values.read, pair.mask)
    if image is not None and mask is not None:
        attempt("size_mismatch", pair.mask, check_size, mask, pair.mask, image, pair.image)
    label, blurred = None, []
    if mask is not None:
        label = attempt("unknown_labels", pair.mask, spec.values.labels, mask, pair.mask)
        blurred = _blurred(mask, pair, spec)
    file = shown(pair.image, root)
    odd = [Finding("unread", pair.split, file, f"{file} {loss}.") for loss in losses_of(pair.image)]
    if is_stack(pair.mask):
        where = shown(pair.mask, root)
        odd.append(Finding("unread", pair.split, where, f"{where} {PAGES}."))
    odd += blurred
    values = _values(mask, spec)
    palette = palette_of(pair.mask) if values else ()
    colours = tuple(palette[value] for value in values if value < len(palette))
    held: dict[str, Any] = {"values": values, "colours": colours}
    if image is not None:
        held |= {"size": image.shape[:2], "digest": _digest(image), "hash": perceptual_hash(image)}
    if findings:
        return Examined(pair, (*findings, *odd), **held)
    label = np.ascontiguousarray(label)
    counts = count_labels(label)
    odd += _odd_masks(label, counts, pair, spec, blurred=bool(blurred))
    return Usable(
        pair,
        tuple(odd),
        **held,
        label_digest=_digest(label),
        counts_l=np.append(counts[: len(spec.hierarchy.labels.names)], counts[IGNORE_LABEL]),
        ignored_values=_ignored_values(mask, label, int(counts[IGNORE_LABEL])),
    )


def _values(mask_hw: np.ndarray | None, spec: DatasetSpec) -> tuple[int, ...]:
    """As `Examined.values` has it."""
    if mask_hw is None or spec.has_colours:
        return ()
    if mask_hw.dtype != np.uint8:
        mask_hw = mask_hw[(mask_hw >= 0) & (mask_hw < 256)].astype(np.uint8)
    return tuple(np.flatnonzero(count_labels(mask_hw)).tolist())


def _ignored_values(
    mask_hw: np.ndarray, label_hw: np.ndarray, ignored: int
) -> tuple[tuple[int, int], ...]:
    """As `Usable.ignored_values` has it."""
    if 2 * ignored <= label_hw.size:
        return ()
    values, counts = np.unique(mask_hw[label_hw == IGNORE_LABEL], return_counts=True)
    most = int(counts.argmax())
    return ((int(values[most]), int(counts[most])),)


def _blurred(mask_hw: np.ndarray, pair: Pair, spec: DatasetSpec) -> list[Finding]:
    """A mask, as it is stored, that was interpolated or compressed as photographs are."""
    # Between two values alone is none of a class, and the data.yaml ignores what has no name.
    if spec.skips_unknown and sum(name != IGNORE for _, name in spec.labels) == 2:
        return []
    blur = find_blur(as_bytes(mask_hw, colours=spec.has_colours))
    if blur is None:
        return []
    file = shown(pair.mask, spec.root)
    what = "colours" if spec.has_colours else "values"
    text = f"{file} has {what} between those around them at {blur[1]:.0%} of its edges' pixels."
    return [Finding("blurred_mask", pair.split, file, text)]


def _odd_masks(
    label_hw: np.ndarray, counts: np.ndarray, pair: Pair, spec: DatasetSpec, *, blurred: bool
) -> list[Finding]:
    """Masks that are in order but look like a mistake; specks of blurred ones are told by that."""
    file, hierarchy = shown(pair.mask, spec.root), spec.hierarchy
    present = [index for index in np.flatnonzero(counts).tolist() if index != IGNORE_LABEL]
    if len(present) < 2:
        what = f"the class {hierarchy.labels.names[present[0]]}" if present else "ignored pixels"
        ignored = counts[IGNORE_LABEL] / max(int(counts.sum()), 1)
        if present and ignored >= 0.0005:
            what += f" and {ignored:.1%} ignored pixels"
        text = f"{file} holds nothing but {printable(what)}."
        kind = "background_alone" if present == [hierarchy.background] else "single_class"
        return [Finding(kind, pair.split, file, text)]
    if blurred or (specks := count_specks(label_hw, present)) < MANY_SPECKS:
        return []
    text = f"{file} has {specks:,} islands of at most {speck_area(label_hw.size)} pixels"
    if hierarchy.background in present:
        of_background = count_specks(label_hw, [hierarchy.background])
        text += f", {of_background:,} of them of the background"
    return [Finding("speckle", pair.split, file, f"{text}.")]


def _digest(array: np.ndarray) -> bytes:
    """Equal for equal arrays of uint8, and for no others."""
    digest = hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16)
    digest.update(str(array.shape).encode())
    return digest.digest()
