"""Pictures that occur twice, to the pixel or nearly."""

import itertools
import pathlib
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.inspection.examine import Examined, Usable
from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.inspection.near_duplicates import nearest_within
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.system.wording import counted

# Pictures of an earlier split that one looks like, and their share, from which on it is the scene
# that they share.
_SCENE, _SCENE_SHARE = 5, 0.1


def check_duplicates(
    examples: Sequence[Examined], spec: DatasetSpec, distance: int
) -> list[Finding]:
    """Images that occur twice, to the pixel, and across splits also those that nearly do.

    An image is named once for every earlier split that it resembles, with its nearest; those that
    resemble many are counted.

    Args:
      examples: of all splits.
      spec: of the data; splits that share a folder are not compared.
      distance: bits, of 64, in which hashes of near-duplicates differ at most.
    """
    by_split = {
        split: [e for e in examples if e.pair.split == split and e.digest] for split in spec.splits
    }
    findings = []
    for split in spec.splits:
        first: dict[bytes, Examined] = {}
        for example in by_split[split]:
            twin = first.setdefault(example.digest, example)
            if twin is not example:
                findings.append(_same("duplicate_within_split", example, twin, spec.root))
    places = {split: spec.layout(split).place for split in spec.splits}
    for earlier, later in itertools.combinations(spec.splits, 2):
        if places[earlier] != places[later]:
            findings += between(by_split[later], by_split[earlier], spec.root, distance)
    return findings


def between(
    queries: Sequence[Examined],
    references: Sequence[Examined],
    root: pathlib.Path | None,
    distance: int,
) -> list[Finding]:
    """Images of a split that occur in another one, to the pixel or nearly.

    Args:
      queries, references: of the two splits.
      root: findings name files relative to it; whole without one.
      distance: as in `check_duplicates`.
    """
    by_digest = {example.digest: example for example in reversed(references)}
    findings = [
        _same("duplicate_across_splits", example, by_digest[example.digest], root)
        for example in queries
        if example.digest in by_digest
    ]
    hashed = [e for e in queries if e.hash is not None and e.digest not in by_digest]
    candidates = [e for e in references if e.hash is not None]
    nearest = nearest_within(
        np.array([e.hash for e in hashed], np.uint64),
        np.array([e.hash for e in candidates], np.uint64),
        distance,
    )
    alike_n = nearest.count_n >= max(_SCENE, _SCENE_SHARE * len(candidates))
    # Of a picture that was multiplied there is one here and there.
    alike_n &= alike_n.sum() > len(hashed) / 2
    if alike_n.any():
        pair = hashed[int(alike_n.argmax())].pair
        file, other = shown(pair.image, root), candidates[0].pair.split
        text = (
            f"{counted(int(alike_n.sum()), 'picture')} of {pair.split} look like many of {other}, "
            f"the first, {file}, like {nearest.count_n[alike_n][0]:,} of {len(candidates):,}."
        )
        findings.append(Finding("one_scene", pair.split, file, text))
    for query in np.argsort(nearest.distance_n, kind="stable").tolist():
        count = int(nearest.count_n[query])
        if count and not alike_n[query]:
            pair, twin = hashed[query].pair, candidates[nearest.reference_n[query]].pair
            file, other = shown(pair.image, root), shown(twin.image, root)
            more = f", and {count - 1:,} more of {twin.split}" if count > 1 else ""
            text = (
                f"{file} nearly equals {other} (hashes differ in "
                f"{nearest.distance_n[query]} of 64 bits){more}."
            )
            kind = "near_duplicate_across_splits"
            findings.append(Finding(kind, pair.split, file, text, other))
    return findings


def _same(kind: str, example: Examined, twin: Examined, root: pathlib.Path | None) -> Finding:
    file, other = (shown(e.pair.image, root) for e in (example, twin))
    if example.pair.image == twin.pair.image:
        text = f"{file} is in {twin.pair.split} and in {example.pair.split}."
        return Finding(kind, example.pair.split, file, text, other)
    masks = ""
    if isinstance(example, Usable) and isinstance(twin, Usable):
        same = example.label_digest == twin.label_digest
        masks = "; their masks are the same" if same else "; their masks differ"
    text = f"{file} equals {other}, pixel for pixel{masks}."
    return Finding(kind, example.pair.split, file, text, other)
