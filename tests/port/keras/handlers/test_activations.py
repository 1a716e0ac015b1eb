"""Activations at their kinks, where integer sums often lie, against TensorFlow 2.15's gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax import quant
from bnnjax.port.keras.handlers import activations


def layer(kind, **config):
    return {"class_name": kind, "config": config}


# What TensorFlow computes: x, y and the derivative.
CASES = [
    ("relu6", [0, 6], [0, 6], [0, 0]),
    (layer("ReLU", max_value=2.0), [-1, 0, 1, 2, 3], [0, 0, 1, 2, 2], [0, 0, 1, 1, 0]),
    (layer("ReLU", max_value=6.0), [-1, 0, 3, 6, 7], [0, 0, 3, 6, 6], [0, 0, 1, 0, 0]),
    (layer("ThresholdedReLU", theta=1.0), [0, 1, 2], [0, 0, 2], [0, 0, 1]),
    (
        layer("ReLU", max_value=2.0, negative_slope=0.5, threshold=1.0),
        [-1, 0, 1, 1.5, 2, 3],
        [-1, -0.5, 0, 1.5, 2, 2],
        [0.5, 0.5, 0, 1, 1, 0],
    ),
    (layer("LeakyReLU", alpha=0.25), [-1, 0, 1], [-0.25, 0, 1], [0.25, 0.25, 1]),
    (layer("LeakyReLU", negative_slope=0.25), [-1, 0, 1], [-0.25, 0, 1], [0.25, 0.25, 1]),
    (layer("ELU", alpha=0.5), [-1, 0, 1], [-0.3161, 0, 1], [0.1839, 0.5, 1]),
    ("hard_sigmoid", [-3, -2.5, 0, 2.5, 3], [0, 0, 0.5, 1, 1], [0, 0.2, 0.2, 0.2, 0]),
    ("hard_tanh", [-2, -1, 0, 1, 2], [-1, -1, 0, 1, 1], [0, 1, 1, 1, 0]),
    ("leaky_tanh", [-2, -1, 0, 1, 2], [-1.2, -1, 0, 1, 1.2], [0.2, 1.2, 1, 1.2, 0.2]),
]


@pytest.mark.parametrize(("stated", "x", "y", "slope"), CASES)
def test_values_and_gradients_are_tensorflows(stated, x, y, slope):
    function = activations.find(stated, version=2)
    values, pull_back = jax.vjp(function, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(values, y, atol=1e-4)
    np.testing.assert_allclose(pull_back(jnp.ones_like(values))[0], slope, atol=1e-4)


def test_the_hard_sigmoid_of_keras_3_is_another():
    x = jnp.array([-3.0, -1.5, 0.0, 1.5, 3.0])
    found = activations.find("hard_sigmoid", version=3)(x)
    np.testing.assert_allclose(found, [0, 0.25, 0.5, 0.75, 1], atol=1e-6)


@pytest.mark.parametrize("stated", [None, "linear", layer("function") | {"config": "linear"}])
def test_a_linear_activation_is_none(stated):
    assert activations.find(stated, version=2) is None


def test_quantizers_are_activations_too():
    assert activations.find("approx_sign", version=2) is quant.approx_sign
    found = activations.find(layer("SteSign", clip_value=1.25), version=2)
    assert (found.func, found.keywords) == (quant.ste_sign, {"clip": 1.25})


def test_equal_activations_are_equal():
    first, second = (activations.find(layer("ELU", alpha=0.5), version=2) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
