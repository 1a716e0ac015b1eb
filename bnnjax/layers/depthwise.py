"""Depthwise convolutions: float, quantized, and a fixed blur."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax

from bnnjax.binary import backend, bits
from bnnjax.binary.whole import whole
from bnnjax.binary.windows import Geometry, geometry, shifted, spread
from bnnjax.layers import arguments
from bnnjax.layers.arguments import PerAxis
from bnnjax.layers.kernel import KernelLayer
from bnnjax.layers.quantized import Quantized


class _DepthwiseConv2D(KernelLayer):
    """What float and quantized depthwise convolutions share."""

    kernel_size: PerAxis = (3, 3)
    strides: PerAxis = (1, 1)
    padding: str = "SAME"
    pad_values: int = 0
    dilation: PerAxis = (1, 1)
    multiplier: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', C · multiplier].

        Raises:
          ValueError: the input has the wrong rank or is smaller than the kernel.
        """
        arguments.check_rank(x.shape, 2)
        where = geometry(
            x.shape,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_value=self.pad_values,
            dilation=self.dilation,
        )
        kernel = self._kernel((*self.kernel_size, x.shape[3], self.multiplier))
        return self._add_bias(depthwise_conv(where, self._input(x), kernel))


class DepthwiseConv(_DepthwiseConv2D):
    """Float depthwise 2-D convolution (Keras DepthwiseConv2D), with cheap gradients on CPUs.

    Parameter ``kernel`` [kh, kw, C, multiplier]; output channel c · multiplier + m is computed from
    input channel c.
    """


class BlurPool(DepthwiseConv):
    """Depthwise 3×3 convolution with the fixed kernel [1 2 1] ⊗ [1 2 1] / 16.

    Zhang 2019 (arXiv 1904.11486); ``blurpool_initializer`` of ``larq_zoo/sota/quicknet.py``. The
    kernel is a parameter, which training does not change, because Larq's files contain it and its
    summaries count it.
    """

    strides: PerAxis = (2, 2)

    @property
    def _initializer(self) -> nn.initializers.Initializer:
        blur = np.outer([1, 2, 1], [1, 2, 1])[..., None, None] / 16
        return lambda key, shape, dtype: jnp.broadcast_to(jnp.asarray(blur, dtype), shape)

    def _kernel(self, shape: tuple[int, ...]) -> Array:
        return lax.stop_gradient(super()._kernel(shape))


class QuantDepthwiseConv(Quantized, _DepthwiseConv2D):
    """Depthwise 2-D convolution (Larq QuantDepthwiseConv2D).

    Latent: parameter ``kernel`` [kh, kw, C, multiplier], as in Keras; frozen and binary: ``words``
    [kh, kw, ⌈C · multiplier / 32⌉]. Output channel c · multiplier + m is computed from input
    channel c.
    """

    @nn.nowrap
    def _words_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:2], bits.words_for(self._outputs(shape)))

    @nn.nowrap
    def _pack(self, positive: np.ndarray) -> np.ndarray:
        return bits.pack_positive(positive.reshape(*positive.shape[:2], -1))

    @nn.nowrap
    def _unpack(self, words: Array, scale: Array | None, shape: tuple[int, ...]) -> Array:
        kernel = bits.unpack(words, self._outputs(shape)).reshape(shape)
        return kernel if scale is None else kernel * scale.reshape(1, 1, *shape[2:])

    @nn.nowrap
    def _outputs(self, shape: tuple[int, ...]) -> int:
        return shape[2] * shape[3]


@whole
def depthwise_conv(where: Geometry, x: Array, kernel: Array) -> Array:
    """Depthwise convolution of x [N, H, W, C] with kernel [kh, kw, C, m]: [N, H', W', C · m].

    It is computed as one multiply-add per kernel position, which XLA fuses; XLA's grouped
    convolutions are several times slower on CPUs.
    """
    return _depthwise_conv(where, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _depthwise_conv(where: Geometry, x: Array, kernel: Array) -> Array:
    return backend.materialize(_multiply_adds(where, x, kernel))


def _multiply_adds(where: Geometry, x: Array, kernel: Array) -> Array:
    kh, kw, _, multiplier = kernel.shape
    flat = kernel.reshape(kh, kw, 1, 1, 1, -1)
    padded = jnp.pad(x, ((0, 0), *where.pads, (0, 0)), constant_values=where.pad_value)
    total = jnp.zeros((), x.dtype)
    for i, j in np.ndindex(kh, kw):
        window = shifted(where, padded, i, j)
        total += jnp.repeat(window, multiplier, axis=3) * flat[i, j]
    return total


def _backward(where: Geometry, residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    _, of_kernel = jax.vjp(partial(_multiply_adds, where, x), kernel)
    return backend.materialize(_input_gradient(where, kernel, g)), of_kernel(g)[0]


def _input_gradient(where: Geometry, kernel: Array, g: Array) -> Array:
    kh, kw, channels, multiplier = kernel.shape
    if multiplier == 1:
        flat = kernel.reshape(kh, kw, 1, 1, 1, -1)
        return spread(where, [g * flat[i, j] for i, j in np.ndindex(kh, kw)])
    # The multiplier's channels are summed by one product with a matrix of mostly zeros
    # [C · m, kh · kw · C], which takes a tenth of the time of many short sums.
    spots = jnp.einsum("ijcm,cd->cmijd", kernel, jnp.eye(channels, dtype=kernel.dtype))
    products = g @ spots.reshape(channels * multiplier, -1)
    parts = [products[..., n * channels : (n + 1) * channels] for n in range(kh * kw)]
    return spread(where, parts)


_depthwise_conv.defvjp(
    lambda where, x, kernel: (_depthwise_conv(where, x, kernel), (x, kernel)), _backward
)
