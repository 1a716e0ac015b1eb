"""Depthwise convolutions: quantized, of fixed blur, and followed by a pointwise one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax

from bnnjax import quant
from bnnjax.binary import backend, bits
from bnnjax.binary.windows import Geometry, geometry, shifted, spread
from bnnjax.layers.convolutions import QuantConv
from bnnjax.layers.quantized import Quantized


class QuantDepthwiseConv(Quantized):
    """Depthwise 2-D convolution (Larq QuantDepthwiseConv2D); output channel = in · multiplier + m.

    Latent: parameter ``kernel`` [kh, kw, C, multiplier], as in Keras; frozen and binary: ``words``
    [kh, kw, ⌈C · multiplier / 32⌉]. Computed as one multiply-add a kernel position, which XLA
    fuses; its grouped convolutions are several times slower on CPUs.
    """

    multiplier: int = 1
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    pad_values: int = 0
    dilation: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', C · multiplier]."""
        where = geometry(
            x.shape,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_value=self.pad_values,
            dilation=self.dilation,
        )
        x = self._quantized_input(x)
        kernel = self._float_kernel((*self.kernel_size, x.shape[3], self.multiplier))
        return self._add_bias(depthwise_conv(where, x, kernel))

    @nn.nowrap
    def _words_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:2], bits.words_for(self._outputs(shape)))

    @nn.nowrap
    def _pack(self, positive: np.ndarray) -> np.ndarray:
        return bits.pack_positive(positive.reshape(*positive.shape[:2], -1))

    @nn.nowrap
    def _unpack(self, words: Array, shape: tuple[int, ...]) -> Array:
        return bits.unpack(words, self._outputs(shape)).reshape(shape)

    @nn.nowrap
    def _outputs(self, shape: tuple[int, ...]) -> int:
        return shape[2] * shape[3]

    @nn.nowrap
    def _spread_scale(self, scale: Array, shape: tuple[int, ...]) -> Array:
        return scale.reshape(shape[2:])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def depthwise_conv(where: Geometry, x: Array, kernel: Array) -> Array:
    """Depthwise convolution of x [N, H, W, C] with kernel [kh, kw, C, m]: [N, H', W', C · m]."""
    return backend.materialize(_multiply_adds(where, x, kernel))


def _multiply_adds(where: Geometry, x: Array, kernel: Array) -> Array:
    kh, kw, _, multiplier = kernel.shape
    flat = kernel.reshape(kh, kw, -1)
    padded = jnp.pad(x, ((0, 0), *where.pads, (0, 0)), constant_values=where.pad_value)
    total = jnp.zeros(())
    for i, j in np.ndindex(kh, kw):
        window = shifted(where, padded, i, j)
        total += jnp.repeat(window, multiplier, axis=3) * flat[i, j]
    return total


def _backward(where: Geometry, residuals: tuple, g: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    _, of_kernel = jax.vjp(partial(_multiply_adds, where, x), kernel)
    return backend.materialize(_input_gradient(where, kernel, g)), of_kernel(g)[0]


def _input_gradient(where: Geometry, kernel: Array, g: Array) -> Array:
    kh, kw, channels, multiplier = kernel.shape
    if multiplier == 1:
        return spread(where, [g * kernel[i, j, :, 0] for i, j in np.ndindex(kh, kw)])
    # The multiplier's channels are summed by one product with a matrix of mostly zeros
    # [C · m, kh · kw · C], which takes a tenth of the time of so many sums of a few numbers.
    spots = jnp.einsum("ijcm,cd->cmijd", kernel, jnp.eye(channels))
    products = g @ spots.reshape(channels * multiplier, -1)
    parts = [products[..., n * channels : (n + 1) * channels] for n in range(kh * kw)]
    return spread(where, parts)


depthwise_conv.defvjp(
    lambda where, x, kernel: (depthwise_conv(where, x, kernel), (x, kernel)), _backward
)


class DepthwiseConv(QuantDepthwiseConv):
    """The ordinary one. A class of its own because it is one in Keras, and so in Keras' files."""


class BlurPool(DepthwiseConv):
    """Depthwise 3×3 convolution with [1 2 1] ⊗ [1 2 1] / 16, which training leaves as it is.

    Zhang 2019 (arXiv 1904.11486); ``blurpool_initializer`` of ``larq_zoo/sota/quicknet.py``. The
    kernel is a parameter because Larq's files hold it, and its summaries count it.
    """

    strides: tuple[int, int] = (2, 2)

    @property
    def _initializer(self) -> nn.initializers.Initializer:
        blur = np.outer([1, 2, 1], [1, 2, 1])[..., None, None] / 16
        return lambda key, shape: jnp.broadcast_to(jnp.asarray(blur, jnp.float32), shape)

    def _quantize(self, kernel: Array) -> Array:
        return lax.stop_gradient(kernel)


class QuantSeparableConv(nn.Module):
    """Depthwise, then pointwise convolution (Larq QuantSeparableConv2D).

    The input quantizer acts on the input, not between the two. Parameters lie below ``depthwise``
    and ``pointwise``.
    """

    features: int
    multiplier: int = 1
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    pad_values: int = 0
    input_quantizer: quant.Quantizer | None = None
    depthwise_quantizer: quant.Quantizer | None = None
    pointwise_quantizer: quant.Quantizer | None = None
    weight_clip: float | None = None
    use_bias: bool = False
    frozen: bool = False

    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', features]."""
        return self._separate(x, self.kernel_size, self.strides)

    @nn.compact
    def _separate(self, x: Array, kernel_size: tuple[int, int], strides: tuple[int, int]) -> Array:
        x = QuantDepthwiseConv(
            self.multiplier,
            kernel_size=kernel_size,
            strides=strides,
            padding=self.padding,
            pad_values=self.pad_values,
            input_quantizer=self.input_quantizer,
            kernel_quantizer=self.depthwise_quantizer,
            weight_clip=self.weight_clip,
            frozen=self.frozen,
            name="depthwise",
        )(x)
        return QuantConv(
            self.features,
            kernel_size=(1, 1),
            kernel_quantizer=self.pointwise_quantizer,
            weight_clip=self.weight_clip,
            use_bias=self.use_bias,
            frozen=self.frozen,
            name="pointwise",
        )(x)
