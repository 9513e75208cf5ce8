"""Bright colours in OKLCH, and how far apart eyes see them, those with a deficiency among them.

OKLab is that of Björn Ottosson (2020). Deficiencies are simulated as by Machado, Oliveira and
Fernandes (2009) at full severity.
"""

import dataclasses
import functools

import numpy as np

# Of linear sRGB: nothing, protanopia, deuteranopia, tritanopia.
_EYES = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ]
)
# Most people see all hues; what they see has to be farther apart to count as much.
_WEIGHTS = np.array([0.6, 1, 1, 1])
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Lightness of the colours, darkest to brightest: what is darker looks dirty on a photograph, and
# what is brighter has no hue.
_LIGHTNESS = np.arange(0.50, 0.935, 0.03)
_HUES = np.arange(0, 360, 6)
_CHROMA = np.arange(0.10, 0.33, 0.01)
_PALE = 0.7
"""Of the largest chroma that a screen has: the second shade of every lightness and hue."""


@dataclasses.dataclass(frozen=True, eq=False)
class Swatches:
    """The colours that classes may have.

    Attributes:
      rgb_n3: uint8, sRGB.
      hues_n: float, degrees.
      chroma_n: float.
      seen_en3: float, OKLab as each of the four kinds of eyes sees them.
    """

    rgb_n3: np.ndarray
    hues_n: np.ndarray
    chroma_n: np.ndarray
    seen_en3: np.ndarray


@functools.cache
def swatches() -> Swatches:
    """As vivid as a screen shows them, and a paler shade of each."""
    grid = np.meshgrid(_LIGHTNESS, _HUES, _CHROMA, indexing="ij")
    lightness, hue, chroma = (axis.astype(float) for axis in grid)
    linear = _linear_of_lch(lightness, chroma, hue)
    shown = ((linear >= 0) & (linear <= 1)).all(-1)
    vivid = np.where(shown, chroma, 0).max(-1)
    rows = []
    for of_vivid in (vivid, _PALE * vivid):
        rows += [
            (light, of_vivid[i, j], hue)
            for i, light in enumerate(_LIGHTNESS.tolist())
            for j, hue in enumerate(_HUES.tolist())
            if of_vivid[i, j] >= _CHROMA[0]
        ]
    lightness_n, chroma_n, hues_n = np.array(rows).T
    rgb_n3 = _encoded(_linear_of_lch(lightness_n, chroma_n, hues_n))
    return Swatches(rgb_n3, hues_n, chroma_n, _seen(rgb_n3))


@functools.lru_cache(1024)
def distances(rgb: tuple[int, int, int]) -> np.ndarray:
    """How far every swatch is from a colour, to the eyes that see the least of it: float [N].

    Weighted by `_WEIGHTS`; read-only.
    """
    apart_en3 = swatches().seen_en3 - _seen(np.array([rgb]))
    # Rounded, so that every processor chooses the same of two that are as far.
    apart_en = np.sqrt((apart_en3**2).sum(-1)) * _WEIGHTS[:, None]
    distances_n = apart_en.min(0).round(5)
    distances_n.flags.writeable = False
    return distances_n


def hue_of(rgb: tuple[int, int, int]) -> float:
    """In degrees, 0 to 360; that of a grey is of no meaning."""
    _, a, b = _seen(np.array([rgb]))[0, 0]
    return float(np.degrees(np.arctan2(b, a)) % 360)


def _seen(rgb_n3: np.ndarray) -> np.ndarray:
    """uint8 sRGB as OKLab of each kind of eyes: float [4, N, 3]."""
    values = rgb_n3 / 255
    linear_n3 = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear_en3 = np.clip(np.einsum("eij,nj->eni", _EYES, linear_n3), 0, 1)
    return np.cbrt(linear_en3 @ _TO_CONES.T) @ _TO_LAB.T


def _linear_of_lch(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    radians = np.radians(hue)
    lab = np.stack([lightness, chroma * np.cos(radians), chroma * np.sin(radians)], -1)
    return (lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T


def _encoded(linear: np.ndarray) -> np.ndarray:
    clipped = np.clip(linear, 0, 1)
    values = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.round(255 * values).astype(np.uint8)
