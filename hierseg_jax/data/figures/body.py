"""One drawn person: skin, hair and clothes around the joints of a pose."""

import colorsys
import math
from typing import NamedTuple

import numpy as np

from hierseg_jax.data.figures.pose import (
    Joints,
    Pose,
    Skeleton,
    direction,
    place_joints,
    random_pose,
)
from hierseg_jax.data.figures.shapes import (
    Cloth,
    Color,
    Fill,
    Material,
    Surface,
    cover,
    ellipse,
    limb,
    patch,
    shading,
    solid,
    widened,
)
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART

LOW_HAND, TORSO, LOW_LEG, HEAD, UP_LEG, UP_HAND = (
    PASCAL_PERSON_PART.class_names.index(name)
    for name in ("low_hand", "torso", "low_leg", "head", "up_leg", "up_hand")
)

SKINS = (
    (0.98, 0.84, 0.74),
    (0.91, 0.72, 0.58),
    (0.78, 0.56, 0.41),
    (0.55, 0.36, 0.25),
    (0.36, 0.23, 0.17),
)
HAIRS = (
    (0.1, 0.08, 0.07),
    (0.28, 0.17, 0.1),
    (0.5, 0.33, 0.17),
    (0.82, 0.66, 0.38),
    (0.6, 0.25, 0.12),
    (0.66, 0.65, 0.64),
)
PATTERNS = ("plain", "plain", "plain", "stripes", "bars", "checks", "dots")


class Look(NamedTuple):
    """Everything about a person that the pose leaves open.

    Attributes:
      skin, hair, shoes: RGB in [0, 1].
      shirt, trousers: fabrics.
      sleeve, leg: how far they reach: 0 none, 1 to the elbow or knee, 2 all the way.
      hair_style: "short", "long", "bald" or "hat".
      hat: RGB in [0, 1].
      build: factor on all widths.
      from_behind: whether no face is seen.
    """

    skin: Color
    hair: Color
    shoes: Color
    shirt: Cloth
    trousers: Cloth
    sleeve: float
    leg: float
    hair_style: str
    hat: Color
    build: float
    from_behind: bool


def random_color(rng: np.random.Generator, saturation: float = 1.0, least: float = 0.0) -> Color:
    """RGB in [0, 1], of any hue; `least` and `saturation` in [0, 1] bound how colourful."""
    hue, strength, value = rng.random(3).tolist()
    return colorsys.hsv_to_rgb(hue, least + (saturation - least) * strength, 0.15 + 0.8 * value)


def _cloth(rng: np.random.Generator, height: float) -> Cloth:
    # People dress in stronger colours than walls and floors have.
    color, second = random_color(rng, 0.95, 0.4), random_color(rng, 0.95, 0.4)
    period, grain = rng.uniform((0.035, -0.5), (0.075, 1.0)).tolist()
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    return Cloth(color, second, pattern, period * height, max(0.0, grain))


def _random_look(rng: np.random.Generator, height: float) -> Look:
    shirt, trousers = _cloth(rng, height), _cloth(rng, height)
    if rng.random() < 0.6:
        trousers = trousers._replace(pattern="plain")
    sleeve, leg, skin, jitter, hair, build, behind = rng.random(7).tolist()
    tone = skin * (len(SKINS) - 1)
    low, part = SKINS[int(tone)], tone - int(tone)
    high = SKINS[int(tone) + 1]
    mixed = [(1 - part) * a + part * b for a, b in zip(low, high, strict=True)]
    style = "short" if hair < 0.45 else "long" if hair < 0.78 else "hat" if hair < 0.92 else "bald"
    return Look(
        skin=tuple(min(1.0, c * (0.93 + 0.14 * jitter)) for c in mixed),
        hair=HAIRS[rng.integers(len(HAIRS))],
        shoes=random_color(rng, 0.7),
        shirt=shirt,
        trousers=trousers,
        sleeve=2.0 if sleeve < 0.2 else 0.0 if sleeve > 0.9 else 0.4 + 0.6 * sleeve,
        leg=2.0 if leg < 0.35 else 0.4 + 0.6 * leg,
        hair_style=style,
        hat=random_color(rng),
        build=0.92 + 0.3 * build,
        from_behind=behind < 0.12,
    )


