"""Steps against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.layers import Options
from bnnjax.port.program.program import Step
from bnnjax.port.program.run import Run
from bnnjax.port.program.steps import perform

NAN = float("nan")


def gradients(kind, options, *inputs):
    """Values, and the derivative of their sum for each input."""
    step = Step(kind, "", tuple(range(len(inputs))), len(inputs), options, "the step")
    arrays = [jnp.asarray(x, jnp.float32) for x in inputs]
    values, pull_back = jax.vjp(lambda *xs: perform(step, Run(Options()), *xs), *arrays)
    return values, *pull_back(jnp.ones_like(values))


# The results of TensorFlow 2.15 for tf.nn.relu, tf.clip_by_value(x, -1, 1) and tf.nn.relu6.
@pytest.mark.parametrize(
    ("number", "x", "y", "slope"),
    [
        (1, [-1, 0, 1], [0, 0, 1], [0, 0, 1]),
        (2, [-2, -1, 0, 1, 2], [-1, -1, 0, 1, 1], [0, 1, 1, 1, 0]),
        (3, [-1, 0, 3, 6, 7], [0, 0, 3, 6, 6], [0, 0, 1, 0, 0]),
    ],
)
def test_gradients_at_the_kinks_of_activations_are_tensorflows(number, x, y, slope):
    values, of_x = gradients("activate", number, x)
    np.testing.assert_array_equal(values, y)
    np.testing.assert_array_equal(of_x, slope)
    np.testing.assert_array_equal(gradients("activate", number, [NAN])[0], [NAN])


def test_the_gradient_of_prelu_at_its_kink_is_tensorflows():
    """tf.keras.layers.PReLU: at exactly 0, no gradient passes to x or alpha."""
    values, of_x, of_alpha = gradients("prelu", None, [-2, 0, 3], [0.25, 0.25, 0.25])
    np.testing.assert_array_equal(values, [-0.5, 0, 3])
    np.testing.assert_array_equal(of_x, [0.25, 0, 1])
    np.testing.assert_array_equal(of_alpha, [-2, 0, 0])


# tf.maximum and tf.minimum: x >= y and x <= y say where the gradient goes.
@pytest.mark.parametrize(
    ("kind", "values", "of_x"),
    [("maximum", [0, 2, 2], [1, 0, 1]), ("minimum", [0, 1, 1], [1, 1, 0])],
)
def test_of_equal_operands_the_first_has_the_gradient(kind, values, of_x):
    found = gradients(kind, None, [0, 1, 2], [0, 2, 1])
    np.testing.assert_array_equal(found[0], values)
    np.testing.assert_array_equal(found[1], of_x)
    np.testing.assert_array_equal(found[2], 1 - np.array(of_x))
    np.testing.assert_array_equal(gradients(kind, None, [NAN, 1], [1, NAN])[0], [NAN, NAN])
