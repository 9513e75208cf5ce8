"""The vocabulary of the drawn figures: materials, fills, and surfaces around an axis.

Everything is polygons in unit coordinates: x to the right, y down, the picture is the
square from (0, 0) to (1, 1). A point or vector is the complex number x + iy, which is
short to write and quick to turn. Patterns and shading are polygons too, so that a scene
looks the same at any size and no pixel of it is of two opinions about its class.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

EDGE_SHADE = 0.72

Color = tuple[float, float, float]
Range = tuple[float, float]


class Material(NamedTuple):
    """What a pixel shows, and what it is.

    Attributes:
      color: RGB in [0, 1], before shading.
      label: class index.
      grain: strength of its random texture, 0 (smooth) to 1.
    """

    color: Color
    label: int
    grain: float = 0.0


class Fill(NamedTuple):
    """One step of painting, over everything painted before.

    Attributes:
      polygons: complex128 [N] each, in unit coordinates; they don't overlap.
      material: what the polygons are made of from now on; None leaves that alone.
      shade: brightness from now on, 1.0 as is; None leaves that alone.
    """

    polygons: tuple[np.ndarray, ...]
    material: Material | None = None
    shade: float | None = None


class Cloth(NamedTuple):
    """A fabric: two colours and how they alternate.

    Attributes:
      color, second: RGB in [0, 1].
      pattern: "plain", "stripes" (across), "bars" (along), "checks" or "dots".
      period: of the pattern, in unit lengths.
      grain: as in `Material`.
    """

    color: Color
    second: Color
    pattern: str
    period: float
    grain: float = 0.0


class Surface(NamedTuple):
    """A band of varying width around a straight axis; t runs along it, v across it.

    The point at (t, v) is middle + v * offset, both interpolated at t.

    Attributes:
      start: where t = 0.
      axis: from t = 0 to t = 1.
      normal: unit vector towards v = 1.
      t_k: float64 [K], ascending; round ends reach below 0 and above 1.
      width_k: float64 [K], half-width in unit lengths.
      middle_k: complex128 [K], on the axis.
      offset_k: complex128 [K], from the axis to the edge where v = 1.
    """

    start: complex
    axis: complex
    normal: complex
    t_k: np.ndarray
    width_k: np.ndarray
    middle_k: np.ndarray
    offset_k: np.ndarray


def _surface(start: complex, axis: complex, t_k: np.ndarray, width_k: np.ndarray) -> Surface:
    normal = 1j * axis / abs(axis)
    return Surface(start, axis, normal, t_k, width_k, start + axis * t_k, normal * width_k)


@functools.cache
def _arc(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of `points` angles from 0 up to, but without, 90 degrees."""
    angle = np.arange(points) * (np.pi / 2 / points)
    return np.cos(angle), np.sin(angle)


