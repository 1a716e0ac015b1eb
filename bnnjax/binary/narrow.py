"""Convolutions of few input channels, such as a network's stem, which sees the picture.

XLA's convolutions are made for many channels: on CPUs a network's first layer takes as long as
several binary ones. As multiply-adds forward and products backward, it takes a third of that.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bnnjax.binary.backend import group_of, materialize
from bnnjax.binary.windows import Geometry, shifted, spread

WIDEST = 256  # values in a window; beyond that, XLA's own gradients are as fast
UNROLLED = 32  # values in a window that become multiply-adds; more take long to compile


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv(where: Geometry, padded: Array, kernel: Array) -> Array:
    """Convolves float32 ``padded`` [N, H + pads, W + pads, C] with ``kernel`` [kh, kw, C, O]."""
    if kernel[..., 0].size > UNROLLED:
        return _by_xla(where, padded, kernel)
    return materialize(_multiply_adds(where, padded, kernel))


def _multiply_adds(where: Geometry, padded: Array, kernel: Array) -> Array:
    total = jnp.zeros((), jnp.float32)
    for i, j in np.ndindex(where.kernel_size):
        window = shifted(where, padded, i, j)
        for c in range(where.channels):
            total += window[..., c : c + 1] * kernel[i : i + 1, j : j + 1, c : c + 1]
    return total


def _backward(where: Geometry, residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    padded, kernel = residuals
    products = g @ jnp.moveaxis(kernel, 3, 0).reshape(kernel.shape[3], -1)
    channels = where.channels
    parts = [
        products[..., n * channels : (n + 1) * channels] for n in range(kernel[..., 0, 0].size)
    ]
    unpadded = where._replace(pads=((0, 0), (0, 0)), input_size=(padded.shape[1], padded.shape[2]))
    of_padded = materialize(spread(unpadded, parts))
    return of_padded, _kernel_gradient(unpadded, padded, g).reshape(kernel.shape)


def _kernel_gradient(where: Geometry, padded: Array, g: Array) -> Array:
    """What the windows met times the cotangent: [kh · kw · C, O]."""

    def step(total: Array, group: list[Array]) -> tuple[Array, None]:
        pixels, cotangent = group
        windows = [shifted(where, pixels, i, j) for i, j in np.ndindex(where.kernel_size)]
        columns = jnp.concatenate(windows, axis=3)
        return total + jnp.tensordot(columns, cotangent, ((0, 1, 2), (0, 1, 2))), None

    values = where.kernel_size[0] * where.kernel_size[1] * where.channels
    size = group_of(len(padded), 4 * values * int(np.prod(where.output_size)))
    groups = [a.reshape(len(a) // size, size, *a.shape[1:]) for a in (padded, g)]
    return lax.scan(step, jnp.zeros((values, g.shape[3]), jnp.float32), groups)[0]


def _by_xla(where: Geometry, padded: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        padded,
        kernel,
        where.strides,
        "VALID",
        rhs_dilation=where.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


conv.defvjp(
    lambda where, padded, kernel: (conv(where, padded, kernel), (padded, kernel)), _backward
)