def draw_person(rng: np.random.Generator, at: complex, height: float, light: float) -> list[Fill]:
    """Fills of a random person, hindmost first.

    Args:
      at: point of the ground below the person.
      height: of the person standing, in unit lengths.
      light: -1.0 or 1.0, the side (in x) that the light comes from.
    """
    pose, look = random_pose(rng), _random_look(rng, height)
    leg_length, *front = rng.random(3).tolist()
    joints = place_joints(pose, at, height, 0.94 + 0.12 * leg_length)
    size = height * look.build
    far = 0 if pose.facing > 0 else 1
    # In profile the far arm is behind the body.
    hidden = [side == far if pose.turn < 0.7 else front[side] > 0.75 for side in (0, 1)]
    arms = [_arm(joints.arms[side], look, size, light) for side in (0, 1)]
    fills = arms[0] * hidden[0] + arms[1] * hidden[1]
    if look.hair_style == "long" and not look.from_behind:
        fills += _long_hair(joints, look, size, light)
    for side in (far, 1 - far):
        fills += _leg(joints.legs[side], look, _foot(pose, side), size, light)
    fills += _trunk(joints, look, pose, size, light) + _head(joints, look, pose, size, light)
    return fills + arms[0] * (not hidden[0]) + arms[1] * (not hidden[1])


def _segment(
    surface: Surface, under: Material, cloth: Cloth, reach: float, light: float
) -> list[Fill]:
    """A part of a limb in `under`, dressed from its start as far as t = `reach`."""
    if reach >= 1.0:
        fills = cover(surface, cloth, under.label)
    else:
        fills = [solid(surface, under)]
        if reach > 0.0:
            fills += cover(surface, cloth, under.label, (-1.0, reach))
    return fills + shading(surface, light)


def _arm(joints: Joints, look: Look, size: float, light: float) -> list[Fill]:
    shoulder, elbow, wrist = joints
    along = (wrist - elbow) / abs(wrist - elbow) * size
    hand = ellipse(wrist - 0.012 * along, wrist + 0.072 * along, 0.028 * size)
    lower = limb(elbow, wrist, (0.035 * size, 0.036 * size, 0.025 * size))
    upper = limb(shoulder, elbow, (0.042 * size, 0.042 * size, 0.035 * size))
    skin = Material(look.skin, LOW_HAND)
    return [
        solid(hand, skin),
        *shading(hand, light),
        *_segment(lower, skin, look.shirt, look.sleeve - 1.0, light),
        *_segment(upper, Material(look.skin, UP_HAND), look.shirt, look.sleeve, light),
    ]


def _foot(pose: Pose, side: int) -> complex:
    """From the ankle to the toes, of a body of height 1."""
    if pose.turn < 0.7:
        return complex(0.08 * pose.facing, 0.012)
    return complex((-0.03, 0.03)[side], 0.012)


def _leg(joints: Joints, look: Look, toes: complex, size: float, light: float) -> list[Fill]:
    hip, knee, ankle = joints
    foot = limb(ankle, ankle + size * toes, (0.03 * size, 0.023 * size))
    lower = limb(knee, ankle, (0.046 * size, 0.05 * size, 0.04 * size, 0.029 * size))
    upper = limb(hip, knee, (0.064 * size, 0.06 * size, 0.046 * size))
    shin, thigh = Material(look.skin, LOW_LEG), Material(look.skin, UP_LEG)
    return [
        *_segment(lower, shin, look.trousers, look.leg - 1.0, light),
        solid(foot, Material(look.shoes, LOW_LEG)),
        *shading(foot, light),
        *_segment(upper, thigh, look.trousers, look.leg, light),
    ]


