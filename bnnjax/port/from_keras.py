"""A network of ours out of the layers of a Keras file.

Layers are matched by their kind, the class in their automatic name, and the counter of that name,
which rises in the order of creation: the order in which our networks call their layers. Where the
counter starts does not matter, it depends on what a session built before. Layers that have names of
their own in Larq (`Weights.keras_name`) are matched by these.
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
from bnnjax.port.keras_h5 import Source, opened


class Row(NamedTuple):
    """What a class of our layers is in Keras."""

    layer: type[nn.Module]
    kind: str
    prefix: str  # of the automatic names of its class
    arrays: Mapping[str, tuple[str, str]]  # Keras' name → our collection and name


_WEIGHTS = {"kernel": ("params", "kernel"), "bias": ("params", "bias")}
_DEPTHWISE = {"depthwise_kernel": ("params", "kernel"), "bias": ("params", "bias")}
_NORM = {
    "gamma": ("params", "scale"),
    "beta": ("params", "bias"),
    "moving_mean": ("batch_stats", "mean"),
    "moving_variance": ("batch_stats", "var"),
}
# A layer belongs to the first row that its class fits: subclasses stand before their bases.
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
    """A layer of ours that wants arrays: Keras' name → (collection, name, shape).

    ``prefix`` is the layer's name in Keras' files, less the counter of an automatic one.
    """

    path: LayerPath
    layer: nn.Module
    kind: str
    prefix: str
    arrays: Mapping[str, tuple[str, str, tuple[int, ...]]]

    def __str__(self) -> str:
        return f"{'/'.join(self.path)} (a {self.prefix})"


class Match(NamedTuple):
    """What fits together, and what does not, a line a fault."""

    architecture: Architecture
    pairs: list[tuple[Target, Source]]
    faults: list[str]


def read_network(path: str | Path, entry: Entry, *, frozen: bool = True) -> Network:
    """A network with the weights of an ``.h5`` file, with or without the classifier as the file is.

    Its ``provenance`` says under ``kernels`` whether the binary kernels of the file were "latent"
    or already "binarized".

    Raises:
      ValueError: the file cannot be read; or (one error that lists all) arrays are missing, left
        over, misshaped or not finite. ModuleNotFoundError when the extra ``port`` is missing.
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
    """The latent architecture that a file's layers are of, and what belongs to what.

    Raises:
      ValueError: lists all that is missing, left over or misshaped.
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
    """What the file's classifier tells apart: the layer matched with our last kernel, if any."""
    kernels = [target.path for target in targets(match.architecture) if "kernel" in target.arrays]
    of = {target.path: source.arrays for target, source in match.pairs}
    arrays = of.get(kernels[-1], {})
    return arrays["kernel"].shape[-1] if "kernel" in arrays else None


def targets(architecture: Architecture) -> list[Target]:
    """The layers of a latent network in the order of their calls, with what they need."""
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
    """Which layer of the file belongs to which of ours (see the top of this file); all faults."""
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
    """Layers of ours and of the file that belong together one by one."""
    kinds = dict.fromkeys([t.kind for t in wanted] + [s.kind for s in sources])
    for kind in kinds:
        ours = [target for target in wanted if target.kind == kind]
        theirs = [source for source in sources if source.kind == kind]
        found = dict.fromkeys(source.prefix for source in theirs)
        if len(found) <= 1:  # Conv2D and QuantConv2D without quantizers are the same to us
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
    # A few rows at a time: a kernel may be the larger part of the file.
    parts = (rows[start : start + 256] for start in range(0, len(rows), 256))
    return any((np.abs(part) != scale).any() for part in parts)
