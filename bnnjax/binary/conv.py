"""Exact convolutions of ±1 activations with frozen ±1 kernels.

Activations are NHWC. A frozen kernel is uint32 words [kh, kw, ⌈I/32⌉, O] (`pack_kernel`). Results
are sums of ±1 products as float32, exact below 2^24. Only the activations get a gradient: a product
of the cotangent with the kernel, then one shifted addition per kernel position. In bfloat16, the
cotangent is rounded to 8 bits; the ±1 kernel is exact, and sums are float32.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from bnnjax.binary import bits, narrow
from bnnjax.binary.backend import materialize
from bnnjax.binary.whole import whole
from bnnjax.binary.windows import Geometry, shifted, spread


def pack_kernel(kernel: Array) -> Array:
    """Packs the signs of a float kernel [..., I, O] into words [..., ⌈I/32⌉, O].

    Output channels stay innermost, so that a CPU's vector unit runs along them.
    """
    return jnp.swapaxes(bits.pack(jnp.swapaxes(kernel, -2, -1)), -2, -1)


def unpack_kernel(words: Array, channels: int, *, dtype: jnp.dtype = jnp.float32) -> Array:
    """Inverts `pack_kernel`: the ±1 kernel [..., channels, O]."""
    return jnp.swapaxes(bits.unpack(jnp.swapaxes(words, -2, -1), channels, dtype=dtype), -2, -1)


def gradient_kernel(words: Array, channels: int, *, dtype: jnp.dtype = jnp.bfloat16) -> Array:
    """Lays out the ±1 kernel for the backward product: [O, kh·kw·channels].

    Do this once, outside an optimisation loop; see `packed_conv`.
    """
    kernel = unpack_kernel(words, channels, dtype=dtype)
    return jnp.moveaxis(kernel, 3, 0).reshape(kernel.shape[3], -1)


@whole
def packed_conv(x: Array, words: Array, backward: Array, geometry: Geometry) -> Array:
    """Convolves the signs of ``x`` by xor and popcount.

    Args:
      x: float32 [N, H, W, C]; only its signs count, and its gradient is that of a ±1 input.
      words: uint32 [kh, kw, ⌈C/32⌉, O] from `pack_kernel`.
      backward: the same from `gradient_kernel`, in whose dtype the gradient is computed.
      geometry: from `windows.geometry`.

    Returns:
      float32 [N, H', W', O] of integers.
    """
    return _packed_conv(geometry, x, words, backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _packed_conv(geometry: Geometry, x: Array, words: Array, backward: Array) -> Array:
    del backward
    return count(geometry, bits.pack(x), words)


def count(geometry: Geometry, pixels: Array, words: Array) -> Array:
    """Sums ±1 products of packed pixels and a packed kernel: float32 [N, H', W', O].

    Args:
      geometry: from `windows.geometry`.
      pixels: uint32 [N, H, W, ⌈C/32⌉] from `bits.pack`.
      words: uint32 [kh, kw, ⌈C/32⌉, O] from `pack_kernel`.
    """
    return materialize(_sums(geometry, pixels, words))


# Jitted for its cache: unrolled loops are slow to trace, and a network has few geometries.
@partial(jax.jit, static_argnums=0)
def _sums(geometry: Geometry, pixels: Array, words: Array) -> Array:
    kh, kw = geometry.kernel_size
    total = kh * kw * geometry.channels
    products = total - 2 * count_differences(geometry, pad_words(geometry, pixels), words)
    if geometry.pad_value == 0:
        products -= sums_outside(geometry, words)
    return products.astype(jnp.float32)


def pad_words(geometry: Geometry, words: Array) -> Array:
    """Pads packed pixels; a padding of 0 counts as +1 here, which `sums_outside` corrects."""
    (top, bottom), (left, right) = geometry.pads
    if not any((top, bottom, left, right)):
        return words
    padded = jnp.pad(words, ((0, 0), *geometry.pads, (0, 0)))
    if geometry.pad_value < 0:
        return padded
    rows = jnp.arange(-top, words.shape[1] + bottom)[None, :, None, None]
    columns = jnp.arange(-left, words.shape[2] + right)[None, None, :, None]
    inside = (rows >= 0) & (rows < words.shape[1]) & (columns >= 0) & (columns < words.shape[2])
    return jnp.where(inside, padded, bits.ones(geometry.channels)[None, None, None])


def count_differences(geometry: Geometry, pixels: Array, words: Array) -> Array:
    """Sums popcount(pixel ⊕ kernel), int32 [N, H', W', O], unrolled into one fused loop."""
    kh, kw = geometry.kernel_size
    shape = (pixels.shape[0], *geometry.output_size, words.shape[3])
    total = lax.full(shape, 0, jnp.uint32)
    for i in range(kh):
        for j in range(kw):
            window = shifted(geometry, pixels, i, j)
            for w in range(words.shape[2]):
                # Plain lax, because jnp's indexing takes ten times as long to trace.
                pixel = lax.broadcast_in_dim(
                    lax.index_in_dim(window, w, 3, keepdims=False), shape, (0, 1, 2)
                )
                kernel = lax.broadcast_in_dim(
                    lax.slice(words, (i, j, w, 0), (i + 1, j + 1, w + 1, shape[3])).reshape(-1),
                    shape,
                    (3,),
                )
                total = lax.add(total, lax.population_count(lax.bitwise_xor(pixel, kernel)))
    return total.astype(jnp.int32)


def sums_outside(geometry: Geometry, words: Array) -> Array:
    """Sums the weights outside the picture, which padding with +1 instead of 0 adds.

    int32 [1, H', W', O].
    """
    counts = lax.population_count(words).astype(jnp.int32).sum(2, jnp.int32, keepdims=True)
    sums = (2 * counts - geometry.channels).astype(jnp.float32)
    inside = jnp.zeros((1, *geometry.input_size, 1), jnp.float32)
    frame = jnp.pad(inside, ((0, 0), *geometry.pads, (0, 0)), constant_values=1)
    return _float_conv(frame, sums, geometry).astype(jnp.int32)


def _forward(geometry: Geometry, x: Array, words: Array, backward: Array) -> tuple[Array, Array]:
    return _packed_conv(geometry, x, words, backward), backward


def _backward(geometry: Geometry, backward: Array, g: Array) -> tuple[Array, None, Array]:
    return materialize(input_gradient(g, backward, geometry)), None, jnp.zeros_like(backward)


_packed_conv.defvjp(_forward, _backward)


@partial(jax.jit, static_argnums=2)
def input_gradient(g: Array, backward: Array, geometry: Geometry) -> Array:
    """Gradient of a convolution's input, float32 [N, H, W, C]: a product, then shifted additions.

    Args:
      g: cotangent of the result [N, H', W', O], which is rounded to the dtype of ``backward``.
      backward: [O, kh·kw·C] from `gradient_kernel`.
      geometry: of the forward convolution.
    """
    kh, kw = geometry.kernel_size
    products = lax.dot_general(
        g.astype(backward.dtype),
        backward,
        (((3,), (0,)), ((), ())),
        preferred_element_type=jnp.float32,
    ).reshape(*g.shape[:3], kh * kw, geometry.channels)
    return spread(geometry, [products[..., position, :] for position in range(kh * kw)])


@whole
def dense_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Convolves ±1 or any float ``x`` [N, H, W, C] with ``kernel`` [kh, kw, C, O] in its dtype.

    Exact for ±1 even in bfloat16, as sums are float32. Differentiable in both arguments.
    """
    padded = jnp.pad(
        x.astype(kernel.dtype),
        ((0, 0), *geometry.pads, (0, 0)),
        constant_values=geometry.pad_value,
    )
    if kernel.dtype == jnp.float32 and kernel[..., 0].size <= narrow.WIDEST:
        return narrow.conv(geometry, padded, kernel)
    return _float_conv(padded, kernel, geometry)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _float_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    return _sums_in_float32(x, kernel, geometry)


def _sums_in_float32(x: Array, kernel: Array, geometry: Geometry) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        geometry.strides,
        "VALID",
        rhs_dilation=geometry.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=jnp.float32,
    )


def _float_backward(
    geometry: Geometry, operands: tuple[Array, Array], g: Array
) -> tuple[Array, Array]:
    # JAX widens the operands for this by itself since 0.10; before, it refuses to transpose.
    x, kernel = operands
    widened = x.astype(g.dtype), kernel.astype(g.dtype)
    _, transpose = jax.vjp(partial(_sums_in_float32, geometry=geometry), *widened)
    of_x, of_kernel = transpose(g)
    return of_x.astype(x.dtype), of_kernel.astype(kernel.dtype)


_float_conv.defvjp(
    lambda x, kernel, geometry: (_float_conv(x, kernel, geometry), (x, kernel)), _float_backward
)
