"""A whole picture as polygons: backdrop, clutter, people, and what stands before them."""

import cmath
import math
from typing import NamedTuple

import numpy as np

from hierseg_jax.data.figures.body import draw_person, random_color
from hierseg_jax.data.figures.shapes import (
    Cloth,
    Color,
    Fill,
    Material,
    Range,
    cover,
    ellipse,
    limb,
    patch,
    shading,
    solid,
)

BACKGROUND = 0
PATTERNS = ("plain", "plain", "stripes", "bars", "checks", "dots")


class Finish(NamedTuple):
    """What the camera does to the finished picture.

    Attributes:
      gain: per channel factor, RGB.
      gamma: exponent on intensities in [0, 1].
      blur: standard deviation in unit lengths; 0 is sharp.
      noise: largest deviation of a pixel, in [0, 1].
    """

    gain: Color
    gamma: float
    blur: float
    noise: float


class Scene(NamedTuple):
    """A picture at no particular size.

    Attributes:
      backdrop_hw3: float32 RGB in [0, 1], a few pixels that are blown up to the
        picture; it shows where no material is.
      grain_hw: uint8, random texture of the materials with grain; 128 is neutral.
      fills: hindmost first.
      finish: the camera.
    """

    backdrop_hw3: np.ndarray
    grain_hw: np.ndarray
    fills: tuple[Fill, ...]
    finish: Finish


def random_scene(rng: np.random.Generator) -> Scene:
    """One to three people somewhere."""
    light = -1.0 if rng.random() < 0.5 else 1.0
    horizon = float(rng.uniform(0.45, 0.8))
    backdrop_hw3, fills = _surroundings(rng, horizon)
    for _ in range(rng.integers(4)):
        fills += _clutter(rng, light)
    for at, height in _places(rng):
        fills += _shadow(at, height) + draw_person(rng, at, height, light)
    if rng.random() < 0.45:
        fills += _obstacle(rng, light)
    grain_hw = rng.integers(0, 256, (96, 96), np.uint8)
    return Scene(backdrop_hw3, grain_hw, tuple(fills), _finish(rng))


def _finish(rng: np.random.Generator) -> Finish:
    red, green, blue, gamma, blur, noise = rng.random(6).tolist()
    return Finish(
        gain=(0.88 + 0.2 * red, 0.9 + 0.16 * green, 0.88 + 0.2 * blue),
        gamma=0.8 + 0.45 * gamma,
        blur=max(0.0, blur - 0.6) * 0.015,
        noise=0.04 * noise,
    )


def _places(rng: np.random.Generator) -> list[tuple[complex, float]]:
    """Ground below each person, and height: the farthest (smallest, highest) first."""
    pick, close = rng.random(2).tolist()
    count = 1 if pick < 0.55 else 2 if pick < 0.88 else 3
    if count == 1 and close < 0.25:  # Cut by the frame, as in a photograph from near by.
        height = float(rng.uniform(1.05, 1.5))
        return [(complex(rng.uniform(0.35, 0.65), 0.03 + 1.1 * height), height)]
    low, high = ((0.8, 0.97), (0.7, 0.95), (0.62, 0.88))[count - 1]
    slots = rng.permutation(count) + 0.5 + rng.uniform(-0.22, 0.22, count)
    heights = np.sort(rng.uniform(low, high, count))
    grounds = 0.99 - 0.3 * (0.95 - heights) * rng.uniform(0.2, 1.0)
    return [
        (complex(0.08 + 0.84 * slot / count, ground), height)
        for slot, ground, height in zip(
            slots.tolist(), grounds.tolist(), heights.tolist(), strict=True
        )
    ]


def _surroundings(rng: np.random.Generator, horizon: float) -> tuple[np.ndarray, list[Fill]]:
    """A backdrop of soft colours, and in most scenes a wall or a floor on it."""
    kind, cells = rng.integers(6), int(rng.integers(2, 9))
    if kind == 1:  # Twice as fine: busy, where a coarse grid is a soft gradient.
        cells *= 2
    brightness = rng.normal(scale=rng.uniform(0.04, 0.16), size=(cells, cells, 1))
    tint = rng.normal(scale=rng.uniform(0.01, 0.06), size=(cells, cells, 3))
    backdrop = np.array(random_color(rng, 0.25)) + brightness + tint
    backdrop = np.clip(backdrop, 0.02, 0.98).astype(np.float32)
    if kind <= 1:
        return backdrop, []
    floor = _random_cloth(rng, 0.25, period=(0.05, 0.16), grain=0.9)
    fills = _bricks(rng, horizon) if kind == 2 else _panels(rng, horizon) if kind == 3 else []
    ground = limb(0.5 + 1j, complex(0.5, horizon), (0.7, 0.55), round_ends=False)
    # With a range of t it has no dark edges.
    fills += cover(ground, floor, BACKGROUND, (0.0, 1.0))
    fills.append(Fill((patch(ground, t=(0.9, 1.0)),), shade=0.88))
    return backdrop, fills


