"""Turns PyTorch weights into a checkpoint, or a checkpoint into PyTorch weights.

hierseg convert --weights=esnet.pt --output=runs/esnet_torch --data=data.yaml
hierseg convert --checkpoint=runs/esnet --to_torch=esnet.safetensors
"""

from ml_collections import config_flags

from hierseg_jax.commands.short_forms import OF_CONFIG
from hierseg_jax.data.resize import RESIZES
from hierseg_jax.models import NETWORKS
from hierseg_jax.pytorch.convert import convert_to_checkpoint, convert_to_torch
from hierseg_jax.settings import read_settings
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, parse_size, quoted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.process import set_up_process

FLAGS = CommandFlags()
_WEIGHTS = FLAGS.string("weights", None, "A .pt, .pth or .safetensors file to convert.")
_OUTPUT = FLAGS.string("output", None, "Folder of the checkpoint, to be made.")
_MODEL = FLAGS.enum("model", None, list(NETWORKS), "Checked; by default what the file holds.")
_NUM_CLASSES = FLAGS.integer("num_classes", None, "With background; checked likewise.")
_BACKBONE = FLAGS.string("backbone", None, "Of networks with several; checked likewise.")
_DATA = FLAGS.string("data", None, "A data set with the class tree, such as a data.yaml.")
_IMAGE_SIZE = FLAGS.list(
    "image_size", ["320"], "Side, or height,width, in pixels that the weights were made for."
)
_RESIZE = FLAGS.enum(
    "resize", None, RESIZES, "How pictures come to that size; the config's, at first stretch."
)
_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "The rest of the checkpoint's config; by default that of default.",
    lock_config=True,
    flag_values=FLAGS,
)
_CHECKPOINT = FLAGS.string("checkpoint", None, "A run's workdir or a checkpoint's folder.")
FLAGS.alias("workdir", "checkpoint")
_WHICH = FLAGS.string("which", "best", "Of a workdir: best, last, or an epoch's number.")
_TO_TORCH = FLAGS.string("to_torch", None, "A .safetensors file to be made.")


@command(FLAGS, OF_CONFIG)
def main() -> None:
    """Converts one way or the other."""
    set_up_process()
    weights, output = _WEIGHTS.value, _OUTPUT.value
    checkpoint, to_torch = _CHECKPOINT.value, _TO_TORCH.value
    if checkpoint and to_torch and not (weights or output):
        folder = convert_to_torch(checkpoint, to_torch, _WHICH.value)
        print(f"{folder} is written to {to_torch}.")
        return
    if not (weights and output) or checkpoint or to_torch:
        raise HiersegError("Give either --weights and --output, or --checkpoint and --to_torch.")
    done = convert_to_checkpoint(
        weights,
        output,
        read_settings(_CONFIG.value),
        model=_MODEL.value,
        num_classes=_NUM_CLASSES.value,
        backbone=_BACKBONE.value,
        data=_DATA.value,
        image_size=parse_size(_IMAGE_SIZE.value) or 320,
        resize=_RESIZE.value,
    )
    print("\n".join(done))
    data = "" if _DATA.value else " --data=data.yaml"
    print(f"Written to {output}.\nNext: hierseg evaluate {quoted('checkpoint', output)}{data}")
