"""The two forms of a network: latent (float, to train) and frozen (packed, for all else)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.layers import BatchNorm, Quantized
from bnnjax.models.network import Architecture, Network
from bnnjax.models.trace import Path, trace

Arrays = Mapping[str, Any]


def freeze(network: Network) -> Network:
    """The frozen form: binary kernels packed, batch norms folded, the rest as it is.

    Raises:
      ValueError: a weight is not finite, or a kernel quantizer gives what bits cannot hold.
    """
    variables = {}
    for path, layer in layers(network.architecture).items():
        params, stats = (_at(network, name, path) for name in ("params", "batch_stats"))
        try:
            variables[path] = freeze_layer(layer, params, stats)
        except ValueError as error:
            raise ValueError(f"{'/'.join(path)}: {error}") from None
    return _in_form(network, {"params": unflatten_dict(variables)}, frozen=True)


def freeze_layer(layer: nn.Module, params: Arrays, stats: Arrays) -> dict[str, Any]:
    """Frozen parameters of one layer from its latent parameters and statistics; see `freeze`."""
    if isinstance(layer, Quantized):
        return layer.freeze(params)
    return layer.freeze(params, stats) if isinstance(layer, BatchNorm) else dict(params)


def thaw(network: Network) -> Network:
    """The latent form of a frozen network, to train it further: kernels ±1 (or ± their scale),
    batch norms of mean 0 and a variance that makes their multiplier exactly what it was."""
    latent = dataclasses.replace(network.architecture, frozen=False)
    shapes = flatten_dict(latent.variable_shapes()["params"])
    variables: dict[str, dict[Path, Any]] = {"params": {}, "batch_stats": {}}
    for path, layer in layers(network.architecture).items():
        params = _at(network, "params", path)
        if isinstance(layer, Quantized):
            params = layer.thaw(params, shapes[(*path, "kernel")].shape)
        elif isinstance(layer, BatchNorm):
            params, variables["batch_stats"][path] = layer.thaw(params)
        if params:
            variables["params"][path] = params
    trees = {name: unflatten_dict(tree) for name, tree in variables.items()}
    return _in_form(network, trees, frozen=False)


def layers(architecture: Architecture) -> dict[Path, nn.Module]:
    """Every innermost layer with weights by its path, in the order of their calls."""
    calls = trace(architecture.module, side=architecture.entry.smallest)
    return {call.path: call.layer for call in calls}


def _at(network: Network, collection: str, path: Path) -> Arrays:
    tree: Any = network.variables.get(collection, {})
    for name in path:
        tree = tree.get(name, {})
    return tree


def _in_form(network: Network, variables: Mapping[str, Any], *, frozen: bool) -> Network:
    architecture = dataclasses.replace(network.architecture, frozen=frozen)
    return dataclasses.replace(network, architecture=architecture, variables=variables)