def _random_cloth(
    rng: np.random.Generator, saturation: float, period: Range, grain: float
) -> Cloth:
    """Any two colours and pattern; `grain` is the largest."""
    colors = random_color(rng, saturation), random_color(rng, saturation)
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    return Cloth(*colors, pattern, float(rng.uniform(*period)), float(rng.uniform(0.0, grain)))


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([complex(x0, y0), complex(x1, y0), complex(x1, y1), complex(x0, y1)])


def _bricks(rng: np.random.Generator, bottom: float) -> list[Fill]:
    """A wall of bricks in three tones, in running bond, down to y = bottom."""
    height = float(rng.uniform(0.035, 0.08))
    length, gap = 2.3 * height, 0.14 * height
    tone = np.array(random_color(rng, 0.25))
    rows, columns = math.ceil(bottom / height), math.ceil(1.0 / length) + 1
    which = rng.integers(3, size=(rows, columns)).tolist()
    bricks: list[list[np.ndarray]] = [[], [], []]
    for row in range(rows):
        for column in range(columns):
            x, y = (column - 0.5 * (row % 2)) * length, row * height
            brick = _rectangle(x + gap, y + gap, x + length, y + height)
            bricks[which[row][column]].append(brick)
    return [
        Fill(tuple(some), Material(tuple((tone * factor).tolist()), BACKGROUND, 0.5))
        for some, factor in zip(bricks, (0.8, 0.92, 1.02), strict=True)
        if some
    ]


def _panels(rng: np.random.Generator, bottom: float) -> list[Fill]:
    """A wall with a pattern, as of wallpaper or boards."""
    cloth = Cloth(
        random_color(rng, 0.25),
        random_color(rng, 0.25),
        PATTERNS[rng.integers(2, len(PATTERNS))],
        float(rng.uniform(0.05, 0.2)),
    )
    wall = limb(0.5 + 0j, complex(0.5, bottom), (0.5, 0.5), round_ends=False)
    return cover(wall, cloth, BACKGROUND, (0.0, 1.0))


def _clutter(rng: np.random.Generator, light: float) -> list[Fill]:
    """A box, a ball, a stick or a leaf behind the people, in any colour, people's too."""
    kind, x, y, size, angle, thin = rng.random(6).tolist()
    start = complex(x, 0.95 * y)
    size = 0.06 + 0.3 * size
    angle = 2.0 * math.pi * angle
    end = start + cmath.rect(size, angle)
    cloth = _random_cloth(rng, 0.6, period=(0.03, 0.09), grain=0.8)
    if kind < 0.35:
        upright = start + 1j * size
        surface = limb(start, upright, (0.6 * size, 0.6 * size), round_ends=False)
    elif kind < 0.55:
        surface = ellipse(start, end, size * (0.2 + 0.4 * thin))
    elif kind < 0.8:
        width = 0.01 + 0.035 * thin
        surface = limb(start, end, (width, 0.8 * width))
    else:
        surface = limb(start, end, (0.3 * size, 0.0), round_ends=False)
    return cover(surface, cloth, BACKGROUND) + shading(surface, light)


def _shadow(at: complex, height: float) -> list[Fill]:
    """What a person darkens of the ground."""
    reach = 0.16 * height
    return [Fill((patch(ellipse(at - reach, at + reach, 0.03 * height)),), shade=0.7)]


def _obstacle(rng: np.random.Generator, light: float) -> list[Fill]:
    """A box, a pole or a plant between the people and the viewer."""
    kind, x, size = rng.random(3).tolist()
    x = 0.1 + 0.8 * x
    if kind < 0.4:
        cloth = Cloth(random_color(rng), random_color(rng), PATTERNS[rng.integers(6)], 0.08, 0.3)
        top = complex(x, 0.9 - 0.28 * size)
        width = 0.08 + 0.1 * size
        box = limb(top, complex(x, 1.1), (width, width), round_ends=False)
        lid = limb(top, top + 0.03j, (width + 0.015, width + 0.015), round_ends=False)
        return [
            *cover(box, cloth, BACKGROUND),
            *shading(box, light),
            *cover(lid, cloth._replace(pattern="plain"), BACKGROUND),
            *shading(lid, light),
        ]
    if kind < 0.65:
        cloth = Cloth(random_color(rng, 0.25), random_color(rng), "stripes", 0.3, 0.2)
        width = 0.012 + 0.02 * size
        pole = limb(complex(x, -0.1), complex(x, 1.1), (width, width), round_ends=False)
        return cover(pole, cloth, BACKGROUND) + shading(pole, light)
    return _plant(rng, x, size, light)


def _plant(rng: np.random.Generator, x: float, size: float, light: float) -> list[Fill]:
    """Leaves that fan out from the lower edge of the picture."""
    root = complex(x, 1.02)
    green = np.array([0.25, 0.55, 0.2]) * rng.uniform(0.5, 1.3)
    fills = []
    for angle, length, tone in rng.uniform((-1.1, 0.6, 0.75), (1.1, 1.0, 1.1), (9, 3)).tolist():
        length *= 0.18 + 0.24 * size
        tip = root + cmath.rect(length, angle - math.pi / 2)
        color = tuple(np.clip(green * tone, 0.0, 1.0).tolist())
        leaf = ellipse(root, tip, 0.1 * length)
        fills.append(solid(leaf, Material(color, BACKGROUND, 0.3)))
        fills += shading(leaf, light)
    return fills
