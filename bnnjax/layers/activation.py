"""Activations with parameters."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array


def prelu(x: Array, alpha: Array) -> Array:
    """x where positive, else ``alpha · x``; the gradient at exactly 0 is 0, as in TensorFlow."""
    alpha = alpha.reshape((1,) * (x.ndim - alpha.ndim) + alpha.shape)
    return nn.relu(x) - alpha * nn.relu(-x)


class PReLU(nn.Module):
    """x where positive, else ``alpha · x``, with one alpha per channel (He et al. 2015, arXiv
    1502.01852; Keras' PReLU with ``shared_axes=[1, 2]``).

    Sums of signs are often exactly 0, where the gradient is 0, as in TensorFlow.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H, W, C]; parameter ``alpha`` [1, 1, C]."""
        shape = (1, 1, x.shape[-1])
        return prelu(x, self.param("alpha", nn.initializers.zeros, shape, jnp.float32))
