"""Convolutions of few-bit activations with frozen ±1 kernels, one plane of bits at a time.

Zhou et al. 2016, DoReFa-Net (arXiv 1606.06160), section 2.1. An activation is q / n, where n is
2^k − 1 and q an integer of k bits: q = Σ_p 2^p b_p. If the bits b_p of a window differ from the
kernel's in d_p places, and the kernel has m bits set, then the sum of the b_p times ±1 is m − d_p:
a difference is a missing 1 at a set kernel bit (+1) and a subtracted 1 at a clear bit (−1). The sum
of the q times ±1 is the integer n m − Σ_p 2^p d_p, exact below 2^24. Padding by 0 is clear bits.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from bnnjax.binary import bits, conv
from bnnjax.binary.backend import materialize
from bnnjax.binary.whole import whole
from bnnjax.binary.windows import Geometry

MOST = 4  # bits per activation; the unrolled loop over more takes long to compile


@whole
def planes_conv(
    x: Array, words: Array, backward: Array, geometry: Geometry, *, bitwidth: int
) -> Array:
    """Convolves ``x`` with a ±1 kernel by xor and popcount.

    Args:
      x: float32 [N, H, W, C] of multiples of 1/n in [0, 1], n = 2^bitwidth − 1, as `quant.dorefa`
        returns; NaN cannot be represented. The gradient is that of a float convolution.
      words: uint32 [kh, kw, ⌈C/32⌉, O] from `conv.pack_kernel`.
      backward: the same from `conv.gradient_kernel`, in whose dtype the gradient is computed.
      geometry: from `windows.geometry`.
      bitwidth: bits per value of ``x``, 1 to `MOST`.

    Returns:
      float32 [N, H', W', O] of integers divided by n.
    """
    return _planes_conv(geometry, bitwidth, x, words, backward)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _planes_conv(
    geometry: Geometry, bitwidth: int, x: Array, words: Array, backward: Array
) -> Array:
    del backward
    n = 2**bitwidth - 1
    levels = jnp.round(n * x).astype(jnp.int32)
    return count(geometry, bitwidth, levels, words) / n


def count(geometry: Geometry, bitwidth: int, levels: Array, words: Array) -> Array:
    """Sums products of integers and ±1: float32 [N, H', W', O].

    A padding of ±1 means ±n here, as ``levels`` are n times the activations.

    Args:
      geometry: from `windows.geometry`.
      bitwidth: bits per level; n = 2^bitwidth − 1.
      levels: int32 [N, H, W, C] in [0, n].
      words: uint32 [kh, kw, ⌈C/32⌉, O] from `conv.pack_kernel`.
    """
    return materialize(_sums(geometry, bitwidth, levels, words))


@partial(jax.jit, static_argnums=(0, 1))
def _sums(geometry: Geometry, bitwidth: int, levels: Array, words: Array) -> Array:
    n = 2**bitwidth - 1
    clear = geometry._replace(pad_value=-1)  # No bit is set outside.
    set_bits = lax.population_count(words).astype(jnp.int32)
    total = n * set_bits.sum((0, 1, 2), jnp.int32, keepdims=True)
    for p in range(bitwidth):
        pixels = conv.pad_words(clear, bits.pack((levels >> p & 1) - 1))
        total -= conv.count_differences(geometry, pixels, words) << p
    if geometry.pad_value:
        total += geometry.pad_value * n * conv.sums_outside(geometry, words)
    return total.astype(jnp.float32)


def _forward(
    geometry: Geometry, bitwidth: int, x: Array, words: Array, backward: Array
) -> tuple[Array, Array]:
    return _planes_conv(geometry, bitwidth, x, words, backward), backward


def _backward(
    geometry: Geometry, bitwidth: int, backward: Array, g: Array
) -> tuple[Array, None, Array]:
    gradient = conv.input_gradient(g, backward, geometry)
    return materialize(gradient), None, jnp.zeros_like(backward)


_planes_conv.defvjp(_forward, _backward)
