"""Flax layers of binarized networks: latent weights to train with, packed ones to run frozen.

Activations are NHWC float32. A layer with ``frozen=True`` holds what inference needs and no more:
`QuantConv` packed words in place of a float kernel, `BatchNorm` a multiplier and a bias a channel.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from bnnjax import quant
from bnnjax.binary import backend, bits, conv

SIGN_QUANTIZERS = ("ste_sign", "approx_sign", "swish_sign")
POOLINGS = ("max", "avg")
GRADIENT_DTYPES = ("bfloat16", "float32")


@dataclasses.dataclass(frozen=True)
class Options:
    """How a network computes, apart from what its weights are.

    Attributes:
      pseudo_gradient: of the activations' sign: ste_sign, approx_sign or swish_sign.
      clip: ste_sign passes the gradient where |x| ≤ clip; None passes it everywhere.
      pooling: "max" (as trained) or "avg", in the pools between sections.
      backend: arithmetic of frozen binary layers, see `bnnjax.binary.backend`.
      gradient_dtype: of the backward products of packed layers, "bfloat16" or "float32".

    Raises:
      ValueError: a choice that does not exist.
    """

    pseudo_gradient: str = "ste_sign"
    clip: float | None = 1.0
    pooling: str = "max"
    backend: str = "auto"
    gradient_dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        for field, allowed in (
            ("pseudo_gradient", SIGN_QUANTIZERS),
            ("pooling", POOLINGS),
            ("backend", ("auto", *backend.BACKENDS)),
            ("gradient_dtype", GRADIENT_DTYPES),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, needs one of {allowed}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip is {self.clip}, needs a positive number or None")

    @property
    def input_quantizer(self) -> quant.Quantizer:
        """Sign with the chosen pseudo-gradient."""
        if self.pseudo_gradient == "ste_sign":
            return partial(quant.ste_sign, clip=self.clip)
        return quant.get(self.pseudo_gradient)


class QuantConv(nn.Module):
    """2-D convolution, no bias, of quantized inputs with a quantized kernel (Larq QuantConv2D).

    Padding is applied to the *quantized* input with the value ``pad_values``, as Larq does.
    Latent: parameter ``kernel`` float32 [kh, kw, C, features]. Frozen: parameter ``words``, see
    `bnnjax.binary.conv`, and if the collection ``backward`` is there, its kernel laid out for the
    gradient (created by an apply with ``mutable=["backward"]``); otherwise laid out on the fly.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    pad_values: int = 0
    input_quantizer: quant.Quantizer = quant.ste_sign
    kernel_quantizer: quant.Quantizer = quant.ste_sign
    frozen: bool = False
    backend: str = "auto"
    gradient_dtype: str = "bfloat16"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', features], whole numbers where both sides are ±1."""
        geometry = conv.geometry(
            x.shape,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_value=self.pad_values,
        )
        quantized = self.input_quantizer(x)
        return (self._frozen if self.frozen else self._latent)(quantized, geometry)

    def _latent(self, x: Array, geometry: conv.Geometry) -> Array:
        shape = (*self.kernel_size, geometry.channels, self.features)
        kernel = self.param("kernel", nn.initializers.glorot_normal(), shape)
        return conv.dense_conv(x, self.kernel_quantizer(kernel), geometry)

    def _frozen(self, x: Array, geometry: conv.Geometry) -> Array:
        shape = (*self.kernel_size, bits.words_for(geometry.channels), self.features)
        words = self.param("words", nn.initializers.zeros, shape, jnp.uint32)
        if backend.choose(self.backend) == "packed":
            return conv.packed_conv(x, words, self._backward(words, geometry.channels), geometry)
        kernel = conv.unpack_kernel(words, geometry.channels, dtype=jnp.bfloat16)
        return conv.dense_conv(x, kernel, geometry)

    def _backward(self, words: Array, channels: int) -> Array:
        if self.has_variable("backward", "kernel"):
            return self.get_variable("backward", "kernel")
        kernel = conv.gradient_kernel(words, channels, dtype=jnp.dtype(self.gradient_dtype))
        if self.is_mutable_collection("backward"):
            self.put_variable("backward", "kernel", kernel)
        return kernel


