"""How a drawn person stands: random joint angles, and the joints that follow from them.

Lengths of a body are in units of its height, standing. Angles are in radians from
straight down, positive towards +x. Side 0 is the left one in the picture, side 1 the
right one.
"""

import math
from typing import NamedTuple

import numpy as np

# Degrees: (upper arm away from the body, bend of the elbow away from the body).
ARMS = {
    "hanging": (10, 6),
    "relaxed": (24, 14),
    "hip": (48, -100),
    "folded": (14, -118),
    "reaching": (82, 8),
    "waving": (86, 82),
    "raised": (152, 16),
    "overhead": (132, 62),
}
# Degrees: (thigh forward, bend of the knee backward) of the front and the hind leg.
STRIDES = {
    "walking": ((24, 6), (-18, 18)),
    "running": ((52, 66), (-22, 60)),
    "stepping": ((66, 70), (-4, 4)),
    "kneeling": ((80, 82), (6, 84)),
}


Pair = tuple[tuple[float, float], tuple[float, float]]
Joints = tuple[complex, complex, complex]


class Pose(NamedTuple):
    """Angles, and how far the body is turned away from the viewer's front.

    Attributes:
      lean, tilt: of the torso, and of the head on it.
      turn: 1.0 frontal, 0.35 in profile: factor on the widths across the body.
      facing: -1.0 or 1.0, the side (in x) towards which the person walks or looks.
      arms, legs: per side (upper, lower) absolute angles.
      reach: per side factor on the arm's length, as it points towards the viewer.
    """

    lean: float
    tilt: float
    turn: float
    facing: float
    arms: Pair
    legs: Pair
    reach: tuple[float, float]


def random_pose(rng: np.random.Generator) -> Pose:
    """A person standing, or in one of the strides, with arms in any of the positions."""
    pick, pace, alike, facing, *reach = rng.random(6).tolist()
    jitter = np.radians(rng.normal(size=10)).tolist()
    facing = -1.0 if facing < 0.5 else 1.0
    kinds = [list(ARMS)[k] for k in rng.integers(len(ARMS), size=2)]
    if alike < 0.5:
        kinds[1] = kinds[0]
    arms = _posed_arms(kinds, jitter[:4])
    turn, lean = 0.75 + 0.25 * pace, 3 * jitter[4]
    if pick < 0.55:
        spread = math.radians(5 + 16 * pace)
        left, right = (
            (sign * spread + 4 * j, 0.7 * sign * spread)
            for sign, j in zip((-1.0, 1.0), jitter[5:7], strict=True)
        )
        legs = left, right
    else:
        stride = list(STRIDES)[rng.integers(len(STRIDES))]
        legs = _striding_legs(stride, facing, jitter[5:7])
        turn = 0.4 + 0.3 * pace
        lean += facing * math.radians(4 + 8 * pace)
        if pace < 0.7:
            arms = _swinging_arms(pace, facing, jitter[7:9])
    return Pose(
        lean=lean,
        tilt=7 * jitter[9],
        turn=turn,
        facing=facing,
        arms=arms,
        legs=legs,
        reach=(0.8 + 0.2 * reach[0], 0.8 + 0.2 * reach[1]),
    )


def _posed_arms(kinds: list[str], jitter: list[float]) -> Pair:
    angles = []
    for side, (kind, sign) in enumerate(zip(kinds, (-1.0, 1.0), strict=True)):
        upper, bend = (math.radians(angle) for angle in ARMS[kind])
        upper += 9 * jitter[side]
        angles.append((sign * upper, sign * (upper + bend + 11 * jitter[2 + side])))
    return angles[0], angles[1]


def _striding_legs(stride: str, facing: float, jitter: list[float]) -> Pair:
    angles = []
    for (thigh, bend), j in zip(STRIDES[stride], jitter, strict=True):
        upper = math.radians(thigh) + 6 * j
        angles.append((facing * upper, facing * (upper - math.radians(bend))))
    return angles[0], angles[1]


def _swinging_arms(pace: float, facing: float, jitter: list[float]) -> Pair:
    """Arms that swing against the legs, elbows bent forward."""
    swing = math.radians(20 + 35 * pace)
    lower = [facing * (0.2 + 1.2 * pace + abs(12 * j)) for j in jitter]
    back, front = -facing * swing, facing * swing
    return (back, back + lower[0]), (front, front + lower[1])


class Skeleton(NamedTuple):
    """Joints, points x + iy in the picture's unit coordinates; pairs are by side."""

    pelvis: complex
    neck: complex
    chin: complex
    crown: complex
    arms: tuple[Joints, Joints]
    legs: tuple[Joints, Joints]


def direction(angle: float, length: float = 1.0) -> complex:
    """The vector of that length at that angle from straight down."""
    return complex(math.sin(angle) * length, math.cos(angle) * length)


def place_joints(pose: Pose, at: complex, height: float, leg_length: float) -> Skeleton:
    """Joints of a person whose pelvis is above `at`, and whose lowest foot is at its level.

    Args:
      at: point of the ground.
      height: of the person standing, unit lengths.
      leg_length: factor on the legs' usual share of the height.
    """
    up, across = direction(math.pi - pose.lean), direction(math.pi / 2 - pose.lean, pose.turn)
    head_up = direction(math.pi - pose.lean - pose.tilt)
    neck = 0.3 * up
    arms, legs = [], []
    for side, sign in enumerate((-1.0, 1.0)):
        shoulder = 0.265 * up + sign * 0.096 * across
        elbow = shoulder + direction(pose.arms[side][0], 0.168 * pose.reach[side])
        wrist = elbow + direction(pose.arms[side][1], 0.15 * pose.reach[side])
        arms.append((shoulder, elbow, wrist))
        hip = sign * 0.05 * across
        knee = hip + direction(pose.legs[side][0], 0.245 * leg_length)
        legs.append((hip, knee, knee + direction(pose.legs[side][1], 0.225 * leg_length)))
    lowest = max(ankle.imag for _, _, ankle in legs) + 0.035
    origin = at - 1j * height * lowest

    def place(joints: Joints) -> Joints:
        a, b, c = joints
        return origin + height * a, origin + height * b, origin + height * c

    neck, chin, crown = place((neck, neck + 0.02 * head_up, neck + 0.18 * head_up))
    return Skeleton(
        pelvis=origin,
        neck=neck,
        chin=chin,
        crown=crown,
        arms=(place(arms[0]), place(arms[1])),
        legs=(place(legs[0]), place(legs[1])),
    )
