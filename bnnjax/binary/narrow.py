"""Convolutions of few input channels, such as those of a network's stem, of pictures.

XLA's convolutions are made for many channels; on CPUs a network's first layer takes as long as
several binary ones. As multiply-adds forward, and as products backward, it takes a third.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bnnjax.binary.backend import group_of, materialize
from bnnjax.binary.windows import Geometry, shifted, spread

WIDEST = 256  # values that a window may have; beyond, XLA's own gradients are as good
UNROLLED = 32  # of these, as multiply-adds; unrolled, more take long to compile


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv(where: Geometry, padded: Array, kernel: Array) -> Array:
    """Convolution of float32 ``padded`` [N, H + pads, W + pads, C] with [kh, kw, C, O]."""
    if kernel[..., 0].size > UNROLLED:
        return _by_xla(where, padded, kernel)
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
    products = g @ jnp.moveaxis(kernel, 3, 0).reshape(kernel.shape[3], -1)
    channels = where.channels
    parts = [
        products[..., n * channels : (n + 1) * channels] for n in range(kernel[..., 0, 0].size)
    ]
    unpadded = where._replace(pads=((0, 0), (0, 0)), input_size=padded.shape[1:3])
    of_padded = materialize(spread(unpadded, parts))
    return of_padded, _kernel_gradient(unpadded, padded, g).reshape(kernel.shape)


def _kernel_gradient(where: Geometry, padded: Array, g: Array) -> Array:
    """[kh · kw · C, O]: what the windows met, times the cotangent."""

    def step(total: Array, group: tuple[Array, Array]) -> tuple[Array, None]:
        pixels, cotangent = group
        windows = [shifted(where, pixels, i, j) for i, j in np.ndindex(where.kernel_size)]
        columns = jnp.concatenate(windows, axis=3)
        return total + jnp.tensordot(columns, cotangent, ((0, 1, 2), (0, 1, 2))), None

    values = where.kernel_size[0] * where.kernel_size[1] * where.channels
    size = group_of(padded.shape[0], 4 * values * int(np.prod(where.output_size)))
    groups = tuple(array.reshape(-1, size, *array.shape[1:]) for array in (padded, g))
    return lax.scan(step, jnp.zeros((values, g.shape[3])), groups)[0]


def _by_xla(where: Geometry, padded: Array, kernel: Array) -> Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        padded,
        kernel,
        where.strides,
        "VALID",
        rhs_dilation=where.dilations,
        dimension_numbers=numbers,
    )


conv.defvjp(
    lambda where, padded, kernel: (conv(where, padded, kernel), (padded, kernel)), _backward
)
