"""Files of BMXNet made from random numbers."""

import struct

import numpy as np
import pytest

from bnnjax.models import registry
from bnnjax.port.bmxnet import resnet18


@pytest.fixture(scope="session")
def random_arrays():
    """A function name of a network → the arrays of a file of it."""

    def make(name):
        rng, arrays = np.random.default_rng(0), {}
        for key, array in resnet18.needed(registry.find(name)).items():
            if array.dtype == np.float64:
                arrays[key] = np.frombuffer(rng.bytes(8 * array.shape[0]), np.float64)
            elif "var" in key:
                arrays[key] = rng.uniform(50, 200, array.shape).astype(np.float32)
            else:
                arrays[key] = rng.normal(size=array.shape).astype(np.float32)
        return arrays

    return make


@pytest.fixture
def write(tmp_path):
    """A function that writes arrays as MXNet does."""

    def write(arrays, name="net.params"):
        parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
        for array in arrays.values():
            code = {"float32": 0, "float64": 1}[str(array.dtype)]
            shape = struct.pack(f"<II{array.ndim}q", 0xF993FAC8, array.ndim, *array.shape)
            parts += [shape, struct.pack("<iii", 1, 0, code), array.tobytes()]
        names = [name.encode() for name in arrays]
        parts += [struct.pack("<Q", len(names))]
        parts += [struct.pack("<Q", len(name)) + name for name in names]
        (tmp_path / name).write_bytes(b"".join(parts))
        return tmp_path / name

    return write
