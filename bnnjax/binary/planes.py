"""Convolutions of activations of a few bits with frozen ±1 kernels, a plane of bits at a time.

Zhou et al. 2016, DoReFa-Net (arXiv 1606.06160), section 2.1. An activation is q / n, n = 2^k − 1, q
a whole number of k bits: q = Σ_p 2^p b_p. Where a window's bits b_p and its kernel's differ in d_p
places, and the kernel has m bits set, the sum of the b_p times ±1 is m − d_p: at a set kernel bit
(+1) a difference is a missing 1, at a clear one (−1) a 1 that is taken away. So the sum of the q
times ±1 is n m − Σ_p 2^p d_p, whole, and exact below 2^24. A padding of zeros is one of clear bits.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from bnnjax.binary import bits, conv
from bnnjax.binary.backend import materialize
from bnnjax.binary.windows import Geometry

MOST = 4  # bits an activation; the unrolled loop of more takes long to compile


def planes_conv(
    x: Array, words: Array, backward: Array, geometry: Geometry, *, bitwidth: int
) -> Array:
    """Convolution of ``x`` with a ±1 kernel, by xor and popcount.

    Args:
      x: float32 [N, H, W, C] of multiples of 1/n in [0, 1], n = 2^bitwidth − 1, as `quant.dorefa`
        gives them; there are no bits for NaN. The gradient is that of a convolution of floats.
      words: uint32 [kh, kw, ⌈C/32⌉, O] from `conv.pack_kernel`.
      backward: the same from `conv.gradient_kernel`, whose dtype the gradient is computed in.
      geometry: from `windows.geometry`.
      bitwidth: bits a value of ``x``, 1 to `MOST`.

    Returns:
      float32 [N, H', W', O], whole numbers divided by n.
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
    """Sums of products of whole numbers and ±1, float32 [N, H', W', O].

    A padding of ±1 is one of ±n, what 1 is where ``levels`` are n times the activations.

    Args:
      geometry: from `windows.geometry`.
      bitwidth: bits a level; n = 2^bitwidth − 1.
      levels: int32 [N, H, W, C] in [0, n].
      words: uint32 [kh, kw, ⌈C/32⌉, O] from `conv.pack_kernel`.
    """
    return materialize(_sums(geometry, bitwidth, levels, words))


@partial(jax.jit, static_argnums=(0, 1))
def _sums(geometry: Geometry, bitwidth: int, levels: Array, words: Array) -> Array:
    n = 2**bitwidth - 1
    clear = geometry._replace(pad_value=-1)  # outside, no bit is set
    total = n * lax.population_count(words).astype(jnp.int32).sum((0, 1, 2))
    for p in range(bitwidth):
        pixels = conv.pad_words(clear, bits.pack((levels >> p & 1) - 1))
        total -= conv.count_differences(geometry, pixels, words) << p
    if geometry.pad_value:
        total += geometry.pad_value * n * conv.sums_outside(geometry, words)
    return total.astype(jnp.float32)


def _forward(geometry: Geometry, bitwidth: int, x: Array, words: Array, backward: Array) -> tuple:
    return _planes_conv(geometry, bitwidth, x, words, backward), backward


def _backward(geometry: Geometry, bitwidth: int, backward: Array, g: Array) -> tuple:
    gradient = conv.input_gradient(g, backward, geometry)
    return materialize(gradient), None, jnp.zeros_like(backward)


_planes_conv.defvjp(_forward, _backward)
