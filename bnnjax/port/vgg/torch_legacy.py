"""Reads tensors in the format of torch before 1.6, without torch.

A file consists of five pickles (magic number, version, machine, tensors, keys of the storages),
followed by each storage as its element count (int64) and raw elements. Only the pickled names of
plain tensors are accepted, and none of them runs code from the file.
"""

import collections
import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# What a damaged pickle may lead to, beside a ValueError.
_DAMAGES = (OSError, EOFError, LookupError, TypeError, AttributeError, struct.error, AssertionError)
MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of such a file


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


# The unpickler in Python: that in C reserves gigabytes for a memo of the size that a file states.
class _PlainTensors(pickle._Unpickler):
    """Unpickles a state dict of plain tensors as descriptions; rejects every other name."""

    NAMES = {  # noqa: RUF012 (read only)
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): lambda *arguments: _Tensor(*arguments[:4]),
        ("torch", "FloatStorage"): "<f4",
        ("torch", "LongStorage"): "<i8",
        ("torch", "ByteStorage"): "|u1",
    }

    # Without byte arrays, which torch does not write: they reserve what the file states, too.
    dispatch = {  # noqa: RUF012 (read only)
        code: load
        for code, load in pickle._Unpickler.dispatch.items()
        if code not in pickle.BYTEARRAY8
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.NAMES:
            raise ValueError(f"the file pickles {module}.{name}; need plain tensors only")
        return self.NAMES[module, name]

    def persistent_load(self, pid: tuple[Any, ...]) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(dtype, key)


def read_torch_legacy(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The named arrays of a state dict saved by torch before 1.6.

    Raises:
      ValueError: the file does not exist, has another format, or pickles anything but tensors.
    """
    try:
        return _read_tensors(io.BytesIO(Path(path).read_bytes()))
    except _DAMAGES as error:
        raise ValueError(
            f"{path}: cannot be read as a file of torch before 1.6 ({error!r})"
        ) from error
    except (ValueError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: {error}") from error


def _read_tensors(file: io.BytesIO) -> dict[str, np.ndarray]:
    magic, _, _ = (_PlainTensors(file).load() for _ in range(3))
    if magic != MAGIC:
        raise ValueError("not a file of torch before 1.6")
    tensors = _PlainTensors(file).load()
    keys = _PlainTensors(file).load()
    dtypes = {tensor.storage.key: np.dtype(tensor.storage.dtype) for tensor in tensors.values()}
    storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


def _read_storage(file: io.BytesIO, dtype: np.dtype) -> bytes:
    count = int.from_bytes(file.read(8), "little", signed=True)
    left = len(file.getbuffer()) - file.tell()
    if not 0 <= count * dtype.itemsize <= left:
        raise ValueError(f"the file ends early: got {left} bytes of {count} elements")
    return file.read(count * dtype.itemsize)


def _array(tensor: _Tensor, storages: dict[str, bytes]) -> np.ndarray:
    dtype = np.dtype(tensor.storage.dtype)
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    # Unlike as_strided, np.ndarray checks that shape and strides stay inside the buffer.
    offset = tensor.offset * dtype.itemsize
    return np.ndarray(tensor.shape, dtype, storages[tensor.storage.key], offset, strides)
