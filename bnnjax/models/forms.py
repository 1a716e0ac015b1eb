"""The two forms of a network: latent (floats, for training) and frozen (packed, for all else)."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from bnnjax.layers import BatchNorm, Quantized
from bnnjax.models.network import Network
from bnnjax.models.trace import Path, by_layer, joined

Arrays = Mapping[str, Any]


def freeze(network: Network) -> Network:
    """The frozen form: binary kernels are packed, batch norms are folded, the rest is unchanged.

    A network with neither binary kernels nor batch norms is returned unchanged.

    Raises:
      ValueError: the network is frozen already, a weight is not finite, or a kernel quantizer
        returns values that bits cannot represent.
    """
    if network.form == "packed":
        raise ValueError(f"{network.name} is frozen already; freeze needs latent weights")
    params, stats = _params_and_stats(network)
    for path, layer in network.architecture.layers().items():
        try:
            params[path] = freeze_layer(layer, params.get(path, {}), stats.get(path, {}))
        except ValueError as error:
            raise ValueError(f"{'/'.join(path)}: {error}") from None
    return dataclasses.replace(network, variables={"params": joined(params)})


def freeze_layer(layer: nn.Module, params: Arrays, stats: Arrays) -> dict[str, Any]:
    """Frozen parameters of one layer from its latent parameters and statistics; see `freeze`."""
    if isinstance(layer, Quantized):
        return layer.freeze(params)
    return layer.freeze(params, stats) if isinstance(layer, BatchNorm) else dict(params)


def thaw(network: Network) -> Network:
    """The latent form of a frozen network, for further training.

    Kernels become ±1, or ± their scale. Batch norms get mean 0 and a variance that reproduces their
    multiplier exactly.

    Raises:
      ValueError: the network is latent already.

    Examples:
      >>> latent = bnnjax.thaw(bnnjax.load_model())
      >>> latent.form, bnnjax.freeze(latent).form
      ('latent', 'packed')
    """
    if network.form == "latent":
        raise ValueError(f"{network.name} is latent already; thaw needs a frozen network")
    shapes = by_layer(network.architecture.latent_shapes()["params"])
    params, stats = _params_and_stats(network)
    for path, layer in network.architecture.layers().items():
        if isinstance(layer, Quantized):
            params[path] = layer.thaw(params[path], shapes[path]["kernel"].shape)
        elif isinstance(layer, BatchNorm):
            params[path], stats[path] = layer.thaw(params[path])
    variables = {"params": joined(params), "batch_stats": joined(stats)}
    return dataclasses.replace(network, variables=variables)


def _params_and_stats(network: Network) -> tuple[dict[Path, Any], dict[Path, Any]]:
    params, stats = (
        by_layer(network.variables.get(name, {})) for name in ("params", "batch_stats")
    )
    return params, stats
