"""Batch normalization in both forms."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from bnnjax.layers.kernel import per_channel


class BatchNorm(nn.Module):
    """Batch normalization; when folded, the equivalent affine map ``x · multiplier + bias``.

    The layer is folded if it has a parameter ``multiplier`` (see `freeze`). There is no default
    epsilon: Keras' is 1e-3, Flax's is 1e-5, and every network states its own. ``use_scale`` and
    ``use_bias`` correspond to Keras' ``scale`` and ``center``.
    """

    epsilon: float
    momentum: float
    use_scale: bool = True
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """[..., C] → [..., C]; with ``train``, uses and records the statistics of the batch.

        Raises:
          ValueError: ``train`` is set and the layer is folded.
        """
        shape = x.shape[-1:]
        if self.has_variable("params", "multiplier"):
            if train:
                raise ValueError("a folded batch norm cannot be trained; thaw the network first")
            multiplier = self.param("multiplier", nn.initializers.ones, shape, jnp.float32)
            return _affine(x, multiplier, self._param("bias", True, 0.0, shape))
        scale = self._param("scale", self.use_scale, 1.0, shape)
        bias = self._param("bias", self.use_bias, 0.0, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        if not train:
            return _affine(x, *fold(scale, bias, mean.value, var.value, epsilon=self.epsilon))
        axes = tuple(range(x.ndim - 1))
        batch_mean, batch_var = jnp.mean(x, axes), jnp.var(x, axes)
        if not self.is_initializing():
            mean.value += (1 - self.momentum) * (batch_mean - mean.value)
            var.value += (1 - self.momentum) * (batch_var - var.value)
        return _affine(x, *fold(scale, bias, batch_mean, batch_var, epsilon=self.epsilon))

    @nn.nowrap
    def _param(self, name: str, used: bool, default: float, shape: tuple[int, ...]) -> Any:
        if not used:
            return default
        return self.param(name, nn.initializers.constant(default), shape, jnp.float32)

    @nn.nowrap
    def freeze(self, params: Mapping[str, Any], stats: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters of the folded layer from the parameters and statistics of the latent one.

        Raises:
          ValueError: the layer is folded already, a value is not finite, or a variance is not
            greater than −epsilon.
        """
        if "multiplier" in params:
            raise ValueError(f"holds {', '.join(params)}: it is frozen already")
        multiplier, bias = fold(
            params.get("scale", 1.0),
            params.get("bias", 0.0),
            stats["mean"],
            stats["var"],
            epsilon=self.epsilon,
        )
        given = [*params.values(), *stats.values()]  # an infinite variance would give a finite 0
        if not all(jnp.isfinite(array).all() for array in (*given, multiplier, bias)):
            raise ValueError("the batch norm holds values that are not finite")
        return {"multiplier": multiplier, "bias": bias}

    @nn.nowrap
    def thaw(self, params: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """Parameters and statistics of a latent layer that computes the same as the folded one."""
        multiplier, bias = params["multiplier"], params["bias"]
        if self.use_scale:
            # Adding epsilon to this float32 gives exactly 1.
            var = np.float32(1) - np.float32(self.epsilon)
            assert np.float32(var + np.float32(self.epsilon)) == 1
            latent, spread = {"scale": multiplier}, jnp.full_like(multiplier, var)
        else:
            latent, spread = {}, 1 / multiplier**2 - self.epsilon
        if self.use_bias:
            return {**latent, "bias": bias}, {"mean": jnp.zeros_like(bias), "var": spread}
        # A channel whose multiplier is 0 stays 0 for any mean.
        mean = jnp.where(multiplier == 0, 0, -bias / jnp.where(multiplier == 0, 1, multiplier))
        return latent, {"mean": mean, "var": spread}

    @nn.nowrap
    def frozen_shapes(self, stats: Mapping[str, Any]) -> dict[str, Any]:
        """Shapes of the parameters that `freeze` returns, from those of the latent statistics."""
        return {"multiplier": stats["mean"], "bias": stats["mean"]}


def fold(
    scale: Array | float, bias: Array | float, mean: Array, var: Array, *, epsilon: float
) -> tuple[Array, Array]:
    """Multiplier and bias [C] equivalent to a batch normalization with these statistics."""
    multiplier = scale / jnp.sqrt(var + epsilon)
    return multiplier, bias - mean * multiplier


def _affine(x: Array, multiplier: Array, bias: Array) -> Array:
    return x * per_channel(multiplier, x.ndim) + per_channel(bias, x.ndim)
