"""Locally connected layers: convolutions whose kernel differs from place to place."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from bnnjax.layers import arguments
from bnnjax.layers.arguments import PerAxis
from bnnjax.layers.quantized import Quantized


class _LocallyConnected(Quantized):
    """The base of locally connected layers along one and two axes.

    As in Keras, a window is flattened in the order of its axes, channels last, and its places are
    numbered in row-major order. A quantizer with scales has one for each feature. A layer takes
    inputs of one size only, because the number of places shapes its parameters.
    """

    features: int
    kernel_size: PerAxis = 3
    strides: PerAxis = 1
    padding: str = "VALID"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, *spatial, C] → [N, *spatial', features].

        Raises:
          ValueError: the input has the wrong rank or is smaller than the kernel.
        """
        arguments.check_rank(x.shape, self.rank)
        windows = self._windows(self._input(x))
        places, inputs = windows.shape[1:-1], windows.shape[-1]
        kernel = self._kernel((int(np.prod(places)), inputs, self.features))
        y = jnp.einsum("npi,pif->npf", windows.reshape(len(x), -1, inputs), kernel)
        return self._add_bias(y.reshape(len(x), *places, self.features))

    def _windows(self, x: Array) -> Array:
        """The values under the kernel at each place: [N, *spatial', prod(kernel_size) · C]."""
        pads = paddings(x.shape[1:-1], self.kernel_size, self.strides, self.padding)
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        places = self._places(x.shape[1:-1])
        parts = [
            x[(slice(None), *map(_shifted, offset, places, self.strides))]
            for offset in np.ndindex(*self.kernel_size)
        ]
        return jnp.concatenate(parts, axis=-1)

    def _places(self, sizes: Sequence[int]) -> tuple[int, ...]:
        axes = zip(sizes, self.kernel_size, self.strides, strict=True)
        places = tuple((n - k) // s + 1 for n, k, s in axes)
        if min(places) < 1:
            raise ValueError(f"the input of shape {(*sizes,)} is smaller than {self.kernel_size}")
        return places

    def _add_bias(self, y: Array) -> Array:
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, y.shape[1:], jnp.float32)[None]


def paddings(
    sizes: Sequence[int], kernel_size: Sequence[int], strides: Sequence[int], padding: str
) -> list[tuple[int, int]]:
    """The padding before and after each axis.

    With SAME, a window starts ⌊k / 2⌋ before its place (``keras.utils.conv_utils``), which is not
    where a convolution's window starts.
    """
    if padding == "VALID":
        return [(0, 0) for _ in sizes]
    pads = []
    for n, k, s in zip(sizes, kernel_size, strides, strict=True):
        low = k // 2
        pads.append((low, max((-(-n // s) - 1) * s + k - low - n, 0)))
    return pads


def _shifted(offset: int, places: int, stride: int) -> slice:
    return slice(offset, offset + (places - 1) * stride + 1, stride)


class QuantLocallyConnected1D(_LocallyConnected):
    """Locally connected layer along one axis (Larq QuantLocallyConnected1D): [N, L, C] → [N, L',
    features].

    Latent: parameter ``kernel`` [L', k · C, features], as in Keras' ``implementation=1``; frozen:
    ``words`` [L', ⌈k · C / 32⌉, features]. The ``bias`` is [L', features].
    """

    rank = 1


class QuantLocallyConnected2D(_LocallyConnected):
    """Locally connected layer along two axes (Larq QuantLocallyConnected2D): [N, H, W, C] → [N, H',
    W', features].

    Latent: parameter ``kernel`` [H' · W', kh · kw · C, features], as in Keras'
    ``implementation=1``; frozen: ``words`` [H' · W', ⌈kh · kw · C / 32⌉, features]. The ``bias`` is
    [H', W', features].
    """

    rank = 2
