"""Where pools along three axes pass gradients of equal values, against TensorFlow 2.15."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.port.keras.handlers import pools

ONES = jnp.ones((1, 1, 2, 3, 1))


@pytest.mark.slow
def test_every_largest_value_of_a_volume_gets_the_whole_gradient():
    """Unlike in two axes, where the first one gets it."""
    window = {"mean": False, "size": (2, 2, 2), "strides": (1, 1, 1), "padding": "SAME"}
    gradient = jax.grad(lambda x: pools.pool_3d(x, **window).sum())(ONES)
    np.testing.assert_array_equal(gradient.ravel(), [1, 2, 2, 2, 4, 4])


def test_all_largest_values_of_a_whole_volume_share_the_gradient():
    gradient = jax.grad(lambda x: pools.global_pool(x, mean=False, keepdims=False).sum())(ONES)
    np.testing.assert_allclose(gradient.ravel(), np.full(6, 1 / 6), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_largest_values_of_a_volume(padding, make_picture):
    x = jnp.asarray(make_picture(0, 15, 9)).reshape(1, 5, 3, 9, 3)
    window = {"mean": False, "size": (2, 3, 2), "strides": (2, 1, 3), "padding": padding}
    found = pools.pool_3d(x, **window)
    steps = (1, *window["strides"], 1)
    expected = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 3, 2, 1), steps, padding)
    np.testing.assert_array_equal(found, expected)
