"""Refits batch norms to weights that have changed, so that their channels are as before."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

from bnnjax.layers import BatchNorm
from bnnjax.models.network import Network

Moments = dict[tuple[str, ...], tuple[Array, Array]]


def recalibrate(network: Network, *, like: Network, images: Array) -> Network:
    """The network with batch norms that give each channel, over these images, the mean and standard
    deviation that it has in another network of the same architecture.

    With new weights but old batch norms, a network is worse than its weights, because no activation
    is in the range that the next layer expects. A constant channel gets only the mean.

    Args:
      network: frozen.
      like: frozen, of the same architecture; its batch norms' outputs are the target.
      images: float [N, H, W, 3], sRGB in [0, 1], processed in one batch.

    Raises:
      ValueError: a network is not frozen, or their architectures differ.
    """
    if network.architecture != like.architecture or not (network.frozen and like.frozen):
        raise ValueError(
            f"got {network.name} and {like.name}, need two frozen networks of the same architecture"
        )
    targets = jax.jit(lambda variables, images: _moments(like, variables, images))(
        like.variables, images
    )
    fitted = jax.jit(lambda variables, images: _fit(network, variables, images, targets))(
        network.variables, images
    )
    params = flatten_dict(network.variables["params"])
    for path, (multiplier, bias) in fitted.items():
        params |= {(*path, "multiplier"): multiplier, (*path, "bias"): bias}
    variables = {**network.variables, "params": unflatten_dict(params)}
    return Network(network.architecture, variables, network.provenance)


def _moments(network: Network, variables: Any, images: Array) -> Moments:
    """Path of each batch norm → mean and standard deviation of its output channels."""
    moments: Moments = {}

    def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        output = call(*args, **kwargs)
        if isinstance(context.module, BatchNorm):
            moments[context.module.path] = output.mean((0, 1, 2)), output.std((0, 1, 2))
        return output

    with nn.intercept_methods(record):
        network.apply(variables, images)
    return moments


def _fit(network: Network, variables: Any, images: Array, targets: Moments) -> Moments:
    """Path of each batch norm → multiplier and bias that give its output the target moments, each
    fitted after those before it have been replaced."""
    fitted: Moments = {}

    def replace(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if not isinstance(context.module, BatchNorm):
            return call(*args, **kwargs)
        x, path = args[0], context.module.path
        mean, deviation = targets[path]
        spread = x.std((0, 1, 2))
        constant = spread <= 1e-4 * spread.max()  # nothing to scale
        multiplier = jnp.where(constant, 0, deviation / jnp.where(constant, 1, spread))
        bias = mean - multiplier * x.mean((0, 1, 2))
        fitted[path] = multiplier, bias
        return x * multiplier + bias

    with nn.intercept_methods(replace):
        network.apply(variables, images)
    return fitted
