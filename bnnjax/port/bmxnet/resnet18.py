"""Builds BMXNet's ResNet-18 (`bnnjax.models.bmxnet`) from the arrays of a ``.params`` file.

| layer | arrays | dtype, shape |
|---|---|---|
| float convolution | weight | float32 [out, in, rows, columns] |
| binary convolution | weight | float64 [out · in · rows · columns / 64], 64 bits in each |
| batch norm | gamma, beta, moving_mean, moving_var | float32 [channels] |
| dense | weight, bias | float32 [out, in], [out] |

The bits are little-endian and in the order [out, in, rows, columns]; a set bit is +1.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import unflatten_dict

from bnnjax.layers import BatchNorm, QuantConv
from bnnjax.models import bmxnet
from bnnjax.models.entry import Entry
from bnnjax.models.forms import freeze
from bnnjax.models.network import Architecture, Network
from bnnjax.models.trace import by_layer
from bnnjax.port.arrays import faults
from bnnjax.port.bmxnet.params import read_arrays

Shape = tuple[int, ...]

WORD = 64  # bits
NORM = {
    "arg:{}_gamma": ("params", "scale"),
    "arg:{}_beta": ("params", "bias"),
    "aux:{}_moving_mean": ("batch_stats", "mean"),
    "aux:{}_moving_var": ("batch_stats", "var"),
}
_NAMES = {
    "input_norm": "bn_data",
    "stem_conv": "conv0",
    "stem_norm": "bn0",
    "head_norm": "bn1",
    "dense": "fc1",
}
_NAMES_IN_BLOCKS = {"norm": "bn1", "conv1_norm": "bn2", "shortcut_conv": "sc"}


class Target(NamedTuple):
    """An array of ours and where it comes from.

    Attributes:
      path: its path in the latent variables; None for an array of the file that does not count.
      name: the name of the array in the file.
      shape, dtype: those of the array in the file.
      convert: the array in the file → ours.
    """

    path: tuple[str, ...] | None
    name: str
    shape: Shape
    dtype: Any = np.float32
    convert: Any = np.asarray


def read_network(
    path: str | os.PathLike[str], entry: Entry | None = None, *, frozen: bool = True
) -> Network:
    """The network in a ``.params`` file of BMXNet.

    Args:
      path: the path of the file.
      entry: the expected network; by default, the one that the arrays fit.
      frozen: whether to return packed weights, or latent floats for further training.

    Raises:
      ValueError: the file cannot be read; or, in one error, all arrays that are missing, left over,
        of the wrong shape or dtype, or not finite.
    """
    arrays = read_arrays(path)
    candidates = bmxnet.ENTRIES if entry is None else (entry,)
    found = {candidate: _faults(arrays, candidate) for candidate in candidates}
    entry = min(found, key=lambda candidate: len(found[candidate]))
    if found[entry]:
        lines = "\n  ".join(found[entry])
        raise ValueError(f"{path}: not the weights of {entry.name}:\n  {lines}")
    variables = {
        target.path: jnp.asarray(target.convert(arrays[target.name]))
        for target in targets(entry)
        if target.path is not None
    }
    architecture = Architecture.published(entry)
    latent = Network(architecture, unflatten_dict(variables), {"kernels": "binarized"})
    try:
        packed = freeze(latent)
    except ValueError as error:  # a variance is too small
        raise ValueError(f"{path}: {error}") from None
    return packed if frozen else latent


def _faults(arrays: Mapping[str, np.ndarray], entry: Entry) -> list[str]:
    # The words of binary kernels are bits: as floats, they may be anything.
    floats = {name: array for name, array in arrays.items() if array.dtype == np.float32}
    infinite = [name for name, array in floats.items() if not np.isfinite(array).all()]
    unfit = [f"{name}: holds values that are not finite" for name in infinite]
    return faults(arrays, needed(entry)) + unfit


def needed(entry: Entry) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes and dtypes of all arrays in the file by their names."""
    return {t.name: jax.ShapeDtypeStruct(t.shape, t.dtype) for t in targets(entry)}


def targets(entry: Entry) -> Iterator[Target]:
    """All arrays of a network, layer by layer."""
    architecture = Architecture.published(entry)
    shapes = by_layer(architecture.latent_shapes()["params"])
    for path, layer in architecture.layers().items():
        name, own = bmxnet_name(path[-1]), shapes[path]
        if isinstance(layer, BatchNorm):
            for theirs, (collection, ours) in NORM.items():
                # The graph says fix_gamma where we have no scale: it is 1, whatever the file says.
                counts = layer.use_scale or ours != "scale"
                target = (collection, *path, ours) if counts else None
                yield Target(target, theirs.format(name), own["bias"].shape)
            continue
        shape = own["kernel"].shape
        transposed = (*shape[:1:-1], *shape[:-2]) if len(shape) == 4 else shape[::-1]
        kernel = ("params", *path, "kernel"), f"arg:{name}_weight"
        if isinstance(layer, QuantConv):
            words = (math.prod(shape) // WORD,)
            yield Target(*kernel, words, np.float64, partial(_signs, shape=transposed))
        else:
            yield Target(*kernel, transposed, convert=_outputs_last)
        if isinstance(layer, nn.Dense):
            yield Target(("params", *path, "bias"), f"arg:{name}_bias", shape[-1:])


def bmxnet_name(layer: str) -> str:
    """BMXNet's name of a layer: ``stage1_unit2_bn1`` for ``section1_block2_norm``."""
    if match := re.fullmatch(r"section(\d)_block(\d)_(\w+)", layer):
        return f"stage{match[1]}_unit{match[2]}_{_NAMES_IN_BLOCKS.get(match[3], match[3])}"
    return _NAMES[layer]


def _signs(words: np.ndarray, *, shape: Shape) -> np.ndarray:
    """The ±1 kernel, outputs last, whose bits fill float64 values."""
    bits = np.unpackbits(words.view(np.uint8), bitorder="little").reshape(shape)
    return _outputs_last(2 * bits.astype(np.float32) - 1)


def _outputs_last(kernel: np.ndarray) -> np.ndarray:
    """[out, in, rows, columns] → [rows, columns, in, out]; [out, in] → [in, out]."""
    return np.moveaxis(kernel, (0, 1), (-1, -2))
