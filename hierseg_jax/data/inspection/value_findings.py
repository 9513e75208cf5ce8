"""What the values of all masks together say of their meaning: numbered otherwise, or ignored."""

import collections
from collections.abc import Sequence

import numpy as np

from hierseg_jax.data.inspection.examine import Examined, Usable
from hierseg_jax.data.inspection.findings import Finding, shown
from hierseg_jax.data.read.safe_yaml import flow
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.data.read.value_names import IGNORE
from hierseg_jax.system.wording import listed, printable
from hierseg_jax.tree.background import DEFAULT_NAME
from hierseg_jax.tree.hierarchy import IGNORE_LABEL

# Of a split's pixels, those ignored, from which on it is named.
MOSTLY = 0.5
# Ignored pixels that may be the background of masks that are numbered without one.
LEFT_OUT = 0.1
# Classes up to which a line of a data.yaml is written out.
WRITTEN = 30


def check_values(spec: DatasetSpec, examples: Sequence[Examined]) -> list[Finding]:
    """Indices that are off by one, or of palettes that differ, and splits mostly ignored.

    Of masks of 0 and 255 `drawn_sentence` tells, and nothing is said here.
    """
    if drawn_sentence(spec, examples):
        return []
    found = _shifted(spec, examples) + _differing_palettes(spec, examples)
    for split in spec.splits:
        usable = [e for e in examples if isinstance(e, Usable) and e.pair.split == split]
        found += _mostly_ignored(spec, split, usable)
    return found


def drawn_sentence(spec: DatasetSpec, examples: Sequence[Examined]) -> str:
    """What to write for masks of 0 and 255 alone, as drawing tools make them; empty for others."""
    names = _class_names(spec)
    if not names or IGNORE_LABEL in spec.ignored:
        return ""
    if set().union(*(e.values for e in examples)) != {0, IGNORE_LABEL}:
        return ""
    painted = names[1] if len(names) == 2 else "NAME"
    return (
        f"All masks hold nothing but 0 and 255, {_first(spec, examples, IGNORE_LABEL)} for one: "
        f"where 255 is what was painted, write {_labels({0: names[0], 255: painted})} in "
        f"{_yaml(spec)}."
    )


def _shifted(spec: DatasetSpec, examples: Sequence[Examined]) -> list[Finding]:
    names = _class_names(spec)
    ignored = {IGNORE_LABEL, *spec.ignored}
    held = collections.Counter(v for e in examples for v in set(e.values) - ignored)
    if not names or not held:
        return []
    count, most, in_file = len(names), max(held), _yaml(spec)
    background = spec.hierarchy.background
    has_background = background is not None and names[0] == spec.hierarchy.class_names[background]
    read = sum(bool(e.values) for e in examples)
    # That one mask of many is wrong is a fault of that mask.
    beyond = most == count and (held[most] > 1 or read == 1)
    file = _first(spec, examples, most)
    from_one = dict(enumerate(names, start=1))
    if beyond and 0 not in held:
        text = (
            f"The masks' values are {min(held)} to {most}, {most} in {file} for one, and the "
            f"classes' indices 0 to {count - 1}: where they count from 1, write "
            f"{_labels(from_one)} in {in_file}."
        )
    elif beyond and not has_background:
        text = (
            f"The masks' values are 0 to {most}, {most} in {file} for one: one more than there "
            f"are classes. Where 0 is none of them, write {_labels({0: IGNORE, **from_one})} in "
            f"{in_file}; or, to have it predicted, put {DEFAULT_NAME} first in `names`. Where "
            f"{most} is none of them, write `ignore: [{most}]`."
        )
    elif has_background and _looks_numbered_without(held, count, examples):
        file = _first(spec, examples, IGNORE_LABEL)
        left = {**dict(enumerate(names[1:])), IGNORE_LABEL: names[0]}
        last = printable(names[-1])
        text = (
            f"The masks' values are 0 to {most} and {IGNORE_LABEL}, as in {file}, and none holds "
            f"{count - 1}, {last}: where they are numbered without {printable(names[0])}, write "
            f"{_labels(left)} in {in_file}."
        )
    elif (
        len(held) == count
        and held.keys().isdisjoint(range(1, count))
        and (min(held.values()) > 1 or read == 1)
    ):
        in_order = dict(zip(sorted(held), names, strict=True))
        text = (
            f"The masks' values are {listed(sorted(held), WRITTEN)}, {most} in {file} for one, as "
            f"many as there are classes: where they are these in their order, write "
            f"{_labels(in_order)} in {in_file}."
        )
    else:
        return []
    return [Finding("shifted_labels", "", file, text)]


