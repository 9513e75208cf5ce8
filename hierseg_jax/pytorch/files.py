"""Files of PyTorch weights: .pt, .pth and .safetensors.

The first two without PyTorch where they are plain, else by way of it where it is installed.
What a file is, its first bytes say, not its name. Nothing in a file is ever run.
"""

import dataclasses
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from hierseg_jax.pytorch.unpickle import ForeignObjectError, UnreadableError, read_plain
from hierseg_jax.system.atomic_writing import make_folder, write_atomically
from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.missing import installation_of
from hierseg_jax.system.paths import local_path
from hierseg_jax.system.wording import one_line

# Where training scripts put a network's weights among other things, the likeliest first.
USUAL_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
SAFETENSORS_DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")


@dataclasses.dataclass(frozen=True, eq=False)
class TorchFile:
    """What a file of weights holds.

    Attributes:
      arrays: name -> array as PyTorch lays it out, in the file's own dtype.
      key: under which the state_dict was found; empty where it is the whole file.
      metadata: of a safetensors header; empty for other files.
    """

    arrays: dict[str, np.ndarray]
    key: str = ""
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)


def read_torch_file(file: Path | str) -> TorchFile:
    """Reads a state_dict.

    Args:
      file: written by `torch.save` (zip or the format before PyTorch 1.6), the state_dict
        itself or one under a key of a dict; or by safetensors.

    Raises:
      FileNotFoundError, ValueError: one sentence that starts with the file's path.
    """
    file = local_path(file)
    if file.is_dir():
        raise HiersegError(f"{file} is a folder; give a .pt, .pth or .safetensors file.")
    if not file.exists():
        raise HiersegFileNotFoundError(
            f"{file} does not exist; give a .pt, .pth or .safetensors file."
        )
    with file.open("rb") as stream:
        start = stream.read(9)
    if not start:
        raise HiersegError(f"{file} is empty.")
    # First: the length that such a file begins with may look like the start of another.
    header = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and header <= file.stat().st_size - 8:
        return _read_safetensors(file)
    if start.startswith(b"PK"):
        _check_zip(file)
        return _read_pickled(file)
    if start.startswith(b"\x80"):  # every binary pickle, hence the old format
        return _read_pickled(file)
    if file.suffix == ".safetensors" or start[8:] == b"{":  # a cut one, which is said of it
        return _read_safetensors(file)
    raise HiersegError(
        f"{file} is neither a PyTorch checkpoint nor a safetensors file; it starts with {start!r}."
    )