class BatchNorm(nn.Module):
    """Batch normalisation; frozen, the affine map ``x · multiplier + bias`` it has become.

    No default epsilon: Keras' is 1e-3, Flax's 1e-5, and every network states its own.
    """

    epsilon: float
    momentum: float
    frozen: bool = False

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """[..., C] → [..., C]; with ``train`` by the batch's own statistics, which are recorded."""
        shape = x.shape[-1:]
        if self.frozen:
            multiplier = self.param("multiplier", nn.initializers.ones, shape)
            return x * multiplier + self.param("bias", nn.initializers.zeros, shape)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        if not train:
            multiplier, bias = fold(scale, bias, mean.value, var.value, epsilon=self.epsilon)
            return x * multiplier + bias
        axes = tuple(range(x.ndim - 1))
        batch_mean, batch_var = jnp.mean(x, axes), jnp.var(x, axes)
        if not self.is_initializing():
            mean.value += (1 - self.momentum) * (batch_mean - mean.value)
            var.value += (1 - self.momentum) * (batch_var - var.value)
        multiplier, bias = fold(scale, bias, batch_mean, batch_var, epsilon=self.epsilon)
        return x * multiplier + bias


def fold(
    scale: Array, bias: Array, mean: Array, var: Array, *, epsilon: float
) -> tuple[Array, Array]:
    """Multiplier and bias [C] that a batch normalisation with these statistics amounts to."""
    multiplier = scale / jnp.sqrt(var + epsilon)
    return multiplier, bias - mean * multiplier


class DepthwiseConv(nn.Module):
    """Depthwise 2-D convolution, SAME zero padding, no bias; output channel = in · multiplier + m.

    Parameter ``kernel`` [kh, kw, 1, C · multiplier]. Computed as one multiply-add a kernel
    position, which XLA fuses; its grouped convolutions are several times slower on CPUs.
    """

    multiplier: int = 1
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, ⌈H/s⌉, ⌈W/s⌉, C · multiplier]."""
        shape = (*self.kernel_size, 1, x.shape[3] * self.multiplier)
        kernel = self.param("kernel", nn.initializers.glorot_normal(), shape)
        geometry = conv.geometry(x.shape, self.kernel_size, strides=self.strides)
        padded = jnp.pad(x, ((0, 0), *geometry.pads, (0, 0)))
        total = jnp.zeros(())
        for i in range(self.kernel_size[0]):
            for j in range(self.kernel_size[1]):
                window = conv.shifted(geometry, padded, i, j)
                total += jnp.repeat(window, self.multiplier, axis=3) * kernel[i, j, 0]
        return backend.materialize(total)


@jax.custom_vjp
def max_pool(x: Array) -> Array:
    """2×2 max-pool, stride 2, VALID: [N, H, W, C] → [N, ⌊H/2⌋, ⌊W/2⌋, C].

    The gradient goes to the first maximum of a window (as TensorFlow's and XLA's do), by
    comparisons in place of XLA's select-and-scatter, which is slow on CPUs.
    """
    return _largest(_corners(x))


def _corners(x: Array) -> list[Array]:
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]


def _largest(corners: list[Array]) -> Array:
    a, b, c, d = corners
    return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))


def _max_pool_backward(x: Array, g: Array) -> tuple[Array]:
    corners = _corners(x)
    top = _largest(corners)
    total, taken = jnp.zeros(()), jnp.zeros(top.shape, bool)
    for position, corner in enumerate(corners):
        chosen = (corner == top) & ~taken
        taken |= chosen
        i, j = divmod(position, 2)
        ends = [
            n - o - 2 * m + 1 for n, o, m in zip(x.shape[1:3], (i, j), g.shape[1:3], strict=True)
        ]
        edges = [(0, 0, 0), (i, ends[0], 1), (j, ends[1], 1), (0, 0, 0)]
        total += lax.pad(jnp.where(chosen, g, 0), jnp.zeros((), g.dtype), edges)
    return (total,)


max_pool.defvjp(lambda x: (max_pool(x), x), _max_pool_backward)


def avg_pool(x: Array) -> Array:
    """2×2 mean-pool, stride 2, VALID: [N, H, W, C] → [N, ⌊H/2⌋, ⌊W/2⌋, C]."""
    return sum(_corners(x)[1:], start=_corners(x)[0]) / 4


def pool(x: Array, options: Options) -> Array:
    """The 2×2 pool, stride 2, that the options choose."""
    return max_pool(x) if options.pooling == "max" else avg_pool(x)
