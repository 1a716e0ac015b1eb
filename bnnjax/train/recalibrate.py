"""Batch norms set anew for weights that have changed, so that their channels are as before."""

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
    """The network with batch norms under which each channel has the mean and deviation, over these
    images, that it has in another network of the same shape; a silent channel, the mean.

    A network with other weights but old batch norms is worse than its weights are: nothing reaches
    the range that the next layer expects.

    Args:
      network: frozen.
      like: frozen, of the same architecture; its batch norms' results are what is aimed at.
      images: float [N, H, W, 3], sRGB in [0, 1]; all in one batch.

    Raises:
      ValueError: a network is not frozen, or the two differ in architecture.
    """
    if network.architecture != like.architecture or not (network.frozen and like.frozen):
        raise ValueError("recalibration needs two frozen networks of the same architecture")
    wanted = jax.jit(lambda variables, images: _moments(like, variables, images))(
        like.variables, images
    )
    found = jax.jit(lambda variables, images: _fitted(network, variables, images, wanted))(
        network.variables, images
    )
    params = flatten_dict(network.variables["params"])
    for path, (multiplier, bias) in found.items():
        params |= {(*path, "multiplier"): multiplier, (*path, "bias"): bias}
    variables = {**network.variables, "params": unflatten_dict(params)}
    return Network(network.architecture, variables, network.provenance)


def _moments(network: Network, variables: Any, images: Array) -> Moments:
    """Path of each batch norm → mean and deviation of its result's channels."""
    moments: Moments = {}

    def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        result = call(*args, **kwargs)
        if isinstance(context.module, BatchNorm):
            moments[context.module.path] = result.mean((0, 1, 2)), result.std((0, 1, 2))
        return result

    with nn.intercept_methods(record):
        network.apply(variables, images)
    return moments


def _fitted(network: Network, variables: Any, images: Array, wanted: Moments) -> Moments:
    """Path of each batch norm → multiplier and bias that give its result the wanted moments, each
    found after those before it are in force."""
    fitted: Moments = {}

    def replace(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if not isinstance(context.module, BatchNorm):
            return call(*args, **kwargs)
        x, path = args[0], context.module.path
        mean, deviation = wanted[path]
        spread = x.std((0, 1, 2))
        silent = spread <= 1e-4 * spread.max()  # nothing in it that could be scaled
        multiplier = jnp.where(silent, 0, deviation / jnp.where(silent, 1, spread))
        bias = mean - multiplier * x.mean((0, 1, 2))
        fitted[path] = multiplier, bias
        return x * multiplier + bias

    with nn.intercept_methods(replace):
        network.apply(variables, images)
    return fitted
