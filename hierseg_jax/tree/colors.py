"""One colour a node of the tree, the same at every level and in every picture of the project.

Hues follow the tree: groups share the circle of hues, and what lies in a group is a shade of it.
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
from hierseg_jax.tree.parsing import Children, Group, walk

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
# so many degrees, so that they look alike.
_USED, _WIDEST = 0.7, 120.0
# How much nearer than a sibling a class of another group may be.
_ELSEWHERE = 3.0
# What a colour without chroma would lose beside a vivid one, of so much chroma or more.
_DULLNESS, _VIVID = 0.5, 0.2
# Often enough that no choice changes any more in ordinary trees.
_SWEEPS, _LARGEST_SWEPT = 3, 24


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
    families: list[tuple[Children, str | None, Range]]
    families = [(children, None, (_START, _START + 360.0))]
    while families:
        below: list[tuple[Children, str | None, Range]] = []
        for family, parent, hues in families:
            names = [n.name if isinstance(n, Group) else class_names[n] for n in family]
            ranges = _ranges(family, names, colors, hues)
            _choose(names, ranges, parent, colors, table)
            for node, name, own in zip(family, names, ranges, strict=True):
                if isinstance(node, Group):
                    below.append((node.children, name, own))
        families = below
    return colors


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
            width = min(_WIDEST, _USED * share)
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
    vivid_n = 1 - _DULLNESS * (1 - np.minimum(table.chroma_n / _VIVID, 1))
    nearest_n = np.minimum.reduce([fixed_n, *rows.values()])
    for sweep in range(_SWEEPS if len(names) <= _LARGEST_SWEPT else 1):
        for name, (low, high) in free:
            if sweep:  # the others are where they were put, so that this one may move
                others = [row for other, row in rows.items() if other != name]
                nearest_n = np.minimum.reduce([fixed_n, *others])
            # With a share as narrow as the steps between hues, the nearest one is within.
            beside_n = np.abs((table.hues_n - (low + high) / 2 + 180) % 360 - 180)
            within_n = beside_n <= max((high - low) / 2, 3.0)
            # The first of all keeps no distance but to the middle of its hues.
            apart_n = np.where(np.isinf(nearest_n), 1 - beside_n / 180, nearest_n) * vivid_n
            best = int(np.where(within_n, apart_n, -1).argmax())
            red, green, blue = table.rgb_n3[best].tolist()
            colors[name] = red, green, blue
            rows[name] = distances(colors[name])
            nearest_n = np.minimum(nearest_n, rows[name])
