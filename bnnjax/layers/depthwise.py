"""Depthwise convolutions: quantized, of fixed blur, and followed by a pointwise one."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax

from bnnjax import quant
from bnnjax.binary import backend, bits
from bnnjax.binary.windows import geometry, shifted
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

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', C · multiplier]."""
        where = geometry(
            x.shape,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_value=self.pad_values,
        )
        x = self._quantized_input(x)
        kernel = self._float_kernel((*self.kernel_size, x.shape[3], self.multiplier))
        kernel = kernel.reshape(*self.kernel_size, -1)
        padded = jnp.pad(x, ((0, 0), *where.pads, (0, 0)), constant_values=self.pad_values)
        total = jnp.zeros(())
        for i, j in np.ndindex(self.kernel_size):
            window = shifted(where, padded, i, j)
            total += jnp.repeat(window, self.multiplier, axis=3) * kernel[i, j]
        return self._add_bias(backend.materialize(total))

    @nn.nowrap
    def _words_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:2], bits.words_for(self._outputs(shape)))

    @nn.nowrap
    def _pack(self, kernel: Array) -> Array:
        return bits.pack(kernel.reshape(*kernel.shape[:2], -1))

    @nn.nowrap
    def _unpack(self, words: Array, shape: tuple[int, ...]) -> Array:
        return bits.unpack(words, self._outputs(shape)).reshape(shape)

    @nn.nowrap
    def _outputs(self, shape: tuple[int, ...]) -> int:
        return shape[2] * shape[3]

    @nn.nowrap
    def _per_output(self, magnitude: Array) -> Array:
        return magnitude.max((0, 1)).reshape(-1)

    @nn.nowrap
    def _spread_scale(self, scale: Array, shape: tuple[int, ...]) -> Array:
        return scale.reshape(shape[2:])


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

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', features]."""
        x = QuantDepthwiseConv(
            self.multiplier,
            kernel_size=self.kernel_size,
            strides=self.strides,
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
