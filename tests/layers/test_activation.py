"""PReLU by its definition, and its gradient at 0, where TensorFlow's is not a derivative."""

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.layers import PReLU


def test_prelu_is_its_definition():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
    alpha = rng.uniform(-0.5, 2, (1, 1, 4)).astype(np.float32)
    y = PReLU().apply({"params": {"alpha": alpha}}, x)
    np.testing.assert_array_equal(y, np.where(x > 0, x, alpha * x))


def test_the_gradient_at_zero_is_zero_as_in_keras():
    x = jnp.array([[[[-1.0, -0.0, 0.0, 2.0]]]])
    params = {"alpha": jnp.full((1, 1, 4), 0.25)}
    gradient = jax.grad(lambda x: PReLU().apply({"params": params}, x).sum())(x)
    np.testing.assert_array_equal(gradient.ravel(), [0.25, 0, 0, 1])


def test_a_new_prelu_is_a_relu():
    variables = PReLU().init(jax.random.key(0), jnp.zeros((1, 2, 2, 3)))
    np.testing.assert_array_equal(variables["params"]["alpha"], np.zeros((1, 1, 3)))
