"""Builds a registered network from the layers of a Keras file.

Layers are matched by their kind, by the class in their automatic names, and by the counter at the
end of these names. The counter increases in the order of creation, which is the order in which our
networks call their layers. Its start value depends on what the Keras session built before and is
ignored. Layers that Larq names explicitly (`Weights.keras_name`) are matched by these names.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax import quant
from bnnjax.layers import (
    BatchNorm,
    Conv,
    DepthwiseConv,
    PReLU,
    QuantConv,
    QuantDense,
    QuantDepthwiseConv,
    Quantized,
)
from bnnjax.models.entry import Entry
from bnnjax.models.forms import freeze_layer
from bnnjax.models.network import Architecture, Network
from bnnjax.models.trace import Path as LayerPath
from bnnjax.port.keras.h5 import Source, opened


class Row(NamedTuple):
    """A class of our layers and its counterpart in Keras: its kind, the prefix of its automatic
    names, and its arrays by Keras' names → (our collection, our name)."""

    layer: type[nn.Module]
    kind: str
    prefix: str
    arrays: Mapping[str, tuple[str, str]]


_WEIGHTS = {"kernel": ("params", "kernel"), "bias": ("params", "bias")}
_DEPTHWISE = {"depthwise_kernel": ("params", "kernel"), "bias": ("params", "bias")}
_NORM = {
    "gamma": ("params", "scale"),
    "beta": ("params", "bias"),
    "moving_mean": ("batch_stats", "mean"),
    "moving_variance": ("batch_stats", "var"),
}
# A layer belongs to the first row that matches its class, so subclasses precede their bases.
ROWS = (
    Row(DepthwiseConv, "depthwise", "depthwise_conv2d", _DEPTHWISE),
    Row(QuantDepthwiseConv, "depthwise", "quant_depthwise_conv2d", _DEPTHWISE),
    Row(Conv, "convolution", "conv2d", _WEIGHTS),
    Row(QuantConv, "convolution", "quant_conv2d", _WEIGHTS),
    Row(QuantDense, "dense", "quant_dense", _WEIGHTS),
    Row(nn.Conv, "convolution", "conv2d", _WEIGHTS),
    Row(nn.Dense, "dense", "dense", _WEIGHTS),
    Row(BatchNorm, "norm", "batch_normalization", _NORM),
    Row(PReLU, "activation", "p_re_lu", {"alpha": ("params", "alpha")}),
)


class Target(NamedTuple):
    """A layer of ours that needs arrays.

    Attributes:
      path: the path of the layer in the module.
      layer: the layer itself.
      kind: its kind, as in `ROWS`.
      prefix: its name in Keras' files, without the counter of an automatic name.
      arrays: Keras' name → (our collection, our name, shape).
    """

    path: LayerPath
    layer: nn.Module
    kind: str
    prefix: str
    arrays: Mapping[str, tuple[str, str, tuple[int, ...]]]

    def __str__(self) -> str:
        return f"{'/'.join(self.path)} (a {self.prefix})"


class Match(NamedTuple):
    """The matched layers, and one line per fault."""

    architecture: Architecture
    pairs: list[tuple[Target, Source]]
    faults: list[str]


