"""Broken inputs made from whole ones, and what must come of them.

Each kind is tried a hundred times in the default suite and 10,000 times with
`-m slow`; HIERSEG_FUZZ_EXAMPLES sets another number for the latter.
"""

import collections
import copy
import json
import os
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COUNTS = [
    pytest.param(100, id="few"),
    pytest.param(
        int(os.environ.get("HIERSEG_FUZZ_EXAMPLES", "10000")), id="many", marks=pytest.mark.slow
    ),
]

DEEP = "@deep@"
"""Stands in a tree for lists in lists, which `as_text` writes out."""

ODD_VALUES = (
    *(None, True, False, 0, 1, -1, 2, 3, 8, 255, 256, 2**31, 2**63, -(2**63), 10**30),
    *(0.5, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", " ", "a", "1", "background", "a" * 300, "\0", "\x1b[2J", "é 人", "\u202e", "\ud800"),
    *("../..", "/etc", "$\\frac{", "{}", "%s", DEEP, [], {}, [[]], [None], {"": None}, {"a": 1}),
)


def fuzz(count, strategy, outcome, whole=()):
    """Runs `outcome` on as many inputs; how often it returned what.

    An outcome is a word such as "read" or "refused"; an exception out of it is a defect. Inputs
    that are `whole` are read first: of those by chance all may be refused.
    """
    ends = collections.Counter(map(outcome, whole))
    assert ends.keys() <= {"read"}

    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def run(value):
        ends[outcome(value)] += 1

    run()
    print(dict(ends))
    assert ends["refused"]
    return ends


def read_or_refused(file, read):
    """The end of reading a file: it is read, or refused in a sentence that names it."""
    try:
        read(file)
    except (ValueError, OSError) as error:
        sentence = str(error)
        assert str(file) in sentence
        assert "\n" not in sentence
        assert len(sentence) < 1200 + len(str(file))
        sentence.encode()  # it can be printed
        return "refused"
    return "read"


@st.composite
def damaged(draw, seeds):
    """Bytes of one of the seeds after one to four accidents."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("flip", "number", "cut", "insert", "remove", "repeat")))
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = at + draw(st.integers(1, 16))
        if kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            size = draw(st.sampled_from((1, 2, 4, 8)))
            value = draw(st.sampled_from((0, 1, -1, 60_000, 2 ** (8 * size - 1) - 1)))
            order = draw(st.sampled_from(("big", "little")))
            data[at : at + size] = (value % 256**size).to_bytes(size, order)
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=16))
        elif kind == "remove":
            del data[at:end]
        else:
            data[at:at] = data[at:end] * draw(st.integers(1, 3))
    return bytes(data)


def with_checksums(png):
    """A PNG whose chunks have the right checksums again, as far as chunks can be told."""
    out, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4])
        if end + 4 > len(png):
            break
        out += png[at:end] + zlib.crc32(png[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(out) + png[at:]


@st.composite
def changed(draw, trees):
    """A tree of dicts and lists, one to three of whose places hold something else."""
    tree = json.loads(json.dumps(draw(st.sampled_from(trees))))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(("replace", "replace", "delete", "exchange", "rename")))
        if kind == "delete":
            del holder[key]
        elif kind == "exchange":
            other, place = draw(st.sampled_from(places))
            holder[key] = copy.deepcopy(other[place])
        elif kind == "rename" and isinstance(holder, dict):
            holder[draw(st.text(max_size=4))] = holder.pop(key)
        else:
            value = draw(
                st.sampled_from(ODD_VALUES) | st.integers() | st.floats() | st.text(max_size=20)
            )
            holder[key] = copy.deepcopy(value)
    return tree


def _places(tree):
    for key in tree if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


@st.composite
def as_text(draw, trees):
    """JSON (which is YAML) of changed trees; at DEEP lists in lists."""
    text = json.dumps(draw(trees), ensure_ascii=draw(st.booleans()))
    depth = draw(st.sampled_from((100, 500, 900, 990, 5000, 100_000)))
    return text.replace(f'"{DEEP}"', "[" * depth + "]" * depth)
