"""Exports a trained network to ONNX, checked against JAX before it is written.

python launch/export.py --checkpoint=runs/figures --onnx_file=figures.onnx
"""

import logging

from absl import flags

from hierseg_jax.command_line import parse_size, run
from hierseg_jax.onnx_export import export_checkpoint
from hierseg_jax.runtime.metadata import CONTRACTS

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A run's workdir or a checkpoint's folder.")
_WHICH = flags.DEFINE_string("which", "best", "Of a workdir: best, last, or an epoch's number.")
_ONNX_FILE = flags.DEFINE_string("onnx_file", None, "The .onnx to write.")
_CONTRACT = flags.DEFINE_enum(
    "contract",
    "reference",
    CONTRACTS,
    "reference: float32 NCHW in [0, 1] to probabilities; deploy: uint8 NHWC to label maps.",
)
_IMAGE_SIZE = flags.DEFINE_list("image_size", None, "Side, or height,width; that of the training.")
_OPSET = flags.DEFINE_integer("opset", 17, "Of the ONNX standard, 13 to 23.")
_DYNAMIC = flags.DEFINE_bool("dynamic", False, "Leave height and width open.")
_DYNAMIC_BATCH = flags.DEFINE_bool("dynamic_batch", False, "Leave the number of images open.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an existing file.")
flags.mark_flags_as_required(["checkpoint", "onnx_file"])


def main() -> None:
    """Hands the flags to the library."""
    # It tells of every optional example that it does not find.
    logging.getLogger("jax2onnx").setLevel(logging.WARNING)
    export = export_checkpoint(
        _CHECKPOINT.value,
        _ONNX_FILE.value,
        which=_WHICH.value,
        contract=_CONTRACT.value,
        image_size=parse_size(_IMAGE_SIZE.value),
        opset=_OPSET.value,
        dynamic_size=_DYNAMIC.value,
        dynamic_batch=_DYNAMIC_BATCH.value,
        overwrite=_OVERWRITE.value,
    )
    height, width = export.metadata.image_size
    print(
        f"{export.metadata.model}, {height}x{width}, contract {export.metadata.contract}: "
        f"onnxruntime equals JAX within {export.difference:.1e}\nWritten to {export.file}"
    )


if __name__ == "__main__":
    run(main)
