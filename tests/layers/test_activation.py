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


def test_alpha_has_no_more_axes_than_are_shared():
    """Keras' ``shared_axes``: none, as after a dense layer or for every pixel, or some."""
    x = jnp.ones((2, 3, 5, 4))
    for shared, shape in (((), (3, 5, 4)), ((1,), (1, 5, 4)), ((1, 2, 3), (1, 1, 1))):
        variables = PReLU(shared).init(jax.random.key(0), -x)
        assert variables["params"]["alpha"].shape == shape
        alpha = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        y = PReLU(shared).apply({"params": {"alpha": alpha}}, -x)
        np.testing.assert_array_equal(y, np.broadcast_to(-alpha, x.shape))


def test_a_new_prelu_is_a_relu():
    variables = PReLU().init(jax.random.key(0), jnp.zeros((1, 2, 2, 3)))
    np.testing.assert_array_equal(variables["params"]["alpha"], np.zeros((1, 1, 3)))
