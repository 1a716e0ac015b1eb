"""Convolutions of ±1 activations with ±1 kernels that are still being trained.

The forward pass counts bits, as for frozen kernels. Both gradients are products of the cotangent,
rounded to ``dtype``, with a ±1 operand, which bfloat16 holds exactly; sums are float32. Pictures go
through these products in groups that fit into a CPU's cache.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bnnjax.binary import bits, conv
from bnnjax.binary.backend import group_of
from bnnjax.binary.windows import Geometry, shifted

ONE, SIGN = 0x3F80, 0x8000  # the bits of +1 in bfloat16, and its sign bit


def sign_conv(x: Array, kernel: Array, geometry: Geometry, *, dtype: jnp.dtype) -> Array:
    """Convolves ±1 tensors, with gradients for both.

    Args:
      x: float32 [N, H, W, C] of ±1.
      kernel: float32 [kh, kw, C, O] of ±1.
      geometry: from `windows.geometry`.
      dtype: of the gradients' products, bfloat16 or float32.

    Returns:
      float32 [N, H', W', O] of integers.
    """
    return _sign_conv(geometry, jnp.dtype(dtype), x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _sign_conv(geometry: Geometry, dtype: jnp.dtype, x: Array, kernel: Array) -> Array:
    return _forward(geometry, dtype, x, kernel)[0]


def _forward(
    geometry: Geometry, dtype: jnp.dtype, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    del dtype
    pixels, words = bits.pack(x), conv.pack_kernel(kernel)
    return conv.count(geometry, pixels, words), (pixels, words)


def _backward(
    geometry: Geometry, dtype: jnp.dtype, residuals: tuple[Array, Array], g: Array
) -> tuple[Array, Array]:
    pixels, words = residuals
    backward = conv.gradient_kernel(words, geometry.channels, dtype=dtype)
    floats = geometry.kernel_size[0] * geometry.kernel_size[1] * geometry.channels
    largest = 4 * floats * int(np.prod(geometry.output_size))  # bytes of one picture's products
    of_x = partial(conv.input_gradient, backward=backward, geometry=geometry)
    of_kernel = partial(kernel_gradient, geometry=geometry, dtype=dtype)
    size = group_of(g.shape[0], largest)
    if size >= g.shape[0]:
        return of_x(g), of_kernel(pixels, g)
    groups = [array.reshape(-1, size, *array.shape[1:]) for array in (pixels, g)]

    def step(total: Array, group: list[Array]) -> tuple[Array, Array]:
        return total + of_kernel(*group), of_x(group[1])

    kernel_shape = (*geometry.kernel_size, geometry.channels, g.shape[3])
    dkernel, dx = lax.scan(step, jnp.zeros(kernel_shape, jnp.float32), groups)
    return dx.reshape(g.shape[0], *geometry.input_size, geometry.channels), dkernel


_sign_conv.defvjp(_forward, _backward)


def kernel_gradient(pixels: Array, g: Array, *, geometry: Geometry, dtype: jnp.dtype) -> Array:
    """Gradient of a convolution's ±1 kernel, float32 [kh, kw, C, O].

    Args:
      pixels: words [N, H, W, ⌈C/32⌉] of the input's signs.
      g: cotangent of the result [N, H', W', O], which is rounded to ``dtype``.
      geometry: of the forward convolution.
      dtype: of the product.
    """
    kh, kw = geometry.kernel_size
    columns = _signs_by_channel(geometry, pixels, dtype)
    flat = g.astype(dtype).reshape(-1, g.shape[3])
    product = lax.dot_general(
        columns, flat, (((1,), (0,)), ((), ())), preferred_element_type=jnp.float32
    )
    return product.reshape(kh, kw, geometry.channels, g.shape[3])


def _signs_by_channel(geometry: Geometry, pixels: Array, dtype: jnp.dtype) -> Array:
    """What each kernel position and channel meets, ±1 or 0: [kh · kw · C, N · H' · W'].

    Words are moved rather than floats, which takes a 32nd of the bytes. Pixels are innermost, as
    suits the product.
    """
    kh, kw = geometry.kernel_size
    padded = conv.pad_words(geometry, pixels)
    met = [shifted(geometry, padded, i, j) for i, j in np.ndindex(kh, kw)]
    words = jnp.stack([jnp.moveaxis(part, 3, 0).reshape(part.shape[3], -1) for part in met])
    places = jnp.arange(bits.WORD, dtype=jnp.uint32)[None, None, :, None]
    set_bits = (words[:, :, None] >> places) & 1
    set_bits = set_bits.reshape(kh * kw, words.shape[1] * bits.WORD, words.shape[2])
    set_bits = set_bits[:, : geometry.channels]
    if geometry.pad_value == 0:
        inside = jnp.pad(
            jnp.ones((1, *geometry.input_size, 1), bool), ((0, 0), *geometry.pads, (0, 0))
        )
        there = jnp.stack(
            [shifted(geometry, inside, i, j).reshape(-1) for i, j in np.ndindex(kh, kw)]
        )
        there = jnp.tile(there, (1, pixels.shape[0]))[:, None]
    else:
        there = jnp.ones((), bool)
    signs = _signs(set_bits, there, dtype)
    return signs.reshape(kh * kw * geometry.channels, words.shape[2])


def _signs(set_bits: Array, there: Array, dtype: jnp.dtype) -> Array:
    if dtype != jnp.bfloat16:
        return jnp.where(there, 2 * set_bits.astype(dtype) - 1, 0)
    # XLA:CPU converts bfloat16 to float32 and back to compute; integers stay 16 bits wide.
    signs = jnp.uint16(ONE | SIGN) - (set_bits.astype(jnp.uint16) << 15)
    return lax.bitcast_convert_type(jnp.where(there, signs, jnp.uint16(0)), jnp.bfloat16)