@functools.cache
def _capped(knots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What `limb` needs for that many widths between two round caps.

    Returns:
      float64 [K] each: t without caps, what a first and a last half-width of 1 add to it;
      float64 [K, knots]: half-widths at t from those at the knots.
    """
    cosine, sine = _arc(4)
    zeros, nothing, between = np.zeros(4), np.zeros(knots), np.arange(knots) / (knots - 1)
    t_k = np.concatenate((zeros, between, zeros + 1.0))
    first_k = np.concatenate((-cosine, nothing, zeros))
    last_k = np.concatenate((zeros, nothing, cosine[::-1]))
    shares = np.zeros((knots + 8, knots))
    shares[:4, 0], shares[4:-4], shares[-4:, -1] = sine, np.eye(knots), sine[::-1]
    return t_k, first_k, last_k, shares


def limb(
    start: complex, end: complex, widths: tuple[float, ...], round_ends: bool = True
) -> Surface:
    """A surface through equally spaced half-widths, with round caps where asked for.

    Args:
      start, end: different points.
      widths: half-widths from start to end, unit lengths; at least two.
      round_ends: whether half circles close it beyond start and end.
    """
    axis, width_k = end - start, np.array(widths)
    if not round_ends:
        return _surface(start, axis, np.arange(len(widths)) / (len(widths) - 1), width_k)
    t_k, first_k, last_k, shares = _capped(len(widths))
    length = abs(axis)
    t_k = t_k + (widths[0] / length) * first_k + (widths[-1] / length) * last_k
    return _surface(start, axis, t_k, shares @ width_k)


@functools.cache
def _unit_ellipse() -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = _arc(6)
    t_k = np.concatenate((0.5 - 0.5 * cosine, (0.5,), 0.5 + 0.5 * cosine[::-1]))
    return t_k, np.concatenate((sine, (1.0,), sine[::-1]))


def ellipse(start: complex, end: complex, width: float) -> Surface:
    """An ellipse with one axis from start to end and half-width `width` across it."""
    t_k, width_k = _unit_ellipse()
    return _surface(start, end - start, t_k, width * width_k)


def widened(surface: Surface, factor: float) -> Surface:
    """The same surface, wider by a factor."""
    return _surface(surface.start, surface.axis, surface.t_k, factor * surface.width_k)


def patch(surface: Surface, v: Range = (-1.0, 1.0), t: Range | None = None) -> np.ndarray:
    """The part of a surface with v and t in these ranges: complex128 [N], a polygon.

    Args:
      v: -1 and 1 are the edges.
      t: by default all of the length, caps included.
    """
    middle, offset = surface.middle_k, surface.offset_k
    if t is not None:
        low, high = _clipped(surface, t)
        t_k = surface.t_k
        inside = t_k[(t_k > low) & (t_k < high)]
        middle, offset = _at(surface, np.concatenate(((low,), inside, (high,))))
    return np.concatenate((middle + v[0] * offset, (middle + v[1] * offset)[::-1]))


def _clipped(surface: Surface, t: Range) -> Range:
    return max(t[0], float(surface.t_k[0])), min(t[1], float(surface.t_k[-1]))


def _at(surface: Surface, t_n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and offset at t: complex128 [N] each."""
    width_n = np.interp(t_n, surface.t_k, surface.width_k)
    return surface.start + surface.axis * t_n, surface.normal * width_n


def solid(surface: Surface, material: Material) -> Fill:
    """All of a surface in one material, as dark as its edges stay."""
    return Fill((patch(surface),), material, EDGE_SHADE)


def cover(surface: Surface, cloth: Cloth, label: int, t: Range | None = None) -> list[Fill]:
    """Dresses a surface, or the part of it with t in a range, as pixels of class `label`."""
    material = Material(cloth.color, label, cloth.grain)
    fills = [solid(surface, material) if t is None else Fill((patch(surface, t=t),), material)]
    polygons = _pattern(surface, cloth, *_clipped(surface, t or (-math.inf, math.inf)))
    if len(polygons):
        fills.append(Fill(tuple(polygons), Material(cloth.second, label, cloth.grain)))
    return fills


def _pattern(surface: Surface, cloth: Cloth, low: float, high: float) -> np.ndarray:
    """Polygons of the second colour between t = low and t = high: complex128 [M, N]."""
    if cloth.pattern == "plain" or low >= high:
        return np.empty((0, 4), complex)
    step = cloth.period / abs(surface.axis)
    columns = max(2, round(2.0 * float(surface.width_k.max()) / cloth.period))
    if cloth.pattern == "dots":
        middles = (2.0 * np.arange(columns) + 1.0) / columns - 1.0
        return _dots(surface, cloth.period, np.arange(low + step / 2, high, step), middles)
    if cloth.pattern == "bars":  # Rows because the outline may be curved.
        rows = low + (high - low) / 6 * np.arange(7)
        quads = _quads(surface, rows, np.arange(2 * columns + 1) / columns - 1.0)[:, 1::2]
    elif cloth.pattern == "stripes":
        rows = np.append(np.arange(low, high, step / 2), high)
        quads = _quads(surface, rows, np.array((-1.0, 1.0)))[::2]
    else:  # checks
        rows = np.append(np.arange(low, high, step), high)
        quads = _quads(surface, rows, 2.0 * np.arange(columns + 1) / columns - 1.0)
        return quads[np.add.outer(np.arange(len(quads)), np.arange(columns)) % 2 == 1]
    return quads.reshape(-1, 4)


def _quads(surface: Surface, t_n: np.ndarray, v_m: np.ndarray) -> np.ndarray:
    """The cells of a grid on a surface: complex128 [N - 1, M - 1, 4]."""
    middle, offset = _at(surface, t_n)
    grid = middle[:, None] + v_m * offset[:, None]
    return np.stack((grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]), axis=-1)


def _dots(surface: Surface, period: float, t_n: np.ndarray, v_m: np.ndarray) -> np.ndarray:
    """Discs of a quarter period's radius on a grid, kept clear of the edges: [M, 8]."""
    middle, offset = _at(surface, t_n)
    center = middle[:, None] + v_m * offset[:, None]
    clear = np.abs(offset)[:, None] * (1.0 - np.abs(v_m)) > 0.25 * period
    return center[clear][:, None] + 0.25 * period * np.exp(0.25j * np.pi * np.arange(8))


def shading(surface: Surface, light: float) -> list[Fill]:
    """Brightens all but the edges of a surface, one side most, so that it looks round.

    Args:
      light: -1.0 or 1.0, the side (in x) that the light comes from.
    """
    side = light if surface.normal.real > 0 else -light
    lit = (0.0, 0.7) if side > 0 else (-0.7, 0.0)
    return [
        Fill((patch(surface, (-0.75, 0.75)),), shade=0.94),
        Fill((patch(surface, lit),), shade=1.08),
    ]
