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
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.npyio import NpzFile

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
    if found := faults(arrays, _needed()):
        raise ValueError(f"{path} does not hold VGG-19's convolutions:\n  " + "\n  ".join(found))
    return {"params": {name: _layer(arrays, name) for name in vgg.layer_names(vgg.TO_CONV5_1)}}


def _read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise ValueError("it holds a single array")
        with archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as an .npz archive: {error}") from error


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
