"""Opening an .onnx with onnxruntime, and telling which contract it follows."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from hierseg_jax.runtime.metadata import CONFIDENCE, SCORES, Metadata
from hierseg_jax.system.errors import TRACEBACK_VARIABLE, HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.number_kinds import is_whole
from hierseg_jax.system.paths import local_path
from hierseg_jax.system.regular_file import check_readable
from hierseg_jax.system.wording import one_line

Tensor = tuple[str, str, Sequence[Any]]
"""Its name, `tensor(...)` and sides: whole numbers, or what stands for those left open."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def existing_file(onnx_file: str | Path) -> Path:
    """Raises FileNotFoundError, in one sentence, where there is none; ValueError for a .json."""
    file = local_path(onnx_file)
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "does not exist"
        raise HiersegFileNotFoundError(f"{file} {found}; give an .onnx file (see hierseg export).")
    network = file.with_suffix(".onnx")
    if file.suffix.lower() == ".json" and network.is_file():
        raise HiersegError(f"{file} describes a network; give {network}.")
    return file


def start_session(
    file: Path, part: bytes | None, provider: str, threads: int | None
) -> tuple[onnxruntime.InferenceSession, str, str]:
    """A session on the best provider that is there.

    Args:
      file: any ONNX file.
      part: of it that is to be computed alone, from `part_for`; None for all of it.
      provider: `cpu`, `cuda`, or `auto`, which is CUDA where onnxruntime can start it.
      threads: of one operator; by default one per core.

    Returns:
      The session, and what `settle_provider` says of it.

    Raises:
      ValueError: one sentence.
    """
    available = onnxruntime.get_available_providers()
    names = choose_providers(provider, available)
    if threads is not None and (not is_whole(threads) or threads < 1):
        raise HiersegError(f"The number of threads is {threads!r}; it is 1 or more.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads or 0)
    # Between frames its threads would go on spinning, on cores that label maps are made on.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Errors are raised to us; what onnxruntime prints of them would come twice.
    options.log_severity_level = 4
    session, reason = _start(file, part, names, options)
    # Where a provider fails later on, that is an error too, no reason to take another one.
    session.disable_fallback()
    return session, *settle_provider(provider, available, session.get_providers(), reason)


def _start(
    file: Path, part: bytes | None, names: list[str], options: onnxruntime.SessionOptions
) -> tuple[onnxruntime.InferenceSession, str]:
    """A session, on the CPU where CUDA fails, and what CUDA has failed of, else "".

    It is of `part`, where there is one, of the file.

    Raises:
      ValueError: where the file can't be opened on the CPU either.
    """
    try:
        # onnxruntime's own fallback fills stdout with what has failed.
        session = onnxruntime.InferenceSession(
            part or file, options, providers=names, enable_fallback=0
        )
        return session, ""
    except Exception as error:  # onnxruntime has a class for every kind, none of them documented
        if PROVIDERS["cuda"] in names:
            session, _ = _start(file, part, [PROVIDERS["cpu"]], options)
            return session, failure_of_cuda(str(error))
        check_readable(file)
        raise HiersegError(
            f"{file} can't be opened by onnxruntime: it is no ONNX file, or a damaged one "
            f"({one_line(error, 200)})."
        ) from error


def failure_of_cuda(error: str) -> str:
    """What an error of onnxruntime's with CUDA says to users, without its places in C++."""
    text = " ".join(error.split())
    failure = re.search(r"CUDA failure [^;]*[^; ]", text)
    return failure[0] if failure else text[:200]


def choose_providers(wanted: str, available: Sequence[str]) -> list[str]:
    """What to ask onnxruntime for, the best first.

    Raises:
      ValueError: where `available`, onnxruntime's list, lacks what is wanted.
    """
    if wanted == "auto":
        return [name for name in reversed(PROVIDERS.values()) if name in available]
    if PROVIDERS.get(wanted) in available:
        return [PROVIDERS[wanted]]
    raise HiersegError(
        f"The provider {wanted!r} is not to be had here; onnxruntime has "
        f"{', '.join(key for key, name in PROVIDERS.items() if name in available)}."
    )


def settle_provider(
    wanted: str, available: Sequence[str], actual: Sequence[str], reason: str = ""
) -> tuple[str, str]:
    """What a session runs on, which need not be what it was asked for.

    onnxruntime with CUDA starts a session on the CPU where libraries of CUDA are missing, and
    raises no error; where no GPU can be reached, it does.

    Args:
      wanted: `cpu`, `cuda` or `auto`.
      available: of onnxruntime, `get_available_providers()`.
      actual: of the session, `get_providers()`.
      reason: what CUDA has failed of, if that was an error.

    Returns:
      `cpu` or `cuda`, and a sentence where that is less than `auto` hoped for, else "".

    Raises:
      ValueError: where it was to be CUDA and is not.
    """
    if PROVIDERS["cuda"] in actual:
        return "cuda", ""
    if wanted == "cpu" or PROVIDERS["cuda"] not in available:
        return "cpu", ""
    reason = reason or (
        "no GPU in reach, or libraries of CUDA or cuDNN missing or of another version; "
        f"{TRACEBACK_VARIABLE}=1 shows onnxruntime's own words"
    )
    fault = f"onnxruntime was built with CUDA but could not start it ({reason})"
    if wanted == "cuda":
        raise HiersegError(f"{fault}; give --provider=cpu to run on the CPU.")
    return "cpu", f"{fault}; the network runs on the CPU."


def tensors_of(values: Iterable[onnxruntime.NodeArg]) -> list[Tensor]:
    """A session's inputs or outputs."""
    return [(value.name, value.type, value.shape) for value in values]


def check_contract(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], metadata: Metadata | None, file: str
) -> str:
    """`reference` or `deploy`, from the tensors alone.

    Raises:
      ValueError: where they belong to neither, or not to what the metadata says.
    """
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
            plain = [(level.name, "tensor(uint8)", 3) for level in levels]
            plain.append((CONFIDENCE, "tensor(float)", 3))
            if levels and tensors in (plain, [*plain, (SCORES, "tensor(uint16)", 4)]):
                contract = "deploy"
    if contract is None or (metadata is not None and metadata.contract != contract):
        found = "; ".join(f"{name} {kind} {shape}" for name, kind, shape in (*inputs, *outputs))
        raise HiersegError(
            f"{file} follows another contract: it has {found}. Expected either image float32 "
            "[N, 3, H, W] and mask float32 [N, C, H, W], N 1 or open, or a file of "
            "hierseg export --contract=deploy."
        )
    return contract