def _differing_palettes(spec: DatasetSpec, examples: Sequence[Examined]) -> list[Finding]:
    first: dict[int, dict[int, Examined]] = {}
    for example in examples:
        for value, colour in zip(example.values, example.colours, strict=False):
            first.setdefault(value, {}).setdefault(colour, example)
    several = {value: by_colour for value, by_colour in first.items() if len(by_colour) > 1}
    if not several:
        return []
    value = min(several)
    (one, in_one), (other, in_other), *_ = several[value].items()
    files = [shown(example.pair.mask, spec.root) for example in (in_one, in_other)]
    text = (
        f"{value} is #{one:06X} in the palette of {files[0]}, and #{other:06X} in that of "
        f"{files[1]}. Masks are read by their numbers; where it is the colours that tell classes "
        f"apart, name them: `labels: {{'#{one:06X}': NAME, '#{other:06X}': NAME, ...}}` in "
        f"{_yaml(spec)}."
    )
    return [Finding("differing_palettes", "", files[1], text)]


def _looks_numbered_without(
    held: collections.Counter[int], count: int, examples: Sequence[Examined]
) -> bool:
    """Whether every class but the last one occurs, and many pixels are ignored."""
    if count < 3 or held.keys() != set(range(count - 1)):
        return False
    counts = [e.counts_l.astype(np.int64) for e in examples if isinstance(e, Usable)]
    every = np.sum(counts, axis=0) if counts else np.zeros(1)
    return bool(every[-1] > LEFT_OUT * every.sum())


def _mostly_ignored(spec: DatasetSpec, split: str, usable: Sequence[Usable]) -> list[Finding]:
    shares = [e.counts_l[-1] / max(int(e.counts_l.sum()), 1) for e in usable]
    ignored = sum(int(e.counts_l[-1]) for e in usable)
    pixels = sum(int(e.counts_l.sum()) for e in usable)
    if ignored <= MOSTLY * pixels:
        return []
    values: collections.Counter[int] = collections.Counter()
    for example in usable:
        values.update(dict(example.ignored_values))
    worst = int(np.argmax(shares))
    file = shown(usable[worst].pair.mask, spec.root)
    ((value, _),) = values.most_common(1)
    name = f"'#{value:06X}'" if spec.has_colours else str(value)
    text = (
        f"{ignored / pixels:.0%} of the pixels of {split} are ignored, {shares[worst]:.0%} in "
        f"{file}; most of them hold {name}. If that is a class, or what the classes leave, "
        f"{_naming(spec, value, name)}."
    )
    return [Finding("mostly_ignored", split, file, text)]


def _naming(spec: DatasetSpec, value: int, shown_value: str) -> str:
    """What to do for an ignored value to be counted."""
    if not spec.has_colours and not 0 <= value <= 255:
        return "store it as a number from 0 to 255, for no other can have a name"
    names = _class_names(spec)
    if names:
        return f"write {_labels({**dict(enumerate(names)), value: 'NAME'})} in {_yaml(spec)}"
    return f"write `{shown_value}: NAME` in the `labels` of {_yaml(spec)}"


def _class_names(spec: DatasetSpec) -> tuple[str, ...]:
    """Of the masks' values, in order, where these are class indices; else empty."""
    if spec.labels and not spec.own_classes:
        return ()
    return tuple(name for _, name in spec.labels) or spec.hierarchy.class_names


def _first(spec: DatasetSpec, examples: Sequence[Examined], value: int) -> str:
    """The first mask that holds a value."""
    file = next(e.pair.mask for e in examples if value in e.values)
    return shown(file, spec.root)


def _labels(names: dict[int, str]) -> str:
    """A line of a data.yaml that can be pasted, or where it is too long, how it begins and ends."""
    if len(names) <= WRITTEN:
        return f"`labels: {printable(flow(names))}`"
    first, second, *_, last = names.items()
    begin = printable(flow(dict((first, second)))[:-1])
    return f"`labels: {begin}, ..., {printable(flow(dict([last]))[1:])}`"


def _yaml(spec: DatasetSpec) -> str:
    return printable(spec.file.name)
