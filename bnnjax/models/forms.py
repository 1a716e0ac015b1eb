"""The two forms of a network: latent (float, to train) and frozen (packed, for all else)."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.binary import conv
from bnnjax.layers import BatchNorm, QuantConv, fold
from bnnjax.models.network import Architecture, Network

Path = tuple[str, ...]


def freeze(network: Network) -> Network:
    """The frozen form: binary kernels packed, batch norms folded, the rest as it is.

    Raises:
      ValueError: a kernel quantizer that gives more than ±1, whose scale bits cannot hold.
    """
    variables = _flat(network)
    for path, layer in _layers(network.architecture).items():
        params = ("params", *path)
        if isinstance(layer, QuantConv):
            kernel = layer.kernel_quantizer(variables.pop((*params, "kernel")))
            if not (abs(kernel) == 1).all():
                raise ValueError(f"{'/'.join(path)}: only kernels quantized to ±1 can be packed")
            variables[(*params, "words")] = conv.pack_kernel(kernel)
        elif isinstance(layer, BatchNorm):
            statistics = [variables.pop(("batch_stats", *path, name)) for name in ("mean", "var")]
            affine = [variables.pop((*params, name)) for name in ("scale", "bias")]
            multiplier, bias = fold(*affine, *statistics, epsilon=layer.epsilon)
            variables |= {(*params, "multiplier"): multiplier, (*params, "bias"): bias}
    return _in_form(network, variables, frozen=True)


def thaw(network: Network) -> Network:
    """The latent form of a frozen network, to train it further: kernels ±1, batch norms with mean
    0 and a variance that makes their multiplier exactly what it was."""
    variables = _flat(network)
    for path, layer in _layers(network.architecture).items():
        params = ("params", *path)
        if isinstance(layer, QuantConv):
            # Kernels are square in their channels or not; the module's shapes tell how many.
            words = variables.pop((*params, "words"))
            channels = _latent_kernel_shape(network.architecture, path)[2]
            variables[(*params, "kernel")] = conv.unpack_kernel(words, channels)
        elif isinstance(layer, BatchNorm):
            scale = variables.pop((*params, "multiplier"))
            # One float32 below 1, such that adding epsilon gives 1 again, to the bit.
            var = np.float32(1) - np.float32(layer.epsilon)
            assert np.float32(var + np.float32(layer.epsilon)) == 1
            variables |= {
                (*params, "scale"): scale,
                ("batch_stats", *path, "mean"): jnp.zeros_like(scale),
                ("batch_stats", *path, "var"): jnp.full_like(scale, var),
            }
    return _in_form(network, variables, frozen=False)


def _flat(network: Network) -> dict[Path, Any]:
    return flatten_dict(network.variables)


def _in_form(network: Network, variables: dict[Path, Any], *, frozen: bool) -> Network:
    architecture = dataclasses.replace(network.architecture, frozen=frozen)
    return dataclasses.replace(
        network, architecture=architecture, variables=unflatten_dict(variables)
    )


def _layers(architecture: Architecture) -> dict[Path, nn.Module]:
    """Every layer of the network by its path in the variables, found without computing."""
    layers: dict[Path, nn.Module] = {}

    def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        layers[context.module.path] = context.module
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        architecture.variable_shapes()
    return layers


def _latent_kernel_shape(architecture: Architecture, path: Path) -> tuple[int, ...]:
    latent = dataclasses.replace(architecture, frozen=False)
    return flatten_dict(latent.variable_shapes())[("params", *path, "kernel")].shape
