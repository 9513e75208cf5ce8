"""A whole data set examined: every pair once, then what only many of them show."""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Iterator

from hierseg_jax.data.inspection import across
from hierseg_jax.data.inspection.duplicates import check_duplicates
from hierseg_jax.data.inspection.examine import Examined, Usable, examine
from hierseg_jax.data.inspection.findings import Finding
from hierseg_jax.data.inspection.pairing import Pair, pair_files
from hierseg_jax.data.inspection.sides import check_sides
from hierseg_jax.data.inspection.value_findings import check_values, drawn_sentence
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.system.bars import bar
from hierseg_jax.system.cores import available_cores
from hierseg_jax.system.errors import HiersegError

# Bits, of 64, in which perceptual hashes of near-duplicates differ at most. On 850 street
# photographs of one composition other pictures are 14 and more apart; the same one scaled,
# recompressed or brightened is at most 6, less a margin of 1 % at most 8, of 2.5 % up to 12.
DISTANCE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
    """What was found.

    Attributes:
      spec: the data set.
      examples: every pair of files, examined.
      findings: about the data set, its files, and pictures that occur twice.
    """

    spec: DatasetSpec
    examples: tuple[Examined, ...]
    findings: tuple[Finding, ...]

    def usable(self, split: str) -> list[Usable]:
        """Examples of a split that training can read."""
        return [e for e in self.examples if isinstance(e, Usable) and e.pair.split == split]


def inspect_dataset(
    spec: DatasetSpec, distance: int = DISTANCE, *, alone: bool = True
) -> Inspection:
    """Reads every file once, in as many threads as there are cores.

    What is kept of a pair are 2 to 3 KB, whatever the size of the images.

    Args:
      spec: of a data.yaml.
      distance: bits in which near-duplicates' hashes differ at most, 0 to 16.
      alone: whether it is trained on alone, so that it must have every class and split.

    Raises:
      ValueError, FileNotFoundError: no split is given, a list of images is missing or names what
        is not there, or `distance` is out of range.
      OSError: a folder that cannot be listed.
    """
    if not spec.splits:
        raise HiersegError(f"{spec.file} gives no image folder; add `train: FOLDER` and so on.")
    if not 0 <= distance <= 16:
        raise HiersegError(f"--distance is {distance}; give 0 to 16, of 64 bits.")
    pairs: list[Pair] = []
    findings = across.check_splits(spec, alone)
    # Of several data sets it is the common tree's, and no matter of this one.
    findings += across.check_background(spec) + check_sides(spec) if alone else []
    for split in spec.splits:
        of_split, faults = pair_files(split, spec.layout(split))
        pairs += of_split
        findings += faults
    examples = tuple(_examine_all(pairs, spec))
    findings += check_values(spec, examples)
    inspection = Inspection(spec, examples, ())
    # That a split has no class at all is told once, not of every mask.
    bare = {s for s in spec.splits if across.is_bare(inspection.usable(s), spec.hierarchy)}
    found = [
        finding
        for example in examples
        for finding in example.findings
        if not (finding.kind in ("single_class", "background_alone") and finding.split in bare)
    ]
    findings += across.without_many(found, len(examples))
    cause = drawn_sentence(spec, examples)
    for split in spec.splits:
        if alone or split in bare:
            usable = inspection.usable(split)
            findings += across.check_classes(
                split, usable, spec.hierarchy, cause=cause, alone=alone
            )
    findings += across.check_sizes(examples, spec)
    findings += check_duplicates(examples, spec, distance)
    return dataclasses.replace(inspection, findings=tuple(findings))


def _examine_all(pairs: list[Pair], spec: DatasetSpec) -> Iterator[Examined]:
    check = functools.partial(examine, spec=spec)
    # OpenCV, hashing and reading release Python's lock.
    with concurrent.futures.ThreadPoolExecutor(available_cores()) as pool:
        done = pool.map(check, pairs)
        yield from bar(done, "reading", len(pairs))
