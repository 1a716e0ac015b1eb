"""Steps against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from bnnjax.layers import BatchNorm, Options
from bnnjax.port.program.program import Call, Norm, Step
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


# --- layers ------------------------------------------------------------------------------


class OneStep(nn.Module):
    step: Step

    @nn.compact
    def __call__(self, x, *, train=False):
        return perform(self.step, Run(Options(), train), x)


@pytest.mark.parametrize(("rank", "epsilon"), [(2, 1e-7), (4, 1e-2)])
def test_a_batch_norm_along_another_axis_raises_its_epsilon_for_maps(rank, epsilon):
    """As tf.nn.fused_batch_norm does, which Keras calls for maps but not for vectors."""
    norm = Norm(Call.of(BatchNorm, momentum=0.9), 1, 1e-7, 1e-2)
    module = OneStep(Step("batch_norm", "norm", (0,), 1, norm, "the norm"))
    x = jnp.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)[(..., *(0,) * (4 - rank))]
    params = {"scale": jnp.array([1.0, 2.0, 3.0]), "bias": jnp.array([0.5, 0.0, -1.0])}
    stats = {"mean": jnp.array([1.0, 0.0, 2.0]), "var": jnp.array([0.01, 0.02, 1.0])}
    found = module.apply({"params": {"norm": params}, "batch_stats": {"norm": stats}}, x)
    multiplier = params["scale"] / np.sqrt(stats["var"] + epsilon)
    last = (np.moveaxis(x, 1, -1) - stats["mean"]) * multiplier + params["bias"]
    np.testing.assert_allclose(found, np.moveaxis(last, -1, 1), rtol=1e-5, atol=1e-4)


def test_dropout_acts_in_training_only():
    module = OneStep(Step("dropout", "", (0,), 1, (0.5, (1, 2)), "the dropout"))
    x = jnp.ones((2, 3, 3, 64))
    np.testing.assert_array_equal(module.apply({}, x), x)
    dropped = module.apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert set(np.unique(dropped)) == {0, 2}
    assert (np.ptp(dropped, axis=(1, 2)) == 0).all()  # a channel is kept or dropped as a whole


def test_equal_calls_are_equal():
    first, second = (Call.of(BatchNorm, epsilon=1e-3, momentum=0.9) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first.replaced(epsilon=1e-5)() == BatchNorm(1e-5, 0.9)