def read_network(path: str | Path, entry: Entry, *, frozen: bool = True) -> Network:
    """A network with the weights of an ``.h5`` file, with a classifier if the file has one.

    ``provenance["kernels"]`` says whether the binary kernels in the file were "latent" or already
    "binarized".

    Raises:
      ValueError: the file cannot be read; or, in one error, all arrays that are missing, left over,
        misshaped or not finite.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    with opened(path) as sources:
        architecture, pairs = fit(sources, entry)
        variables: dict[str, dict[LayerPath, Any]] = {"params": {}, "batch_stats": {}}
        latent, faults = False, []
        for target, source in pairs:
            try:
                arrays = _latent_arrays(target, source)
                latent |= _is_latent(target, arrays["params"])
                if frozen:
                    arrays = {"params": freeze_layer(target.layer, **_as_arguments(arrays))}
            except ValueError as error:
                faults.append(f"{'/'.join(target.path)} from {source.name}: {error}")
                continue
            for collection, values in arrays.items():
                if values:
                    variables[collection][target.path] = jax.tree.map(jnp.asarray, values)
    if faults:
        raise ValueError(f"not the weights of {entry.name}:\n  " + "\n  ".join(faults))
    trees = {name: unflatten_dict(tree) for name, tree in variables.items() if tree}
    return Network(architecture, trees, {"kernels": "latent" if latent else "binarized"})


def fit(
    sources: Sequence[Source], entry: Entry
) -> tuple[Architecture, list[tuple[Target, Source]]]:
    """The architecture of the latent network in a file, and its layers matched to ours.

    Raises:
      ValueError: in one error, everything that is missing, left over or misshaped.
    """
    match = _match(sources, entry, entry.card.num_classes)
    if match.faults:
        match = min(
            (match, _match(sources, entry, _classes(match))), key=lambda match: len(match.faults)
        )
    if match.faults:
        raise ValueError(f"not the weights of {entry.name}:\n  " + "\n  ".join(match.faults))
    return match.architecture, match.pairs


def _match(sources: Sequence[Source], entry: Entry, classes: int | None) -> Match:
    architecture = Architecture(entry, entry.options, classes)
    return Match(architecture, *match_layers(targets(architecture), sources))


def _classes(match: Match) -> int | None:
    """The number of classes of the layer matched to our last kernel, or None if there is none."""
    kernels = [target.path for target in targets(match.architecture) if "kernel" in target.arrays]
    of = {target.path: source.arrays for target, source in match.pairs}
    arrays = of.get(kernels[-1], {})
    return arrays["kernel"].shape[-1] if "kernel" in arrays else None


def targets(architecture: Architecture) -> list[Target]:
    """The layers of a latent network in the order of their calls, with the arrays they need."""
    shapes = flatten_dict(architecture.latent_shapes())
    found = []
    for path, layer in architecture.layers().items():
        row = next(row for row in ROWS if isinstance(layer, row.layer))
        arrays = {
            keras: (collection, name, shapes[(collection, *path, name)].shape)
            for keras, (collection, name) in row.arrays.items()
            if (collection, *path, name) in shapes
        }
        keras_name = architecture.entry.weights.keras_name
        prefix = keras_name(path[-1]) if keras_name else row.prefix
        found.append(Target(path, layer, row.kind, prefix, arrays))
    return found


def match_layers(
    wanted: Sequence[Target], sources: Sequence[Source]
) -> tuple[list[tuple[Target, Source]], list[str]]:
    """Matches the layers of the file to ours, as described above; also returns all faults."""
    pairs: list[tuple[Target, Source]] = []
    faults: list[str] = []
    for ours, theirs in _sequences(wanted, sources):
        for target, source in zip_longest(ours, theirs):
            if target is None:
                faults.append(f"left over: {source}")
            elif source is None:
                faults.append(f"missing: {target}")
            else:
                faults += _array_faults(target, source)
                pairs.append((target, source))
    return pairs, faults


def _sequences(
    wanted: Sequence[Target], sources: Sequence[Source]
) -> Iterator[tuple[list[Target], list[Source]]]:
    """Lists of layers, ours and the file's, that correspond one to one."""
    kinds = dict.fromkeys([t.kind for t in wanted] + [s.kind for s in sources])
    for kind in kinds:
        ours = [target for target in wanted if target.kind == kind]
        theirs = [source for source in sources if source.kind == kind]
        found = dict.fromkeys(source.prefix for source in theirs)
        if len(found) <= 1:  # Conv2D and QuantConv2D without quantizers are equivalent
            yield ours, theirs
            continue
        for prefix in dict.fromkeys([*(t.prefix for t in ours), *found]):
            yield (
                [target for target in ours if target.prefix == prefix],
                [source for source in theirs if source.prefix == prefix],
            )


def _array_faults(target: Target, source: Source) -> list[str]:
    where = f"{'/'.join(target.path)} from {source.name}"
    faults = [f"{where}: {name} is missing" for name in target.arrays.keys() - source.arrays.keys()]
    for name, array in source.arrays.items():
        if name not in target.arrays:
            faults.append(f"{where}: {name} is left over")
        elif array.shape != target.arrays[name][2]:
            needed = list(target.arrays[name][2])
            faults.append(f"{where}: {name} has shape {list(array.shape)}, needs {needed}")
        elif array.dtype.kind != "f":
            faults.append(f"{where}: {name} is {array.dtype}, needs a float type")
    return faults


def _latent_arrays(target: Target, source: Source) -> dict[str, dict[str, Any]]:
    arrays: dict[str, dict[str, Any]] = {"params": {}, "batch_stats": {}}
    for keras, (collection, name, _) in target.arrays.items():
        with np.errstate(over="ignore"):
            value = source.arrays[keras][()].astype(np.float32, copy=False)
        if not np.isfinite(value).all():
            raise ValueError(f"{keras} holds values that are not finite")
        arrays[collection][name] = value
    return arrays


def _as_arguments(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {"params": arrays["params"], "stats": arrays["batch_stats"]}


def _is_latent(target: Target, params: Mapping[str, Any]) -> bool:
    layer = target.layer
    if not (isinstance(layer, Quantized) and layer.kernel_quantizer is not None):
        return False
    rows = params["kernel"].reshape(-1, params["kernel"].shape[-1])
    scale = np.abs(rows[0]) if quant.values(layer.kernel_quantizer) == "scaled signs" else 1
    # A few rows at a time, because one kernel may be most of the file.
    parts = (rows[start : start + 256] for start in range(0, len(rows), 256))
    return any((np.abs(part) != scale).any() for part in parts)
