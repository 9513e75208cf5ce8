"""What an exported file tells people and programs: doc strings of its tensors, and MODEL.json.

onnxruntime-web and -node don't show a file's metadata; MODEL.json beside MODEL.onnx has the same.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx

from hierseg_jax.runtime.metadata import CONFIDENCE, LOG_PLANES, PREFIX, SCORES, Metadata
from hierseg_jax.system.atomic_writing import json_bytes, write_atomically
from hierseg_jax.system.errors import HiersegError, HiersegFileExistsError

OWN_KEYS = {"file", "format", "parameters_sha256"}
"""Keys that every MODEL.json has."""


def describe(model: onnx.ModelProto, metadata: Metadata) -> None:
    """Gives a model its metadata, and its inputs and outputs a sentence each."""
    onnx.helper.set_model_props(model, metadata.to_props())
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = _meaning(value.name, metadata)


def _meaning(tensor: str, metadata: Metadata) -> str:
    finest = metadata.hierarchy.levels[-1]
    stride = metadata.score_stride
    if tensor in ("image", "frame"):
        pixels = "in [0, 1]" if tensor == "image" else "0 to 255"
        light = f", and {PREFIX}brightening how to its light" if metadata.bright else ""
        return (
            f"Pictures: red, green, blue, {pixels}. Sides are multiples of {metadata.stride}; "
            f"{PREFIX}resizing says how a picture comes to this size{light}."
        )
    if tensor == "mask":
        repeated = f" Each is repeated {stride} times along both sides." if stride > 1 else ""
        return (
            "Scores of the leaf classes in [0, 1]. The channels are, in this order, "
            f"{', '.join(finest.class_names)}.{repeated}"
        )
    if tensor == CONFIDENCE:
        return "Of every pixel, the score of its leaf class in [0, 1]."
    if tensor == SCORES:
        floor, steps = LOG_PLANES["floor"], LOG_PLANES["steps"]
        return (
            f"Scores of the leaf classes, one for every {stride} x {stride} pixels: x stands for "
            f"exp({floor:g} * (1 - x / {steps})). The channels are, in this order, "
            f"{', '.join(finest.class_names)}."
        )
    (level,) = (level for level in metadata.hierarchy.levels if level.name == tensor)
    classes = ", ".join(f"{number} {name}" for number, name in enumerate(level.class_names))
    return f"Of every pixel, the class at the level {tensor}: {classes}."


def json_file_of(file: Path) -> Path:
    """MODEL.json of MODEL.onnx."""
    return file.with_suffix(".json")


def check_json_file(file: Path, overwrite: bool) -> None:
    """Raises a HiersegError where MODEL.json would replace what it may not."""
    beside = json_file_of(file)
    if beside.is_dir():
        raise HiersegError(
            f"{beside} is a folder, and {file.name} gets a file of that name beside it; choose "
            "another name."
        )
    if not beside.exists():
        return
    if not overwrite:
        raise HiersegFileExistsError(
            f"{beside} exists, and {file.name} gets a file of that name beside it; choose another "
            "name, or replace both by --overwrite."
        )
    try:
        content = json.loads(beside.read_bytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not content.keys() >= OWN_KEYS:
        raise HiersegFileExistsError(
            f"{beside} is no file of an export, and {file.name} gets one of that name beside it; "
            "choose another name."
        )


def write_with_json(file: Path, model: onnx.ModelProto, metadata: Metadata) -> None:
    """Writes MODEL.json and then MODEL.onnx, which thus is never without it.

    Raises:
      OSError: a sentence. Where MODEL.json is new it is removed again.
    """
    data, beside = model.SerializeToString(), json_file_of(file)
    new = not beside.exists()
    write_atomically(beside, json_bytes(model_json(model, metadata, file.name, data)))
    try:
        write_atomically(file, data)
    except OSError:
        if new:
            beside.unlink(missing_ok=True)
        raise


def model_json(
    model: onnx.ModelProto, metadata: Metadata, name: str, data: bytes
) -> dict[str, Any]:
    """What MODEL.json holds: the metadata, the file's digest and the graph's tensors.

    Args:
      model: that `describe` has had.
      metadata: of it.
      name, data: of the file.
    """
    content: dict[str, Any] = {
        "file": {"name": name, "sha256": hashlib.sha256(data).hexdigest()},
        "inputs": [_tensor(value) for value in model.graph.input],
        "outputs": [_tensor(value) for value in model.graph.output],
        **metadata.to_json(),
    }
    # NaN is no JSON: browsers refuse the whole file for it.
    return json.loads(json.dumps(content), parse_constant=lambda _: None)


def _tensor(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "dtype": onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
        "shape": [dim.dim_param or dim.dim_value for dim in tensor.shape.dim],
        "description": value.doc_string,
    }
