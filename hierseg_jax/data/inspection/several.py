"""Several data sets that are trained on together: what only a look at all of them shows."""

import itertools
import pathlib
from collections.abc import Sequence

from hierseg_jax.data.inspection.across import TRAINED_WITH, check_classes
from hierseg_jax.data.inspection.duplicates import between
from hierseg_jax.data.inspection.findings import ERROR, KINDS, WARNING
from hierseg_jax.data.inspection.inspect_dataset import Inspection
from hierseg_jax.data.read.spec import SPLITS
from hierseg_jax.system.paths import in_bucket
from hierseg_jax.system.wording import counted, printable


def inspect_together(
    inspections: Sequence[Inspection], distance: int, limit: int
) -> list[tuple[str, str]]:
    """What is wrong or odd of data sets together.

    Args:
      inspections: of each, in one tree.
      distance: as in `inspect_dataset`.
      limit: pictures of a kind to name at most.

    Returns:
      (severity, sentence): errors for splits that none gives, and for classes that no training
      mask holds; warnings for classes that no mask of another split holds, for pictures that one
      has in training and another elsewhere, and for those that two have in one split.
    """
    told = [
        (ERROR, f"None of these data sets gives a folder for {split}.")
        for split in TRAINED_WITH
        if not any(split in each.spec.splits for each in inspections)
    ]
    for split in SPLITS:
        usable = [example for each in inspections for example in each.usable(split)]
        hierarchy = inspections[0].spec.hierarchy
        found = check_classes(split, usable, hierarchy, of=" of all data sets")
        told += [(KINDS[finding.kind].severity, finding.message) for finding in found[:limit]]
        if len(found) > limit:
            told.append((WARNING, f"and {len(found) - limit:,} more classes of {split}."))
    root = _common_folder([each.spec.root for each in inspections])
    for one, other in itertools.permutations(inspections, 2):
        for earlier, later in itertools.combinations(SPLITS, 2):
            references, queries = (
                [e for e in each.examples if e.pair.split == split and e.digest]
                for each, split in ((one, earlier), (other, later))
            )
            found = between(queries, references, root, distance)
            told += [(KINDS[finding.kind].severity, finding.message) for finding in found[:limit]]
            if len(found) > limit:
                rest = f"and {len(found) - limit:,} more of {earlier} and {later}"
                told.append((WARNING, f"{rest} of these data sets."))
    for one, other in itertools.combinations(inspections, 2):
        for split in SPLITS:
            both = _digests(one, split) & _digests(other, split)
            if both:
                files = " and ".join(printable(str(each.spec.file)) for each in (one, other))
                number = counted(len(both), "picture")
                told.append((WARNING, f"{split} has {number} that {files} share."))
    return told


def _common_folder(roots: Sequence[pathlib.Path]) -> pathlib.Path | None:
    """The folder of all; None where one is in a bucket, and another is not in it."""
    first, *others = roots
    for place in (first, *first.parents):
        # What is above a bucket is no folder.
        if in_bucket(place) and len(place.parts) < 2:
            return None
        if all(other.is_relative_to(place) for other in others):
            return place
    return None


def _digests(inspection: Inspection, split: str) -> set[bytes]:
    return {e.digest for e in inspection.examples if e.pair.split == split and e.digest}
