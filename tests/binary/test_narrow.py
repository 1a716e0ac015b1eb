"""bnnjax.binary.narrow against XLA's own convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from bnnjax.binary import narrow
from bnnjax.binary.windows import geometry


@pytest.mark.parametrize("size", [(9, 12), (8, 7)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_results_and_gradients_are_xlas(size, strides, padding):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 2, 3, 5)), jnp.float32)
    where = geometry(x.shape, (3, 2), strides=strides, padding=padding)
    numbers = ("NHWC", "HWIO", "NHWC")

    def ours(x, kernel):
        return narrow.conv(where, jnp.pad(x, ((0, 0), *where.pads, (0, 0))), kernel)

    def xlas(x, kernel):
        return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=numbers)

    (y, back), (expected, back_expected) = (jax.vjp(f, x, kernel) for f in (ours, xlas))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    g = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    for found, wanted in zip(back(g), back_expected(g), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
