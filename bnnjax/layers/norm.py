"""Batch normalisation in both forms."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array


class BatchNorm(nn.Module):
    """Batch normalisation; frozen, the affine map ``x · multiplier + bias`` it has become.

    No default epsilon: Keras' is 1e-3, Flax's 1e-5, and every network states its own.
    ``use_scale`` and ``use_bias`` are Keras' ``scale`` and ``center``.
    """

    epsilon: float
    momentum: float
    use_scale: bool = True
    use_bias: bool = True
    frozen: bool = False

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """[..., C] → [..., C]; with ``train`` by the batch's own statistics, which are recorded."""
        shape = x.shape[-1:]
        if self.frozen:
            multiplier = self.param("multiplier", nn.initializers.ones, shape)
            return x * multiplier + self.param("bias", nn.initializers.zeros, shape)
        scale: Array | float = 1.0
        bias: Array | float = 0.0
        if self.use_scale:
            scale = self.param("scale", nn.initializers.ones, shape)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        if not train:
            multiplier, bias = fold(scale, bias, mean.value, var.value, epsilon=self.epsilon)
            return x * multiplier + bias
        axes = tuple(range(x.ndim - 1))
        batch_mean, batch_var = jnp.mean(x, axes), jnp.var(x, axes)
        if not self.is_initializing():
            mean.value += (1 - self.momentum) * (batch_mean - mean.value)
            var.value += (1 - self.momentum) * (batch_var - var.value)
        multiplier, bias = fold(scale, bias, batch_mean, batch_var, epsilon=self.epsilon)
        return x * multiplier + bias

    @nn.nowrap
    def freeze(self, params: Mapping[str, Any], stats: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters of the frozen layer from the parameters and statistics of the latent one.

        Raises:
          ValueError: a value is not finite, or a variance not above −epsilon.
        """
        multiplier, bias = fold(
            params.get("scale", 1.0),
            params.get("bias", 0.0),
            stats["mean"],
            stats["var"],
            epsilon=self.epsilon,
        )
        given = [*params.values(), *stats.values()]  # an infinite variance gives a finite 0
        if not all(jnp.isfinite(array).all() for array in (*given, multiplier, bias)):
            raise ValueError("the batch norm holds values that are not finite")
        return {"multiplier": multiplier, "bias": bias}

    @nn.nowrap
    def thaw(self, params: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """Parameters and statistics of a latent layer that computes what the frozen one does."""
        multiplier, bias = params["multiplier"], params["bias"]
        if self.use_scale:
            # One float32 below 1, such that adding epsilon gives 1 again, to the bit.
            var = np.float32(1) - np.float32(self.epsilon)
            assert np.float32(var + np.float32(self.epsilon)) == 1
            latent, spread = {"scale": multiplier}, jnp.full_like(multiplier, var)
        else:
            latent, spread = {}, 1 / multiplier**2 - self.epsilon
        if self.use_bias:
            return {**latent, "bias": bias}, {"mean": jnp.zeros_like(bias), "var": spread}
        # A channel whose multiplier is 0 gives 0 whatever its mean.
        mean = jnp.where(multiplier == 0, 0, -bias / jnp.where(multiplier == 0, 1, multiplier))
        return latent, {"mean": mean, "var": spread}


def fold(
    scale: Array | float, bias: Array | float, mean: Array, var: Array, *, epsilon: float
) -> tuple[Array, Array]:
    """Multiplier and bias [C] that a batch normalisation with these statistics amounts to."""
    multiplier = scale / jnp.sqrt(var + epsilon)
    return multiplier, bias - mean * multiplier
