"""Exports a trained network to ONNX, checked against JAX before it is written.

hierseg export runs/figures --onnx_file=figures.onnx
"""

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.commands.shared_flags import define_checkpoint
from hierseg_jax.runtime.metadata import CONTRACTS
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, parse_size, quoted
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.process import set_up_process
from hierseg_jax.system.wording import counted

FLAGS = CommandFlags()
_CHECKPOINT, _WHICH = define_checkpoint(FLAGS)
_ONNX_FILE = FLAGS.string("onnx_file", None, "The .onnx to write.", required=True)
FLAGS.alias("output", "onnx_file")
_CONTRACT = FLAGS.enum(
    "contract",
    "reference",
    CONTRACTS,
    "reference: float32 NCHW in [0, 1] to probabilities; deploy: uint8 NHWC to label maps.",
)
_PLAIN = FLAGS.bool("plain", False, "Leave the scores out of the contract deploy.")
_IMAGE_SIZE = FLAGS.list("image_size", None, "Side, or height,width; that of the training.")
_OPSET = FLAGS.integer("opset", 17, "Of the ONNX standard, 13 to 23.")
_DYNAMIC = FLAGS.bool("dynamic", False, "Leave height and width open.")
_DYNAMIC_BATCH = FLAGS.bool("dynamic_batch", False, "Leave the number of images open.")
_HALF = FLAGS.bool("half", False, "Store the weights as float16.")
_INT8 = FLAGS.bool("int8", False, "Compute in 8-bit integers.")
_DATA = FLAGS.string(
    "data",
    None,
    "data.yaml to calibrate --int8 and measure --half and --int8, and to see how bright training "
    "pictures are where those of the run can't be read; the run's own.",
)
_MEAN_WITH = FLAGS.list("mean_with", [], "Runs, the mean of whose weights and its own is exported.")
_BRIGHTEN = FLAGS.bool(
    "brighten",
    None,
    "Have pictures that are darker than photographs in daylight brightened before the network sees "
    "them; by default those that are darker than the training pictures.",
)
_OVERWRITE = FLAGS.bool("overwrite", False, "Replace an existing file.")


@command(FLAGS, bare="checkpoint")
def main() -> None:
    """Hands the flags to the library."""
    set_up_process()
    if _HALF.value and _INT8.value:
        raise HiersegError("--half and --int8 are two precisions; give one of them.")
    if _DATA.value and not (_HALF.value or _INT8.value or _BRIGHTEN.value is None):
        raise HiersegError(
            "--data is for --half, --int8, and what is brightened by default; leave it out."
        )
    export = export_checkpoint(
        _CHECKPOINT.value,
        _ONNX_FILE.value,
        which=_WHICH.value,
        contract=_CONTRACT.value,
        image_size=parse_size(_IMAGE_SIZE.value),
        opset=_OPSET.value,
        dynamic_size=_DYNAMIC.value,
        dynamic_batch=_DYNAMIC_BATCH.value,
        precision="float16" if _HALF.value else "int8" if _INT8.value else "float32",
        data=_DATA.value,
        plain=_PLAIN.value,
        overwrite=_OVERWRITE.value,
        mean_with=_MEAN_WITH.value,
        brighten=_BRIGHTEN.value,
    )
    metadata = export.metadata
    height, width = metadata.image_size
    print(
        f"{metadata.model}, {height}x{width}, contract {metadata.contract}: onnxruntime equals JAX "
        f"within {export.difference:.1e}{' in float32' if export.miou else ''}"
    )
    if export.miou:
        changes = ", ".join(
            f"{level} {before:.4f} -> {after:.4f} (loss {before - after:.4f})"
            for level, (before, after) in export.miou.items()
        )
        pictures = counted(export.pictures, "validation picture")
        print(f"{metadata.precision}: mIoU on {pictures}: {changes}")
    if metadata.bright and _BRIGHTEN.value is None:
        print(
            "Pictures whose light parts are darker than those of most training pictures, "
            f"{metadata.bright} of 255, are brightened to that (--nobrighten: they stay dark)"
        )
    print(
        f"Written to {export.file}\nNext: hierseg predict {quoted('model', export.file)} "
        "--source=PICTURES --output=segmented"
    )
