"""VGG-19's weights up to conv5_1 from a NumPy archive with 256 levels a kernel.

For every convolution NAME of ``vgg19_conv5_1`` (`bnnjax.models.vgg`) the archive holds

| array | type | shape |
|---|---|---|
| `NAME/kernel_table` | float32 | [256] |
| `NAME/kernel_idx` | uint8 | [3,3,in,out] |
| `NAME/bias` | float32 | [out] |

and nothing else; the kernel is `kernel_table[kernel_idx]`. Nothing is ever unpickled.
"""

import os
import zipfile
import zlib

import jax.numpy as jnp
import numpy as np
from numpy.lib.npyio import NpzFile

from bnnjax.models import vgg

LEVELS = 256


def read_vgg_npz(path: str | os.PathLike[str]) -> dict:
    """Variables of ``vgg19_conv5_1``: {"params": {"conv1_1": {"kernel" [3,3,in,out],
    "bias" [out]}, …}}.

    Raises:
      ValueError: the file is missing or no archive; or (one error that names all) arrays are
        missing, extra, of another shape or of another type.
    """
    arrays = _read_arrays(path)
    problems = _problems(arrays)
    if problems:
        raise ValueError(f"{path} does not hold VGG-19's convolutions:\n  " + "\n  ".join(problems))
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


def _layer(arrays: dict[str, np.ndarray], name: str) -> dict:
    kernel = arrays[f"{name}/kernel_table"][arrays[f"{name}/kernel_idx"]]
    return {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(arrays[f"{name}/bias"])}


def _expected() -> dict[str, tuple[tuple[int, ...], str]]:
    expected: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, shape in vgg.kernel_shapes(vgg.TO_CONV5_1).items():
        expected[f"{name}/kernel_table"] = ((LEVELS,), "float32")
        expected[f"{name}/kernel_idx"] = (shape, "uint8")
        expected[f"{name}/bias"] = (shape[-1:], "float32")
    return expected


def _problems(arrays: dict[str, np.ndarray]) -> list[str]:
    expected = _expected()
    found = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    missing = [f"missing: {name}" for name in expected if name not in found]
    extra = [f"extra: {name}" for name in found if name not in expected]
    differing = [
        f"{name}: got {_words(found[name])}, need {_words(wanted)}"
        for name, wanted in expected.items()
        if name in found and found[name] != wanted
    ]
    return missing + extra + differing


def _words(description: tuple[tuple[int, ...], str]) -> str:
    shape, dtype = description
    return f"{dtype} {list(shape)}"
