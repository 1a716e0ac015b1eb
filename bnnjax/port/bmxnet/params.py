"""Reads ``.params`` files of MXNet: named arrays, as ``mx.nd.save`` writes them.

Little-endian: u64 0x112, u64 0; u64 n and n arrays; u64 n and n names, each a u64 length and its
bytes. An array starts in one of three ways, which MXNet has used one after the other:

| first u32 | follows |
|---|---|
| number of dimensions | u32 for each of them |
| 0xF993FAC8 | u32 number of dimensions, i64 for each of them |
| 0xF993FAC9 | i32 storage type, 0 for dense; then as in the line above |

Then come i32 device type, i32 device number, i32 dtype and the values in C order
(``src/ndarray/ndarray.cc`` of MXNet). Nothing is ever unpickled.
"""

import math
import os
import struct
from typing import Any

import numpy as np

LIST = 0x112
I64_DIMENSIONS, STORAGE_TYPE = 0xF993FAC8, 0xF993FAC9
DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f8")}
MOST_DIMENSIONS = 32


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a file by their names, ``arg:NAME`` or ``aux:NAME``; read-only.

    Raises:
      ValueError: the file does not exist, is damaged or truncated, or holds other kinds of arrays.
    """
    try:
        with open(path, "rb") as file:
            return _arrays(_Reader(file.read()))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: not a .params file of MXNet, or damaged ({error})") from None


class _Reader:
    """Takes values from the front of a file's bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def bytes(self, count: int) -> memoryview:
        left = len(self._data) - self._at
        if not 0 <= count <= left:
            raise ValueError(f"byte {self._at}: {count} bytes should follow, {left} do")
        self._at += count
        return self._data[self._at - count : self._at]

    def numbers(self, format: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{format}", self.bytes(struct.calcsize(f"<{format}")))

    def number(self, format: str) -> int:
        return self.numbers(format)[0]

    def end(self) -> None:
        if left := len(self._data) - self._at:
            raise ValueError(f"{left} bytes are left over")


def _arrays(reader: _Reader) -> dict[str, np.ndarray]:
    if (kind := reader.number("Q")) != LIST:
        raise ValueError(f"it starts with {kind:#x}, needs {LIST:#x}")
    reader.number("Q")  # reserved
    arrays = [_array(reader) for _ in range(reader.number("Q"))]
    names = [str(reader.bytes(reader.number("Q")), "utf-8") for _ in range(reader.number("Q"))]
    reader.end()
    if len({*names}) != len(arrays) or len(names) != len(arrays):
        raise ValueError(f"{len(arrays)} arrays have {len({*names})} different names")
    return dict(zip(names, arrays, strict=True))


def _array(reader: _Reader) -> np.ndarray:
    shape = _shape(reader)
    _, _, code = reader.numbers("3i")
    if code not in DTYPES:
        raise ValueError(f"an array has dtype {code}, needs 0 (float32) or 1 (float64)")
    dtype = DTYPES[code]
    values = np.frombuffer(reader.bytes(math.prod(shape) * dtype.itemsize), dtype)
    return values.reshape(shape)


def _shape(reader: _Reader) -> tuple[int, ...]:
    first, each = reader.number("I"), "I"
    if first == STORAGE_TYPE and (storage := reader.number("i")) != 0:
        raise ValueError(f"an array has storage type {storage}, needs 0 (dense)")
    if first in (I64_DIMENSIONS, STORAGE_TYPE):
        first, each = reader.number("I"), "q"
    if not 1 <= first <= MOST_DIMENSIONS:
        raise ValueError(f"an array has {first} dimensions, needs 1 to {MOST_DIMENSIONS}")
    shape = reader.numbers(f"{first}{each}")
    if min(shape) < 1:
        raise ValueError(f"an array has shape {list(shape)}, needs positive sides")
    return shape