def _trunk(joints: Skeleton, look: Look, pose: Pose, size: float, light: float) -> list[Fill]:
    """Hips in trousers, which count as upper legs; neck; shirt."""
    up = size * direction(math.pi - pose.lean)
    width = size * (0.55 + 0.45 * pose.turn)
    hips = limb(
        joints.pelvis + 0.05 * up,
        joints.pelvis - 0.05 * up,
        (0.09 * width, 0.098 * width, 0.05 * width),
        round_ends=False,
    )
    profile = (0.096, 0.09, 0.082, 0.084, 0.095, 0.108, 0.116, 0.114, 0.05)
    shirt = limb(
        joints.pelvis - 0.005 * up, joints.neck, tuple(width * w for w in profile), round_ends=False
    )
    neck = limb(joints.neck - 0.02 * up, joints.chin + 0.03 * up, (0.034 * size, 0.03 * size))
    return [
        *cover(hips, look.trousers, UP_LEG),
        *shading(hips, light),
        *cover(shirt, look.shirt, TORSO),
        *shading(shirt, light),
        Fill((patch(neck),), Material(look.skin, HEAD), 0.85),
    ]


def _long_hair(joints: Skeleton, look: Look, size: float, light: float) -> list[Fill]:
    """Hair down to the shoulders, around the head."""
    down = joints.chin - joints.crown
    widths = (0.05 * size, 0.074 * size, 0.078 * size, 0.07 * size)
    hair = limb(joints.crown + 0.25 * down, joints.crown + 1.25 * down, widths)
    return [solid(hair, Material(look.hair, HEAD, 0.4)), *shading(hair, light)]


def _head(joints: Skeleton, look: Look, pose: Pose, size: float, light: float) -> list[Fill]:
    face = ellipse(joints.chin, joints.crown, 0.062 * size)
    hair = ellipse(joints.chin, joints.crown + 0.06 * (joints.crown - joints.chin), 0.067 * size)
    locks = Material(look.hair, HEAD, 0.4)
    fills = [solid(face, Material(look.skin, HEAD)), *shading(face, light)]
    if look.from_behind and look.hair_style != "bald":
        fills += [Fill((patch(hair, t=(0.15, 1.0)),), locks), *shading(hair, light)]
        if look.hair_style == "long":
            fills += _long_hair(joints, look, size, light)
    elif not look.from_behind:
        fills += _face(face, look, pose)
        if look.hair_style != "bald":
            fills.append(Fill((patch(hair, t=(0.68, 1.0)),), locks))
            if pose.turn < 0.7:
                back = (-1.0, -0.1) if pose.facing > 0 else (0.1, 1.0)
                fills.append(Fill((patch(hair, back, (0.3, 0.7)),), locks))
    if look.hair_style == "hat":
        fills += _hat(hair, look, light)
    return fills


def _face(face: Surface, look: Look, pose: Pose) -> list[Fill]:
    """Eyes and mouth, moved to the side that the person looks to."""
    side = 0.1 * pose.facing if pose.turn >= 0.7 else 0.45 * pose.facing
    dark = Material((0.12, 0.1, 0.1), HEAD)
    red = Material((0.62 * look.skin[0], 0.3 * look.skin[1], 0.3 * look.skin[2]), HEAD)
    eyes = tuple(patch(face, (v - 0.11, v + 0.11), (0.5, 0.57)) for v in (side - 0.36, side + 0.36))
    mouth = patch(face, (side - 0.28, side + 0.28), (0.2, 0.25))
    return [Fill(eyes, dark), Fill((mouth,), red)]


def _hat(hair: Surface, look: Look, light: float) -> list[Fill]:
    top = widened(hair, 1.1)
    brim = widened(hair, 1.4)
    fabric = Material(look.hat, HEAD, 0.2)
    return [
        Fill((patch(top, t=(0.68, 1.0)),), fabric),
        Fill((patch(top, (0.2 * light, light), (0.68, 1.0)),), shade=1.1),
        Fill((patch(brim, t=(0.62, 0.7)),), fabric, 0.85),
    ]
