"""One colour a node of the tree, the same at every level and in every picture of the project.

Hues follow the tree: groups share the circle of hues, and what lies in a group has its hues.
Within its hues a class has the colour that is farthest from its siblings and its parent, to all
eyes (`oklch`). Nothing is drawn by chance, so that a tree has the same colours everywhere.
"""

import dataclasses
import functools
import re
import reprlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean, listed
from hierseg_jax.tree.oklch import Swatches, distances, hue_of, swatches
from hierseg_jax.tree.parsing import Children, Group, depth, walk

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
Range = tuple[float, float]
"""Of hues, in degrees, the first at most the second."""
GivenColors = tuple[tuple[str, Color], ...]
"""Name of a class or group -> its colour."""

IGNORED: Color = (224, 224, 224)
"""Of pixels that have no label."""
UNPAINTED: Color = (0, 0, 0)
"""Of a background, where something asks for one; pictures leave it as it is."""
# Degrees at which the first group's hues begin.
_START = 20.0
# Of a group's share of the circle what its classes use, so that neighbours differ; and at most
# so many degrees, for each of its classes and in all, so that they look alike.
_USED, _WIDEST_OF_ONE, _WIDEST = 0.7, 42.0, 120.0
# How much nearer than a sibling a class of another group may be.
_ELSEWHERE = 3.0
# What a colour without chroma would lose beside a vivid one, of so much chroma or more.
_DULLNESS, _VIVID = 0.5, 0.2
# Often enough that no choice changes any more in ordinary trees.
_SWEEPS, _LARGEST_SWEPT, _LARGEST_MOVED = 3, 24, 100
# Nodes of a family that are nearer may be taken for one another. How much nearer others may be
# that are shown with them, and those that never are.
_NEAR, _BESIDE, _NEVER = 0.08, 1.6, 5.0


def parse_colors(colors: Any, names: Collection[str], background: str | None) -> GivenColors:
    """`{torso: "#ff8000", head: [0, 90, 255]}`.

    Args:
      colors: a mapping from names to colours; None for none.
      names: of the classes and groups.
      background: the name of the background, if there is one.

    Raises:
      HiersegError: for what is no mapping, no name of the tree, the background, or no colour.
    """
    if colors is None:
        return ()
    if not isinstance(colors, Mapping):
        raise HiersegError(
            "colors: expected names with their colours, such as `{torso: '#ff8000'}`; got "
            f"{reprlib.repr(colors)}."
        )
    parsed = []
    for name, color in colors.items():
        if name == background:
            raise HiersegError(
                f"colors: {name!r} is the background, which pictures leave as it is; take it out."
            )
        if not isinstance(name, str) or name not in names:
            known = [each for each in names if each != background]
            hint = did_you_mean(name, known, f"they are {listed(known, 20)}.")
            raise HiersegError(f"colors: {reprlib.repr(name)} is no class or group; {hint}")
        parsed.append((name, _parse_color(name, color)))
    return tuple(parsed)


def _parse_color(name: str, color: Any) -> Color:
    if isinstance(color, str) and re.fullmatch("#[0-9a-fA-F]{6}", color):
        red, green, blue = bytes.fromhex(color[1:])
        return red, green, blue
    if isinstance(color, Sequence) and not isinstance(color, str) and len(color) == 3:
        whole = [value for value in color if type(value) is int and 0 <= value <= 255]
        if len(whole) == 3:
            return whole[0], whole[1], whole[2]
    raise HiersegError(
        f"colors: {reprlib.repr(color)} of {name!r} is no colour; give '#ff8000' in quotes, or "
        "red, green and blue from 0 to 255, as in [255, 128, 0]."
    )


def css_color(color: Sequence[int]) -> str:
    """As a style writes it: `#ff8000`."""
    return "#{:02x}{:02x}{:02x}".format(*color)


@dataclasses.dataclass(frozen=True, eq=False)
class Palette:
    """The colours of a tree, chosen when they are first asked for.

    Attributes:
      children: of the root.
      class_names: of the leaf classes.
      given: colours of the user's.
    """

    children: Children
    class_names: tuple[str, ...]
    given: GivenColors = ()

    def of(self, names: Sequence[str]) -> np.ndarray:
        """uint8 RGB [N, 3] of classes and groups; black of a background, which isn't painted."""
        return np.array([self._by_name.get(name, UNPAINTED) for name in names], np.uint8)

    @functools.cached_property
    def _by_name(self) -> dict[str, Color]:
        return tree_colors(self.children, self.class_names, self.given)


def tree_colors(
    children: Children, class_names: Sequence[str], given: GivenColors = ()
) -> dict[str, Color]:
    """A colour for every class and group but a background, by name.

    Args:
      children: of the root.
      class_names: of the leaf classes.
      given: colours that are already chosen.
    """
    colors = dict(given)
    table = swatches()
    hues_of: dict[str, Range] = {}
    shown: dict[str, tuple[int, int]] = {}
    kin: list[set[str]] = []
    families: list[tuple[Children, str | None, Range]]
    families = [(children, None, (_START, _START + 360.0))]
    deepest = depth(children)
    for level in range(deepest):
        below: list[tuple[Children, str | None, Range]] = []
        for family, parent, hues in families:
            names = [n.name if isinstance(n, Group) else class_names[n] for n in family]
            ranges = _ranges(family, names, colors, hues)
            _choose(names, ranges, parent, colors, table)
            kin.append({*names, *filter(None, [parent])})
            for node, name, own in zip(family, names, ranges, strict=True):
                hues_of[name] = own
                # A group of one class may have its name, and is then shown where that is, too.
                last = level if isinstance(node, Group) else deepest
                shown[name] = shown.get(name, (level,))[0], last
                if isinstance(node, Group):
                    below.append((node.children, name, own))
        families = below
    free = {name: hues_of[name] for name in hues_of.keys() - dict(given)}
    _move_apart(free, kin, shown, colors, table)
    return colors


