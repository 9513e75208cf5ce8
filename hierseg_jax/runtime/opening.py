"""Opening an exported network, or as much of it as is wanted, and telling what it is."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from hierseg_jax.runtime.metadata import CONFIDENCE, SCORES, Metadata
from hierseg_jax.runtime.onnx_part import declared_outputs, part_for
from hierseg_jax.runtime.session import (
    Tensor,
    check_contract,
    existing_file,
    start_session,
    tensors_of,
)
from hierseg_jax.system.errors import HiersegError


@dataclasses.dataclass(frozen=True)
class OpenNetwork:
    """A session of onnxruntime, and what the file is.

    Attributes:
      session: of the file, or of the part of it that leads to `wanted`.
      provider, note: of `Segmenter`.
      metadata, contract: of `Segmenter`.
      outputs: names of all that the file has.
      wanted: outputs that are to be asked for; empty where that is all of them.
    """

    session: onnxruntime.InferenceSession
    provider: str
    note: str
    metadata: Metadata | None
    contract: str
    outputs: tuple[str, ...]
    wanted: tuple[str, ...]


def open_network(
    onnx_file: str | Path, provider: str, threads: int | None, confidence: bool
) -> OpenNetwork:
    """Opens a file once: where there are scores the part of it that leads to them.

    Args:
      onnx_file, provider, threads, confidence: as of `Segmenter`.

    Raises:
      FileNotFoundError, ValueError: one sentence.
    """
    file = existing_file(onnx_file)
    model = b""
    with contextlib.suppress(OSError):  # which onnxruntime will tell of
        model = file.read_bytes()
    # Where there are scores, label maps are not needed, nor what leads to them alone.
    wanted = (CONFIDENCE, SCORES) if confidence else (SCORES,)
    part, outputs = part_for(model, wanted), declared_outputs(model)
    if part and outputs:
        with contextlib.suppress(HiersegError):  # of the whole file it is told below
            opened = _open(onnx_file, part, provider, threads, outputs, wanted)
            if opened.wanted:
                return opened
    return _open(onnx_file, None, provider, threads, None, wanted)


def _open(
    onnx_file: str | Path,
    part: bytes | None,
    provider: str,
    threads: int | None,
    outputs: Sequence[Tensor] | None,
    wanted: tuple[str, ...],
) -> OpenNetwork:
    """Opens a part of a file with these outputs, or the whole, which tells them itself."""
    session, actual, note = start_session(existing_file(onnx_file), part, provider, threads)
    try:
        props = session.get_modelmeta().custom_metadata_map
        metadata = Metadata.from_props(props, str(onnx_file))
        inputs = tensors_of(session.get_inputs())
        outputs = outputs or tensors_of(session.get_outputs())
        contract = check_contract(inputs, outputs, metadata, str(onnx_file))
    except UnicodeDecodeError as error:  # ONNX keeps bytes, whatever they are
        raise HiersegError(
            f"{onnx_file} is damaged: a name or its metadata is no UTF-8 text; export it again."
        ) from error
    names = tuple(name for name, _, _ in outputs)
    has_scores = contract == "deploy" and names[-1] == SCORES
    return OpenNetwork(
        session, actual, note, metadata, contract, names, wanted if has_scores else ()
    )
