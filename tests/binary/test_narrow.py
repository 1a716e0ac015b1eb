"""bnnjax.binary.narrow against XLA's own convolution."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from bnnjax.binary import narrow
from bnnjax.binary.windows import geometry


def ours(where, x, kernel):
    return narrow.conv(where, jnp.pad(x, ((0, 0), *where.pads, (0, 0))), kernel)


def by_xla(where, x, kernel):
    return lax.conv_general_dilated(
        x,
        kernel,
        where.strides,
        where.pads,
        rhs_dilation=where.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )


@partial(jax.jit, static_argnums=(0, 1))
def with_gradients(function, where, x, kernel, g):
    y, pull_back = jax.vjp(partial(function, where), x, kernel)
    return y, *pull_back(g)


def check(where):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *where.input_size, where.channels)).astype(np.float32)
    kernel = rng.normal(size=(*where.kernel_size, where.channels, 5)).astype(np.float32)
    g = rng.normal(size=(2, *where.output_size, 5)).astype(np.float32)
    found, expected = (with_gradients(f, where, x, kernel, g) for f in (ours, by_xla))
    assert {array.dtype for array in found} == {jnp.dtype("float32")}
    for array, wanted, tolerance in zip(found, expected, (1e-5, 1e-4, 1e-4), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [
        ((9, 12), (1, 1), "SAME"),
        ((8, 7), (1, 1), "VALID"),
        ((8, 7), (2, 2), "SAME"),
        ((9, 12), (2, 2), "VALID"),
        ((9, 12), (3, 2), "SAME"),
        ((8, 7), (3, 2), "VALID"),
    ],
)
def test_results_and_gradients_are_xlas(size, strides, padding):
    check(geometry((2, *size, 3), (3, 2), strides=strides, padding=padding))


@pytest.mark.slow
@pytest.mark.parametrize("kernel_size", [(3, 3), (4, 3)])  # unrolled, and left to XLA
def test_dilated_kernels_unrolled_and_not(kernel_size):
    assert 27 <= narrow.UNROLLED < 36
    check(geometry((2, 9, 8, 3), kernel_size, strides=(2, 1), dilation=(2, 3)))


@pytest.mark.slow
@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("kernel_size", [(3, 2), (4, 3)])
def test_without_implicit_promotion(kernel_size):
    check(geometry((2, 9, 8, 3), kernel_size, strides=(2, 1)))
