"""How to come by the same numbers again, and by a file to deploy."""

import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

from hierseg_jax.checkpoint.choose import FOLDER
from hierseg_jax.data.read.members import names_code
from hierseg_jax.data.sizes import as_size, share_of_size
from hierseg_jax.settings import Settings

Command = list[str]
_STRIDE = 32  # of which all networks take multiples


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
    given = _seen(description, settings)
    given |= {key: description[key] for key in ("batch_size", "decode")}
    return _command("evaluate", given | {"output": output})


def file_commands(description: Mapping[str, Any], output: pathlib.Path) -> dict[str, Command]:
    """What can be done with an exported file that was evaluated; as `evaluate_command`, by name."""
    file, own = description["checkpoint"], {"image_size": _sides(description)}
    given = {key: description[key] for key in ("checkpoint", "data", "task", "resolution")}
    if description["tiles"]:
        given = {key: of for key, of in given.items() if key != "resolution"} | {"tiles": "true"}
    given |= {"metrics": ",".join(description["metrics"]), "output": output} | own
    return {
        "Evaluate again": _command("evaluate", given),
        "Segment pictures": _command(
            "predict", {"model": file, "source": "PICTURES"} | own | _painted(description)
        ),
    }


def _painted(description: Mapping[str, Any]) -> dict[str, str]:
    """Flags of `hierseg predict` with which it paints what was counted."""
    if description["tiles"]:
        return {"tiles": "true"}
    return {"refine": "false"} if description["resolution"] == "original" else {}


def larger_command(description: Mapping[str, Any], settings: Settings) -> Command:
    """To evaluate it a third larger than it was; empty where that promises nothing.

    Modern augmentation enlarges pictures, so that networks see better what is enlarged a little
    (Touvron et al. 2019, arXiv:1906.06423; docs/networks.md has figures). A size is chosen on the
    validation split, whatever was measured. The arguments are those of `evaluate_command`.
    """
    usual = not description.get("tiles") and description["scales"] == [1]
    of_run = as_size(description["image_size"]) == settings.data.size
    enlarges = settings.augmentation == "modern" and settings.scales[1] > 1
    if not (enlarges and usual and of_run):
        return []
    larger = share_of_size(settings.data.size, 4 / 3, _STRIDE)
    if larger == settings.data.size:
        return []
    given = _seen({**description, "image_size": larger, "task": "val"}, settings)
    if description["decode"] != settings.decoding:
        given["decode"] = description["decode"]
    return _command("evaluate", given)


def export_commands(description: Mapping[str, Any], settings: Settings) -> list[Command]:
    """To a graph with label maps, and to one with the reference's outputs."""
    checkpoint = description["checkpoint"]
    name = run_name(pathlib.Path(checkpoint))
    size = size_flag(description, settings)
    # Whose bars the runtime then cuts off (docs/picture_quality.md).
    is_open = {"dynamic": "true"} if settings.data.resize == "letterbox" else {}
    return [
        _command(
            "export",
            {"checkpoint": checkpoint, "onnx_file": f"{name}.onnx", "contract": "deploy"}
            | is_open
            | size,
        ),
        _command(
            "export", {"checkpoint": checkpoint, "onnx_file": f"{name}_reference.onnx"} | size
        ),
    ]


def _seen(description: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Flags that say of what an evaluation was, and how pictures were looked at."""
    given = {"checkpoint": description["checkpoint"], "task": description["task"]}
    if description["data"] != settings.data.named or names_code(settings.data.spec):
        given["data"] = description["data"]
    given |= size_flag(description, settings)
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
    return given


def size_flag(description: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """`image_size`, where an evaluation's is not that of the checkpoint's settings."""
    if as_size(description["image_size"]) == settings.data.size:
        return {}
    return {"image_size": _sides(description)}


def _sides(description: Mapping[str, Any]) -> str:
    height, width = as_size(description["image_size"])
    return str(height) if height == width else f"{height},{width}"


def _command(script: str, given: Mapping[str, Any]) -> Command:
    flags = [shlex.quote(f"--{key}={value}") for key, value in given.items()]
    return [f"hierseg {script}", *flags]
