"""Plain tensors of `torch.save` files, read without PyTorch.

Both formats: the zip archive, and what PyTorch wrote before 1.6 (five pickles one after the
other, then the data). Of Python objects a file may ask for an ordered dict, tensors and their
storages; NumPy's numbers and arrays, which training scripts keep beside the weights, are passed
over; everything else is refused before it exists. Whatever is refused here, PyTorch's own
loader may still read.
"""

import collections
import dataclasses
import io
import math
import pickle
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from hierseg_jax.system.errors import HiersegError

STORAGES = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
MAGIC = 0x1950A86A20F9469CFC6C
# Of NumPy before and since version 2.
PASSED_OVER = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("_codecs", "encode"),
    *(
        (module, name)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name in ("scalar", "_reconstruct")
    ),
}
# Whose objects PyTorch's own loader may know.
KNOWN_PACKAGES = ("torch", "numpy", "collections")


class UnreadableError(HiersegError):
    """What a file holds is beyond this reader; the message is a phrase."""


class ForeignObjectError(UnreadableError):
    """A file asks for Python objects that no loader of weights makes.

    Attributes:
      name: of the first, with its module.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name}")
        self.name = name


class PassedOver:
    """Stands for an object that is not made; takes whatever its pickle tells of it."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


@dataclasses.dataclass(frozen=True, eq=False)
class PickledTensor:
    """A tensor as its file describes it; the arguments of PyTorch's `_rebuild_tensor_v2`."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any

    def to_array(self, data_of: Callable[[str, np.dtype, int], np.ndarray]) -> np.ndarray:
        """A copy of its numbers out of a storage, which `data_of` gives by key, dtype and size."""
        kind, key, size = _storage(self.storage)
        numbers = (self.offset, *_tuple(self.shape), *_tuple(self.strides))
        if not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise UnreadableError("a tensor has a size that is no number")
        shape, strides = tuple(self.shape), tuple(self.strides)
        last = self.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        # No tensor repeats its numbers: otherwise a small file could fill the memory.
        if math.prod(shape) > size or (math.prod(shape) and last >= size):
            raise UnreadableError("a tensor reaches beyond its data")
        dtype = STORAGES[kind]
        data = data_of(key, dtype, size)[self.offset :]
        bytes_apart = [s * dtype.itemsize for s in strides]
        return np.lib.stride_tricks.as_strided(data, shape, bytes_apart).copy()


def read_plain(file: Path) -> Any:
    """What a file holds, every tensor in mappings as an array.

    Args:
      file: written by `torch.save`.

    Raises:
      UnreadableError: for what is not plain, damaged or cut off.
      OSError: if the file can't be read.
    """
    try:
        stream = io.BytesIO(file.read_bytes())
        return _read_archive(stream) if zipfile.is_zipfile(stream) else _read_legacy(stream)
    except (UnreadableError, OSError):
        raise
    except Exception as error:
        # A damaged pickle makes the unpickler raise nearly anything.
        raise UnreadableError(f"it is damaged or cut off: {type(error).__name__}") from error


class _Unpickler(pickle.Unpickler):
    """Makes strings, numbers, containers and `PickledTensor`, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return name
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *told: PickledTensor(*told[:4]),
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        }
        if (module, name) in PASSED_OVER:
            return PassedOver
        if (module, name) not in known:
            if module.partition(".")[0] in KNOWN_PACKAGES:
                raise UnreadableError(f"it asks for {module}.{name}")
            raise ForeignObjectError(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _read_archive(stream: BinaryIO) -> Any:
    with zipfile.ZipFile(stream) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise UnreadableError("it is compressed, as PyTorch never does it")
        names = archive.namelist()
        folder = next(name for name in names if name.endswith("data.pkl")).removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise UnreadableError("its numbers are big-endian")
        content = _Unpickler(io.BytesIO(archive.read(f"{folder}data.pkl"))).load()

        def data_of(key: str, dtype: np.dtype, size: int) -> np.ndarray:
            name = f"{folder}data/{key}"
            if archive.getinfo(name).file_size != size * dtype.itemsize:
                raise UnreadableError(f"its part {name} has another size than it should")
            return _numbers(archive.read(name), dtype)

        return _with_arrays(content, data_of)


def _read_legacy(stream: BinaryIO) -> Any:
    stream.seek(0)
    magic, _, system = (_Unpickler(stream).load() for _ in range(3))
    if magic != MAGIC:
        raise UnreadableError("it is a pickle, but not PyTorch's")
    if not system.get("little_endian", True):
        raise UnreadableError("its numbers are big-endian")
    content = _Unpickler(stream).load()
    keys = _Unpickler(stream).load()
    described = {key: (kind, size) for kind, key, size in _storages(content)}
    data: dict[str, np.ndarray] = {}
    for key in keys:
        # A storage without a tensor has a size that is not known.
        kind, size = described[key]
        found = int.from_bytes(stream.read(8), "little")
        if found != size:
            raise UnreadableError("a storage has another size than it should")
        data[key] = _numbers(stream.read(size * STORAGES[kind].itemsize), STORAGES[kind])
        if data[key].size != size:
            raise UnreadableError("it is cut off")
    return _with_arrays(content, lambda key, *_: data[key])


def _storages(content: Any) -> list[tuple[str, str, int]]:
    if isinstance(content, PickledTensor):
        return [_storage(content.storage)]
    if isinstance(content, Mapping):
        return [each for value in content.values() for each in _storages(value)]
    return []


def _storage(pid: Any) -> tuple[str, str, int]:
    """Kind, key and number of elements of a storage; it may hold a view's data as a sixth."""
    kind, key, size = None, None, None
    if isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage":
        _, kind, key, _, size = pid[:5]
    if kind not in STORAGES or not isinstance(key, str) or not isinstance(size, int) or size < 0:
        raise UnreadableError("a tensor has data of a kind that is not plain")
    if len(pid) > 5 and pid[5] is not None:
        raise UnreadableError("a tensor has data that is a view of other data")
    return kind, key, size


def _numbers(data: bytes, dtype: np.dtype) -> np.ndarray:
    array = np.frombuffer(data, dtype)
    return array if sys.byteorder == "little" else array.byteswap()


def _with_arrays(content: Any, data_of: Callable[[str, np.dtype, int], np.ndarray]) -> Any:
    if isinstance(content, PickledTensor):
        return content.to_array(data_of)
    if isinstance(content, Mapping):
        return {key: _with_arrays(value, data_of) for key, value in content.items()}
    return content


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
