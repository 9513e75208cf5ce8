"""Opening an .onnx with onnxruntime, and telling which contract it follows."""

from pathlib import Path

import onnxruntime

from hierseg_jax.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.runtime.metadata import Metadata

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(
    onnx_file: str | Path, provider: str = "auto", threads: int | None = None
) -> onnxruntime.InferenceSession:
    """A session on the best provider that is there.

    Args:
      onnx_file: any ONNX file.
      provider: `cpu`, `cuda`, or `auto`, which is CUDA where onnxruntime has it.
      threads: of one operator; by default one per core.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    file = Path(onnx_file)
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "does not exist"
        raise HiersegFileNotFoundError(
            f"{file} {found}; give an .onnx file (see launch/export.py)."
        )
    available = onnxruntime.get_available_providers()
    if provider == "auto":
        names = [name for name in reversed(PROVIDERS.values()) if name in available]
    elif PROVIDERS.get(provider) in available:
        names = [PROVIDERS[provider]]
    else:
        raise HiersegError(
            f"The provider {provider!r} is not to be had here; onnxruntime has "
            f"{', '.join(key for key, name in PROVIDERS.items() if name in available)}."
        )
    if threads is not None and threads < 1:
        raise HiersegError(f"The number of threads is {threads}; it must be at least 1.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Errors are raised to us; what onnxruntime prints of them would come twice.
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(file, options, providers=names)
    except Exception as error:  # onnxruntime has a class for every kind, none of them documented
        reason = " ".join(str(error).split())[:200]
        raise HiersegError(
            f"{file} can't be opened by onnxruntime: it is no ONNX file, or a damaged one "
            f"({reason})."
        ) from error


def check_contract(
    session: onnxruntime.InferenceSession, metadata: Metadata | None, file: str
) -> str:
    """`reference` or `deploy`, from the tensors alone.

    Raises:
      ValueError: where they belong to neither, or not to what the metadata says.
    """
    inputs = [(x.name, x.type, x.shape) for x in session.get_inputs()]
    outputs = [(x.name, x.type, x.shape) for x in session.get_outputs()]
    contract = None
    if len(inputs) == 1 and len(inputs[0][2]) == 4:
        name, kind, shape = inputs[0]
        tensors = [(output, dtype, len(dims)) for output, dtype, dims in outputs]
        # An open number of images is a string or None.
        one_image = shape[0] == 1 or not isinstance(shape[0], int)
        if (name, kind, shape[1], one_image) == ("image", "tensor(float)", 3, True):
            if tensors == [("mask", "tensor(float)", 4)]:
                contract = "reference"
        elif (name, kind, shape[3], one_image) == ("frame", "tensor(uint8)", 3, True):
            levels = metadata.hierarchy.levels if metadata is not None else ()
            maps = [(level.name, "tensor(uint8)", 3) for level in levels]
            if levels and tensors == [*maps, ("confidence", "tensor(float)", 3)]:
                contract = "deploy"
    if contract is None or (metadata is not None and metadata.contract != contract):
        found = "; ".join(f"{name} {kind} {shape}" for name, kind, shape in (*inputs, *outputs))
        raise HiersegError(
            f"{file} follows another contract: it has {found}. Expected either image float32 "
            "[N, 3, H, W] and mask float32 [N, C, H, W], N 1 or open, or a file of "
            "launch/export.py --contract=deploy."
        )
    return contract
