"""Convolutions and matrix products, float and quantized."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.binary import backend, conv, latent
from bnnjax.binary.windows import Geometry, geometry
from bnnjax.layers import arguments
from bnnjax.layers.arguments import PerAxis
from bnnjax.layers.kernel import KernelLayer
from bnnjax.layers.quantized import Quantized


class _Conv2D(KernelLayer):
    """What float and quantized convolutions share."""

    features: int
    kernel_size: PerAxis = (3, 3)
    strides: PerAxis = (1, 1)
    padding: str = "SAME"
    pad_values: int = 0
    dilation: PerAxis = (1, 1)
    groups: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', features].

        Raises:
          ValueError: the input has the wrong rank or is smaller than the kernel, or ``groups`` does
            not divide both C and ``features``.
        """
        arguments.check_rank(x.shape, 2)
        arguments.check_groups(x.shape[3], self.features, self.groups)
        parts = jnp.split(self._input(x), self.groups, axis=3)
        where = geometry(
            parts[0].shape,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_value=self.pad_values,
            dilation=self.dilation,
        )
        return self._add_bias(self._convolve(parts, where))

    def _convolve(self, parts: Sequence[Array], where: Geometry) -> Array:
        kernels = jnp.split(self._kernel(self._kernel_shape(where)), self.groups, axis=3)
        products = [self._product(*pair, where) for pair in zip(parts, kernels, strict=True)]
        return jnp.concatenate(products, axis=3)

    def _kernel_shape(self, where: Geometry) -> tuple[int, ...]:
        return (*self.kernel_size, where.channels, self.features)

    def _product(self, x: Array, kernel: Array, where: Geometry) -> Array:
        return conv.dense_conv(x, kernel, where)


class Conv(_Conv2D):
    """Float 2-D convolution (Keras Conv2D), with cheaper gradients on CPUs than Flax's.

    Parameter ``kernel`` float32 [kh, kw, C / groups, features]. With ``groups``, each group of
    input channels computes its own features.
    """


class QuantConv(Quantized, _Conv2D):
    """2-D convolution (Larq QuantConv2D); the result is integers if input and kernel are ±1.

    The *quantized* input is padded with the value ``pad_values``, as in Larq. Latent: parameter
    ``kernel`` float32 [kh, kw, C / groups, features]. Frozen: ``words`` uint32
    [kh, kw, ⌈C / groups / 32⌉, features]. The collection ``backward`` (created by an apply with
    ``mutable=["backward"]``) holds the kernel laid out for the gradient; without it, the kernel is
    laid out on the fly. With ``groups``, each group of input channels computes its own features.
    """

    def _convolve(self, parts: Sequence[Array], where: Geometry) -> Array:
        if self._counts_bits():
            return self._packed_product(parts, self._words(self._kernel_shape(where)), where)
        return super()._convolve(parts, where)

    def _product(self, x: Array, kernel: Array, where: Geometry) -> Array:
        """The product of floats, or of signs whose bits are not counted in packed words."""
        quantizers = (self.input_quantizer, self.kernel_quantizer)
        if not all(quant.values(quantizer) == "signs" for quantizer in quantizers):
            return conv.dense_conv(x, kernel, where)
        arithmetic = backend.arithmetic()
        if not self._is_packed and arithmetic.counts_bits:
            return latent.sign_conv(x, kernel, where, dtype=arithmetic.backward)
        if self._is_packed:
            kernel = kernel.astype(jnp.bfloat16)  # exact for ±1, and fast on matrix units
        return conv.dense_conv(x, kernel, where)


class QuantDense(Quantized):
    """Matrix product (Larq QuantDense). Latent: parameter ``kernel`` float32 [I, features]; frozen:
    ``words`` uint32 [⌈I/32⌉, features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., I] → [..., features]."""
        shape = (x.shape[-1], self.features)
        x = self._input(x)
        if not self._counts_bits():
            return self._add_bias(x @ self._kernel(shape))
        pixels = x.reshape(-1, 1, 1, x.shape[-1])
        where = geometry(pixels.shape, (1, 1))
        y = self._packed_product([pixels], self._words(shape)[None, None], where)
        return self._add_bias(y.reshape(*x.shape[:-1], self.features))
