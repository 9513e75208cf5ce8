"""How to come by the same numbers again, and by a file to deploy."""

import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

from hierseg_jax.checkpoint.choose import FOLDER
from hierseg_jax.data.read.members import names_code
from hierseg_jax.data.resize import as_size
from hierseg_jax.settings import Settings

Command = list[str]


def run_name(checkpoint: pathlib.Path) -> str:
    """What a checkpoint's run is called: its workdir, or the checkpoint's own folder."""
    in_run = checkpoint.parent.name == FOLDER
    return (checkpoint.parent.parent if in_run else checkpoint).resolve().name


def evaluate_command(
    description: Mapping[str, Any], settings: Settings, output: pathlib.Path
) -> Command:
    """As pieces that can stand on lines of their own, quoted for a shell.

    Args:
      description: of the evaluation, as in metrics.json.
      settings: of the checkpoint.
      output: the report's folder.
    """
    given = {"checkpoint": description["checkpoint"], "task": description["task"]}
    if description["data"] != settings.data.named or names_code(settings.data.spec):
        given["data"] = description["data"]
    given |= _other_size(description, settings)
    given |= {key: description[key] for key in ("batch_size", "decode")}
    if tuple(description["metrics"]) != settings.metric_names:
        given["metrics"] = ",".join(description["metrics"])
    if description.get("tiles"):
        given["tiles"] = "true"
    elif description["resolution"] != "network":
        given["resolution"] = description["resolution"]
    if description["scales"] != [1]:
        given["scales"] = ",".join(f"{scale:g}" for scale in description["scales"])
    if description["flip"]:
        given["flip"] = "true"
    return _command("evaluate", given | {"output": output})


def export_commands(description: Mapping[str, Any], settings: Settings) -> list[Command]:
    """To a graph with the reference's outputs, and to one with label maps."""
    checkpoint = description["checkpoint"]
    name = run_name(pathlib.Path(checkpoint))
    size = _other_size(description, settings)
    return [
        _command("export", {"checkpoint": checkpoint, "onnx_file": f"{name}.onnx"} | size),
        _command(
            "export",
            {"checkpoint": checkpoint, "onnx_file": f"{name}_deploy.onnx", "contract": "deploy"}
            | size,
        ),
    ]


def _other_size(description: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    size = as_size(description["image_size"])
    if size == settings.data.size:
        return {}
    height, width = size
    return {"image_size": str(height) if height == width else f"{height},{width}"}


def _command(script: str, given: Mapping[str, Any]) -> Command:
    flags = [shlex.quote(f"--{key}={value}") for key, value in given.items()]
    return [f"hierseg {script}", *flags]
