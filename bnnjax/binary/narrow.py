"""Convolutions of few input channels, such as a network's first, of pictures.

XLA's convolutions are made for many channels; on CPUs the first layer takes as long as several
binary ones. As multiply-adds forward, and as a product and shifted adds backward, it takes a third.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bnnjax.binary.backend import materialize
from bnnjax.binary.windows import Geometry, shifted, spread

WIDEST = 32  # values that a window may have; unrolled, more take long to compile


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv(where: Geometry, padded: Array, kernel: Array) -> Array:
    """Convolution of float32 ``padded`` [N, H + pads, W + pads, C] with [kh, kw, C, O]."""
    return materialize(_multiply_adds(where, padded, kernel))


def _multiply_adds(where: Geometry, padded: Array, kernel: Array) -> Array:
    total = jnp.zeros(())
    for i, j in np.ndindex(where.kernel_size):
        window = shifted(where, padded, i, j)
        for c in range(where.channels):
            total += window[..., c : c + 1] * kernel[i, j, c]
    return total


def _backward(where: Geometry, residuals: tuple, g: Array) -> tuple[Array, Array]:
    padded, kernel = residuals
    of_kernel = jax.vjp(partial(_by_xla, where, padded), kernel)[1](g)[0]
    products = g @ jnp.moveaxis(kernel, 3, 0).reshape(kernel.shape[3], -1)
    channels = where.channels
    parts = [
        products[..., n * channels : (n + 1) * channels] for n in range(kernel[..., 0, 0].size)
    ]
    unpadded = where._replace(pads=((0, 0), (0, 0)), input_size=padded.shape[1:3])
    return materialize(spread(unpadded, parts)), of_kernel


def _by_xla(where: Geometry, padded: Array, kernel: Array) -> Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        padded, kernel, where.strides, "VALID", dimension_numbers=numbers
    )


conv.defvjp(
    lambda where, padded, kernel: (conv(where, padded, kernel), (padded, kernel)), _backward
)
