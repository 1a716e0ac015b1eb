"""Activations with parameters."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax.binary.whole import whole


@whole
def prelu(x: Array, alpha: Array) -> Array:
    """x where positive, else ``alpha · x``; the gradient at exactly 0 is 0, as in TensorFlow."""
    alpha = alpha.reshape((1,) * (x.ndim - alpha.ndim) + alpha.shape)
    return nn.relu(x) - alpha * nn.relu(-x)


class PReLU(nn.Module):
    """x where positive, else ``alpha · x`` (He et al. 2015, arXiv 1502.01852; Keras' PReLU).

    Sums of signs are often exactly 0, where the gradient is 0, as in TensorFlow.

    Attributes:
      shared_axes: the axes along which alpha is the same; (1, 2) gives one per channel of a map.
    """

    shared_axes: tuple[int, ...] = (1, 2)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, …, C] → [N, …, C]; parameter ``alpha`` […, C], with size 1 along shared axes."""
        sizes = enumerate(x.shape[1:], start=1)
        shape = tuple(1 if axis in self.shared_axes else size for axis, size in sizes)
        return prelu(x, self.param("alpha", nn.initializers.zeros, shape, jnp.float32))
