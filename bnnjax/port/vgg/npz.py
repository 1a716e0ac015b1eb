"""The weights of VGG-19 up to conv5_1 from a NumPy archive with 256 levels per kernel.

For every convolution NAME of ``vgg19_conv5_1`` (`bnnjax.models.vgg`), the archive contains

| array | type | shape |
|---|---|---|
| `NAME/kernel_table` | float32 | [256] |
| `NAME/kernel_idx` | uint8 | [3,3,in,out] |
| `NAME/bias` | float32 | [out] |

and nothing else. The kernel is `kernel_table[kernel_idx]`. Nothing is ever unpickled.
"""

import os
import zipfile
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.images import failure
from bnnjax.models import vgg
from bnnjax.port.arrays import faults

LEVELS = 256


def read_vgg_npz(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Variables of ``vgg19_conv5_1``: {"params": {"conv1_1": {"kernel" [3,3,in,out],
    "bias" [out]}, …}}.

    Raises:
      ValueError: the file is missing or not an archive; or, in one error, all arrays that are
        missing, left over, or of the wrong shape or dtype.
    """
    arrays = _read_arrays(path)
    return {"params": {name: _layer(arrays, name) for name in vgg.layer_names(vgg.TO_CONV5_1)}}


class _Header(NamedTuple):
    """What an array in an archive will be."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive")
        with zipfile.ZipFile(path) as archive:  # before any array is read, whatever its size
            headers = {n.removesuffix(".npy"): _header(archive, n) for n in archive.namelist()}
        if not (found := faults(headers, _needed())):
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in headers}
    except Exception as error:  # damaged archives lead to nearly any exception
        raise failure(path, "cannot be read as an .npz archive", error) from error
    raise ValueError(f"{path} does not hold VGG-19's convolutions:\n  " + "\n  ".join(found))


def _header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
        return _Header(shape, dtype)


def _layer(arrays: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    kernel = arrays[f"{name}/kernel_table"][arrays[f"{name}/kernel_idx"]]
    return {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(arrays[f"{name}/bias"])}


def _needed() -> dict[str, jax.ShapeDtypeStruct]:
    needed = {}
    for name, shape in vgg.kernel_shapes(vgg.TO_CONV5_1).items():
        needed[f"{name}/kernel_table"] = jax.ShapeDtypeStruct((LEVELS,), np.float32)
        needed[f"{name}/kernel_idx"] = jax.ShapeDtypeStruct(shape, np.uint8)
        needed[f"{name}/bias"] = jax.ShapeDtypeStruct(shape[-1:], np.float32)
    return needed
