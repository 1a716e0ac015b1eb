"""Residual additions against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.layers import Options, add_shortcut


@pytest.mark.parametrize("scale", [1.0, 0.25, 2.0])
def test_the_shortcut_is_scaled_and_added(scale):
    x, shortcut = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    found = add_shortcut(jnp.asarray(x), jnp.asarray(shortcut), Options(residual_scale=scale))
    np.testing.assert_array_equal(found, x + np.float32(scale) * shortcut)


def test_a_cut_shortcut_leaves_no_trace():
    shortcut = jnp.asarray([jnp.nan, jnp.inf])
    found = add_shortcut(jnp.asarray([1.0, 2.0]), shortcut, Options(residual_scale=0.0))
    assert found.tolist() == [1, 2]
