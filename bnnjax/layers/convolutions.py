"""Quantized convolutions and matrix products."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.binary import backend, conv, latent
from bnnjax.binary.windows import Geometry, geometry
from bnnjax.layers.quantized import Quantized


class QuantConv(Quantized):
    """2-D convolution (Larq QuantConv2D).

    Padding is applied to the *quantized* input with the value ``pad_values``, as Larq does.
    Latent: parameter ``kernel`` float32 [kh, kw, C / groups, features]. Frozen: ``words`` uint32
    [kh, kw, ⌈C / groups / 32⌉, features], and if the collection ``backward`` is there, its kernel
    laid out for the gradient (created by an apply with ``mutable=["backward"]``), otherwise laid
    out on the fly. With ``groups``, each group of input channels makes its own features.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    pad_values: int = 0
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', features]; whole numbers where both sides are ±1.

        Raises:
          ValueError: ``groups`` does not divide both C and ``features``, or see `windows.geometry`.
        """
        if x.shape[3] % self.groups or self.features % self.groups:
            raise ValueError(
                f"{x.shape[3]} channels and {self.features} features do not fall into "
                f"{self.groups} groups"
            )
        parts = jnp.split(self._quantized_input(x), self.groups, axis=3)
        where = geometry(
            parts[0].shape,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_value=self.pad_values,
            dilation=self.dilation,
        )
        shape = (*self.kernel_size, where.channels, self.features)
        if self._counts_bits():
            return self._add_bias(self._packed_product(parts, self._words(shape), where))
        kernels = jnp.split(self._float_kernel(shape), self.groups, axis=3)
        products = [self._product(*pair, where) for pair in zip(parts, kernels, strict=True)]
        return self._add_bias(jnp.concatenate(products, axis=3))

    def _product(self, x: Array, kernel: Array, where: Geometry) -> Array:
        """Of floats, and of signs in training or where matrix units are better at them."""
        quantizers = (self.input_quantizer, self.kernel_quantizer)
        if not all(quant.values(quantizer) == "signs" for quantizer in quantizers):
            return conv.dense_conv(x, kernel, where)
        if not self.frozen and backend.choose(self.backend) == "packed":
            return latent.sign_conv(x, kernel, where, dtype=jnp.dtype(self.gradient_dtype))
        if self.frozen:
            kernel = kernel.astype(jnp.bfloat16)  # exact for ±1, and what matrix units are for
        return conv.dense_conv(x, kernel, where)


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
        y = self._packed_product([pixels], self._words(shape)[None, None], where)
        return self._add_bias(y.reshape(*x.shape[:-1], self.features))