def write_safetensors(
    file: Path | str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes a new safetensors file, whole or not at all.

    Args:
      file: named `*.safetensors`; its folder is made where it does not exist.
      arrays: name -> array.
      metadata: for the header.

    Raises:
      ValueError: another ending, or a file that exists.
      OSError: if it can't be written.
    """
    file = local_path(file)
    if file.suffix != ".safetensors":
        raise HiersegError(
            f"{file} must end in .safetensors: that is the format written; PyTorch reads it with "
            "safetensors.torch.load_file."
        )
    if file.exists():
        raise HiersegError(f"{file} exists and is not overwritten; choose another name.")
    make_folder(file.parent)
    write_atomically(file, safetensors.numpy.save(dict(arrays), dict(metadata)))


def _read_safetensors(file: Path) -> TorchFile:
    try:
        with safetensors.safe_open(file, framework="np") as content:
            dtypes = {name: content.get_slice(name).get_dtype() for name in content.keys()}  # noqa: SIM118
            for name, dtype in dtypes.items():
                if dtype not in SAFETENSORS_DTYPES:
                    raise _unsupported(file, name, f"of dtype {dtype}")
            arrays = {name: content.get_tensor(name) for name in dtypes}
            return TorchFile(arrays, metadata=dict(content.metadata() or {}))
    except safetensors.SafetensorError as error:
        raise HiersegError(
            f"{file} is no whole safetensors file ({_one_line(error)}); bring it here again."
        ) from error


def _check_zip(file: Path) -> None:
    """Zip archives whose names show that PyTorch would not know them, or only by running code."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
            unpacked = sum(entry.file_size for entry in archive.infolist())
    # NotImplementedError is what zipfile raises for versions and methods that it does not know.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise HiersegError(f"{file} is cut off or damaged ({_one_line(error)}).") from error
    if unpacked > file.stat().st_size:
        raise HiersegError(
            f"{file} would unpack to {unpacked:,} bytes, more than it has; PyTorch compresses "
            "nothing, so this is none of its files. Save the weights again with torch.save."
        )
    if "data.pkl" not in names:
        raise HiersegError(f"{file} is a zip archive, but no PyTorch checkpoint.")
    if "constants.pkl" in names:
        raise HiersegError(
            f"{file} is a TorchScript program, which is not run; save its weights instead: "
            "torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)."
        )


def _read_pickled(file: Path) -> TorchFile:
    try:
        content = read_plain(file)
    except UnreadableError as error:
        return _read_with_torch(file, error)
    key, state_dict = _find_state_dict(file, content, np.ndarray)
    return TorchFile(dict(state_dict), key)


def _read_with_torch(file: Path, fault: UnreadableError) -> TorchFile:
    """A file that is not plain; `fault` says why."""
    try:
        import torch
    except ImportError:
        if isinstance(fault, ForeignObjectError):
            raise _has_objects(file, fault.name) from None
        raise HiersegError(
            f"{file} can't be read without PyTorch ({fault}): {installation_of('torch')} "
            "(or convert the file to .safetensors elsewhere)."
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how PyTorch itself does it
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch raises nearly any kind for a damaged file, IndexError among them.
        raise _refused(file, error) from error
    key, state_dict = _find_state_dict(file, content, torch.Tensor)
    return TorchFile({name: _array(file, name, value) for name, value in state_dict.items()}, key)


def _has_objects(file: Path, name: str) -> HiersegError:
    return HiersegError(
        f"{file} holds Python objects beside tensors ({name}), and loading these could run any "
        "code; where you trust the file, load it there and save the weights alone: "
        "torch.save(model.state_dict(), NEW_FILE)."
    )


def _refused(file: Path, error: Exception) -> HiersegError:
    asked = re.search(r"GLOBAL (\S+)", str(error))
    if asked:
        return _has_objects(file, asked[1])
    # With weights_only, the reason stands after a lot of advice to switch that off.
    reason = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    reason = next((line.strip() for line in reason.splitlines() if line.strip()), "")
    return HiersegError(
        f"{file} can't be read as a PyTorch checkpoint: it is damaged, cut off or of another kind "
        f"({reason.partition('. ')[0][:200] or type(error).__name__})."
    )


def _find_state_dict(file: Path, content: Any, tensor_type: type) -> tuple[str, Mapping[str, Any]]:
    """The key of the state_dict, empty where `content` itself is one, and the state_dict."""

    def is_state_dict(value: Any) -> bool:
        return (
            isinstance(value, Mapping)
            and bool(value)
            and all(isinstance(name, str) for name in value)
            and all(isinstance(entry, tensor_type) for entry in value.values())
        )

    if is_state_dict(content):
        return "", content
    if not isinstance(content, Mapping):
        kind = "Tensor" if isinstance(content, tensor_type) else type(content).__name__
        raise HiersegError(
            f"{file} holds a {kind}, not a state_dict; save one with "
            "torch.save(model.state_dict(), NEW_FILE)."
        )
    found = {str(key): value for key, value in content.items() if is_state_dict(value)}
    for key in (*USUAL_KEYS, *(found if len(found) == 1 else ())):
        if key in found:
            return key, found[key]
    if found:
        raise HiersegError(
            f"{file} holds {len(found)} state_dicts, under the keys {', '.join(found)}; save the "
            "one that is meant by itself."
        )
    keys = ", ".join(str(key) for key in list(content)[:6]) or "none"
    raise HiersegError(
        f"{file} holds no state_dict, neither by itself nor under a key (its keys: {keys[:200]})."
    )


def _array(file: Path, name: str, tensor: Any) -> np.ndarray:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_quantized:
        raise _unsupported(file, name, f"quantised ({dtype})")
    if str(tensor.layout) != "torch.strided":
        raise _unsupported(file, name, "sparse")
    if tensor.is_meta:
        raise _unsupported(file, name, "without data, on PyTorch's device 'meta'")
    if dtype.startswith(("complex", "float8", "float4")):
        raise _unsupported(file, name, f"of dtype {dtype}")
    if dtype == "bfloat16":  # NumPy has none of its own
        return tensor.detach().float().numpy().astype(jnp.bfloat16)
    return tensor.detach().numpy()


def _unsupported(file: Path, name: str, what: str) -> HiersegError:
    return HiersegError(
        f"{file}: the tensor {name} is {what}; a network's weights must be dense and of float32, "
        "float64, float16 or bfloat16."
    )


def _one_line(error: Exception) -> str:
    return one_line(error, 200) or type(error).__name__
