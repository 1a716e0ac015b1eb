"""The taps that modules record, and when they do."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from bnnjax.models.tapped import Tapped


class Twice(Tapped):
    """A tap called like its layer, and one that is recorded twice."""

    @nn.compact
    def __call__(self, x):
        x = self.tap("zeta", nn.Dense(2, name="zeta")(x))
        self.tap("alpha", x)
        return self.tap("alpha", 2 * x)


VARIABLES = {"params": {"zeta": {"kernel": jnp.eye(2), "bias": jnp.ones(2)}}}


def test_taps_are_recorded_bare_in_the_order_of_their_calls_and_the_last_one_counts():
    x = jnp.ones((1, 2))
    y, state = Twice().apply(VARIABLES, x, mutable=["taps"])
    assert list(state["taps"]) == ["zeta", "alpha"]
    np.testing.assert_array_equal(state["taps"]["zeta"], x + 1)
    np.testing.assert_array_equal(state["taps"]["alpha"], y)


def test_nothing_is_recorded_by_default():
    x = jnp.ones((1, 2))
    np.testing.assert_array_equal(Twice().apply(VARIABLES, x), 2 * (x + 1))
    assert Twice().init(jax.random.key(0), x).keys() == {"params"}


def test_a_value_that_replaces_a_tap_is_computed_with_and_recorded():
    x, value = jnp.ones((1, 2)), jnp.array([[5.0, -3.0]])
    replaced = {**VARIABLES, "replaced": {"zeta": value}}
    y, state = Twice().apply(replaced, x, mutable=["taps"])
    np.testing.assert_array_equal(y, 2 * value)
    np.testing.assert_array_equal(state["taps"]["zeta"], value)