def _move_apart(
    hues_of: Mapping[str, Range],
    families: Sequence[Collection[str]],
    shown: Mapping[str, tuple[int, int]],
    colors: dict[str, Color],
    table: Swatches,
) -> None:
    """Moves nodes that are too near others, within their hues, in place.

    Families were chosen from the root down, where nobody knew how narrow it would become.

    Args:
      hues_of: of those that may be moved.
      families: parents with their children, who are to differ most.
      shown: the first and the last level at which a node is.
    """
    names = sorted(hues_of, key=lambda name: (-shown[name][1], name))
    own = {name: {n for family in families if name in family for n in family} for name in names}
    vivid_n = _vividness(table)
    rows = {name: distances(color) for name, color in colors.items()}

    def apart(name: str, other: str) -> np.ndarray:
        (first, last), (a, b) = shown[name], shown[other]
        together = a <= last and first <= b
        return (1.0 if other in own[name] else _BESIDE if together else _NEVER) * rows[other]

    for _ in range(_SWEEPS if len(colors) <= _LARGEST_MOVED else 1):
        moved = False
        for name in names:
            others = [apart(name, other) for other in shown if other != name]
            if not others:
                continue
            nearest_n = np.minimum.reduce(others)
            here = int((table.rgb_n3 == colors[name]).all(-1).argmax())
            if nearest_n[here] >= _NEAR:
                continue
            best = int(np.where(_within(table, hues_of[name]), nearest_n * vivid_n, -1).argmax())
            if nearest_n[best] > nearest_n[here]:
                colors[name] = _rgb(table, best)
                rows[name] = distances(colors[name])
                moved = True
        if not moved:
            break


def _vividness(table: Swatches) -> np.ndarray:
    """Factors of distances, less than 1 for dull colours."""
    return 1 - _DULLNESS * (1 - np.minimum(table.chroma_n / _VIVID, 1))


def _within(table: Swatches, hues: Range) -> np.ndarray:
    """Whether hues are in a range; of one that is narrower than their steps the nearest is."""
    low, high = hues
    return _beside(table, hues) <= max((high - low) / 2, 3.0)


def _beside(table: Swatches, hues: Range) -> np.ndarray:
    """Degrees from the middle of a range."""
    return np.abs((table.hues_n - sum(hues) / 2 + 180) % 360 - 180)


def _rgb(table: Swatches, index: int) -> Color:
    red, green, blue = table.rgb_n3[index].tolist()
    return red, green, blue


def _ranges(
    family: Children, names: Sequence[str], colors: Mapping[str, Color], hues: Range
) -> list[Range]:
    """The hues of every sibling: a group's are its own, a class may have all of the family's."""
    low, high = hues
    leaves = [len(list(walk(n.children))) if isinstance(n, Group) else 0 for n in family]
    ranges, start = [], low
    for name, count in zip(names, leaves, strict=True):
        share = (high - low) * count / max(1, sum(leaves))
        own = (low, high)
        # A group alone with itself leaves all hues to what it holds.
        if count and len(family) > 1:
            width = min(_WIDEST, _WIDEST_OF_ONE * count, _USED * share)
            middle = hue_of(colors[name]) if name in colors else start + share / 2
            own = (middle - width / 2, middle + width / 2)
        ranges.append(own)
        start += share
    return ranges


def _choose(
    names: Sequence[str],
    ranges: Sequence[Range],
    parent: str | None,
    colors: dict[str, Color],
    table: Swatches,
) -> None:
    """Gives every sibling without a colour the farthest from what there is, in place."""
    elsewhere = [c for name, c in colors.items() if name not in names and name != parent]
    fixed_n = np.full(len(table.rgb_n3), np.inf)
    for color in elsewhere:
        fixed_n = np.minimum(fixed_n, _ELSEWHERE * distances(color))
    if parent is not None:
        fixed_n = np.minimum(fixed_n, distances(colors[parent]))
    rows = {name: distances(colors[name]) for name in names if name in colors}
    free = [(name, own) for name, own in zip(names, ranges, strict=True) if name not in colors]
    vivid_n = _vividness(table)
    nearest_n = np.minimum.reduce([fixed_n, *rows.values()])
    for sweep in range(_SWEEPS if len(names) <= _LARGEST_SWEPT else 1):
        for name, hues in free:
            if sweep:  # the others are where they were put, so that this one may move
                others = [row for other, row in rows.items() if other != name]
                nearest_n = np.minimum.reduce([fixed_n, *others])
            beside_n, within_n = _beside(table, hues), _within(table, hues)
            # The first of all keeps no distance but to the middle of its hues.
            apart_n = np.where(np.isinf(nearest_n), 1 - beside_n / 180, nearest_n) * vivid_n
            best = int(np.where(within_n, apart_n, -1).argmax())
            colors[name] = _rgb(table, best)
            rows[name] = distances(colors[name])
            nearest_n = np.minimum(nearest_n, rows[name])
