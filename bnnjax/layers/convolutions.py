"""Quantized convolutions and matrix products."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.binary import backend, conv, latent
from bnnjax.binary.windows import geometry
from bnnjax.layers.quantized import Quantized


class QuantConv(Quantized):
    """2-D convolution (Larq QuantConv2D).

    Padding is applied to the *quantized* input with the value ``pad_values``, as Larq does.
    Latent: parameter ``kernel`` float32 [kh, kw, C, features]. Frozen: ``words`` uint32
    [kh, kw, ⌈C/32⌉, features], and if the collection ``backward`` is there, its kernel laid out for
    the gradient (created by an apply with ``mutable=["backward"]``), otherwise laid out on the fly.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    pad_values: int = 0
    dilations: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', features]; whole numbers where both sides are ±1."""
        where = geometry(
            x.shape,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_value=self.pad_values,
            dilations=self.dilations,
        )
        x = self._quantized_input(x)
        shape = (*self.kernel_size, where.channels, self.features)
        if self._counts_bits():
            return self._add_bias(self._packed_product(x, self._words(shape), where))
        kernel = self._float_kernel(shape)
        quantizers = (self.input_quantizer, self.kernel_quantizer)
        if all(quant.values(quantizer) == "signs" for quantizer in quantizers):
            if not self.frozen and backend.choose(self.backend) == "packed":
                dtype = jnp.dtype(self.gradient_dtype)
                return self._add_bias(latent.sign_conv(x, kernel, where, dtype=dtype))
            if self.frozen:
                kernel = kernel.astype(jnp.bfloat16)  # exact, and what matrix units are for
        return self._add_bias(conv.dense_conv(x, kernel, where))


class Conv(QuantConv):
    """The ordinary one. A class of its own because it is one in Keras, and so in Keras' files."""


class QuantDense(Quantized):
    """Matrix product (Larq QuantDense). Latent: parameter ``kernel`` float32 [I, features]; frozen:
    ``words`` uint32 [⌈I/32⌉, features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., I] → [..., features]."""
        shape = (x.shape[-1], self.features)
        x = self._quantized_input(x)
        if not self._counts_bits():
            return self._add_bias(x @ self._float_kernel(shape))
        pixels = x.reshape(-1, 1, 1, x.shape[-1])
        where = geometry(pixels.shape, (1, 1))
        y = self._packed_product(pixels, self._words(shape)[None, None], where)
        return self._add_bias(y.reshape(*x.shape[:-1], self.features))
