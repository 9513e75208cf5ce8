"""What an exported .onnx says about itself: its `metadata_props`, written and read here.

All values are strings, and but for names and a sentence they hold JSON. Levels, leaf maps and
colours are written out beside the tree so that programs in other languages need no tree code.
"""

import dataclasses
import json
import reprlib
from collections.abc import Mapping
from typing import Any

from hierseg_jax.data import brightening
from hierseg_jax.data.picture_labels import FLOOR, STEPS
from hierseg_jax.data.resize import RESIZES
from hierseg_jax.data.sampling import SAMPLINGS
from hierseg_jax.data.sizes import MAX_SIDE
from hierseg_jax.runtime.rules import DECODING_RULES, input_rule, resize_rule
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import one_line
from hierseg_jax.tree.decoding import DECODINGS
from hierseg_jax.tree.hierarchy import Hierarchy

CONTRACTS = ("reference", "deploy")
NETWORK_KEYS = (
    "decoder",
    "hierarchical",
    "sibling_softmax",
    "padding",
    "norm_epsilon",
    "normalization",
)
"""Of the config's section `model`: what weights are computed with, beside the network's name."""
CONFIDENCE, SCORES = "confidence", "scores"
"""Outputs of `deploy` beside the label maps; its plain form has no `scores`."""
PREFIX = "hierseg."
FORMAT = 1
"""Of these metadata, under the key `format`. Whatever reads them refuses a greater one; keys may
come in without a new one. Files from before it was written have none."""
TEXT_KEYS = ("contract", "model", "precision", "parameters_sha256", "resize")
# Files older than these keys mean their defaults.
LATER_TEXT_KEYS = ("decoding", "sampling")
LATER_JSON_KEYS = ("network",)
JSON_KEYS = ("hierarchy", "image_size", "stride", "versions", "validation", "verification")
# How scores are written, under the key `scores`; `picture_labels.log_planes` does so.
LOG_PLANES = {"floor": FLOOR, "steps": STEPS}


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Provenance and input rules of an exported network.

    Attributes:
      contract: `reference` (float32 NCHW RGB in [0, 1] -> probabilities) or `deploy`
        (uint8 NHWC RGB -> a label map a level, a confidence and, unless it is plain, scores).
      hierarchy: of the classes.
      image_size: (height, width) in pixels that the network was made for; the only one
        it takes, unless the graph's input is dynamic.
      stride: sides of dynamic inputs are multiples of it.
      model: `esnet`, `effunet-b0`, ...
      precision: `float32`, `float16` or `int8`.
      parameters_sha256: of the checkpoint's variables, as its own `sha256` tells it.
      decoding: how classes follow from scores; see `hierseg_jax/tree/decoding.py`.
      resize: how pictures are brought to the size: `stretch`, `letterbox` or `crop`. For an
        input of h x w and a picture of H x W, `letterbox` scales both sides by
        min(h / H, w / W), rounded to whole pixels, and puts the result in the middle (rounded
        towards the top left) of grey, 128 in every channel;
        `crop` takes what `letterbox` would fill if h x w were to be put into H x W.
      sampling: how their pixels are sampled: bilinear about their centres, as in OpenCV's
        INTER_LINEAR. With `exact` a side that shrinks by more than 2 comes so to n times its
        new length, n = ceil(old / (2 new)), and then every n pixels are averaged; with
        `reference` it does not, however much it shrinks.
      score_stride: pixels of the input along each side that one score stands for: of the
        contract `reference` every number of `mask` is repeated so often along both sides; of
        `deploy` those of `scores` lie so far apart. In the file it is the `stride` of the key
        `scores`, beside `floor` and `steps`: a number x of `scores` stands for the score
        exp(floor * (1 - x / steps)), one at the floor or below it being 0.
      bright: light (`brightening.light`) that darker pictures are brought to before the network
        sees them; None: they stay as they are. In the file that is `brightening.rule`, or nothing.
      network: `NETWORK_KEYS` of the config's section `model`, with which training can start from
        the file; empty in older files.
      versions: of the packages that made the file.
      validation: what is known of the checkpoint's quality; plain JSON.
      verification: of the graph against JAX; plain JSON.
    """

    contract: str
    hierarchy: Hierarchy
    image_size: tuple[int, int]
    stride: int
    model: str
    precision: str
    parameters_sha256: str
    decoding: str = "leaf"
    resize: str = "stretch"
    sampling: str = "reference"
    score_stride: int = 1
    bright: int | None = None
    network: dict[str, Any] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    validation: dict[str, Any] = dataclasses.field(default_factory=dict)
    verification: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_props(self) -> dict[str, str]:
        """As `metadata_props`: string -> string."""
        texts = (*TEXT_KEYS, *LATER_TEXT_KEYS, "decoding_rule")
        return {
            PREFIX + key: value if key in texts else json.dumps(value)
            for key, value in self.to_json().items()
        }

    def to_json(self) -> dict[str, Any]:
        """The same, unprefixed and as plain JSON."""
        keys = (*TEXT_KEYS, *LATER_TEXT_KEYS, *JSON_KEYS, *LATER_JSON_KEYS)
        plain = {key: getattr(self, key) for key in keys}
        plain["format"] = FORMAT
        plain["input"] = input_rule(self.contract)
        plain["resizing"] = resize_rule(self.resize, self.sampling)
        plain["decoding_rule"] = DECODING_RULES[self.decoding]
        plain["image_size"] = list(self.image_size)
        plain["hierarchy"] = self.hierarchy.to_json()
        plain["scores"] = {"stride": self.score_stride, **LOG_PLANES}
        if self.bright is not None:
            plain["brightening"] = brightening.rule(self.bright)
        plain["levels"] = [
            {
                "name": level.name,
                "class_names": list(level.class_names),
                "leaf_to_class": level.leaf_to_class.tolist(),
                "colors_rgb": level.colors.tolist(),
                **({"background": None} if level.background is None else {}),
            }
            for level in self.hierarchy.levels
        ]
        return dict(sorted(plain.items()))

    @classmethod
    def from_props(cls, props: Mapping[str, str], file: str) -> "Metadata | None":
        """Inverse of `to_props`; None where the file was not written by this project.

        Args:
          props: `session.get_modelmeta().custom_metadata_map`.
          file: for messages.

        Raises:
          ValueError: metadata of this project that can't be understood.
        """
        told = {key.removeprefix(PREFIX): of for key, of in props.items() if key.startswith(PREFIX)}
        if not told:
            return None
        _check_format(told.get("format", "0"), file)
        missing = [key for key in (*TEXT_KEYS, *JSON_KEYS) if key not in told]
        if missing:
            raise HiersegError(f"{file} lacks the metadata {', '.join(missing)}; export it again.")
        texts, plain = (*TEXT_KEYS, *LATER_TEXT_KEYS), (*JSON_KEYS, *LATER_JSON_KEYS)
        values: dict[str, Any] = {key: told[key] for key in texts if key in told}
        try:
            values |= {key: json.loads(told[key]) for key in plain if key in told}
            values["hierarchy"] = Hierarchy.from_json(values["hierarchy"])
            values["image_size"] = _sides("image_size", values["image_size"], 2)
            (values["stride"],) = _sides("stride", [values["stride"]], 1)
            _check_mappings(values)
            if "scores" in told:  # else an earlier file
                values["score_stride"] = _score_stride(json.loads(told["scores"]), values["stride"])
            if "brightening" in told:
                values["bright"] = _bright(json.loads(told["brightening"]))
        except (ValueError, RecursionError) as error:
            reason = one_line(error, 300)
            raise HiersegError(
                f"{file} has metadata that can't be read ({reason}); export it again."
            ) from error
        if values["contract"] not in CONTRACTS or values["resize"] not in RESIZES:
            raise HiersegError(
                f"{file} follows the contract {values['contract'][:50]!r} with the resize rule "
                f"{values['resize'][:50]!r}; this version knows {', '.join(CONTRACTS)} with "
                f"{', '.join(RESIZES)}. Update hierseg_jax."
            )
        for key, known in (("decoding", DECODINGS), ("sampling", SAMPLINGS)):
            if values.get(key, known[0]) not in known:
                raise HiersegError(
                    f"{file} has the {key} {values[key][:50]!r}; this version knows "
                    f"{', '.join(known)}. Update hierseg_jax."
                )
        return cls(**values)


def _check_format(found: str, file: str) -> None:
    if not (found.isascii() and found.isdecimal() and len(found) < 10):
        raise HiersegError(
            f"{file} has metadata of the format {reprlib.repr(found)}, which is no whole number; "
            "export it again."
        )
    if int(found) > FORMAT:
        raise HiersegError(
            f"{file} has metadata of the format {found}; this version knows those up to {FORMAT}. "
            "Update hierseg_jax."
        )


def _sides(key: str, value: Any, count: int) -> tuple[int, ...]:
    whole = isinstance(value, list) and all(type(side) is int for side in value)
    if not whole or len(value) != count or not all(0 < side <= MAX_SIDE for side in value):
        raise HiersegError(
            f"{key} is {reprlib.repr(value)}, not {count} of the whole numbers 1 to {MAX_SIDE}"
        )
    return tuple(value)


def _score_stride(scores: Any, stride: int) -> int:
    if not isinstance(scores, dict) or scores != {**LOG_PLANES, "stride": scores.get("stride")}:
        raise HiersegError(
            f"scores is {reprlib.repr(scores)}, not a stride with "
            f"{', '.join(f'{key} {value}' for key, value in LOG_PLANES.items())}"
        )
    (found,) = _sides("the stride of scores", [scores["stride"]], 1)
    if stride % found:
        raise HiersegError(f"the stride of scores is {found}, which does not divide {stride}")
    return found


def _bright(found: Any) -> int:
    bright = found.get("to") if isinstance(found, dict) else None
    least, most = brightening.LEAST + 1, 255
    if type(bright) is not int or not least <= bright <= most or found != brightening.rule(bright):
        raise HiersegError(
            f"brightening is {reprlib.repr(found)}, not {brightening.rule(brightening.BRIGHT)} or "
            f"such with {least} to {most} in place of {brightening.BRIGHT}"
        )
    return bright


def _check_mappings(values: Mapping[str, Any]) -> None:
    for key in ("versions", "validation", "verification", "network"):
        if not isinstance(values.get(key, {}), dict):
            raise HiersegError(f"{key} is {reprlib.repr(values[key])}, not a mapping")
