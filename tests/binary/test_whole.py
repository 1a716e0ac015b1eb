"""Operations in a recording."""

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.binary.whole import WHOLE, recording, whole


@whole
def scaled(factor, x, y, *, times=2):
    return factor * times * x + y


def recorded(*arrays):
    with recording():
        return jax.make_jaxpr(lambda x, y: scaled(3, x, y, times=5) - 1)(*arrays)


def test_a_recorded_call_is_one_equation():
    jaxpr = recorded(jnp.ones((2, 3)), jnp.ones(3))
    found, following = jaxpr.eqns
    assert found.primitive is WHOLE
    assert found.params["name"] == "scaled"
    assert found.params["arrays"] == ("x", "y")
    assert found.params["others"] == (("factor", 3), ("times", 5))
    assert list(found.invars) == list(jaxpr.jaxpr.invars)
    assert found.outvars[0].aval.shape == (2, 3)
    assert following.primitive.name == "sub"


def test_defaults_are_recorded():
    with recording():
        jaxpr = jax.make_jaxpr(lambda x: scaled(1, x, x))(jnp.ones(2))
    assert dict(jaxpr.eqns[0].params["others"])["times"] == 2


def test_outside_of_a_recording_nothing_changes():
    recorded(jnp.ones((2, 3)), jnp.ones(3))
    result = jax.jit(lambda x, y: scaled(3, x, y, times=5))(jnp.ones((2, 3)), jnp.ones(3))
    np.testing.assert_array_equal(result, np.full((2, 3), 16))
    np.testing.assert_array_equal(scaled(3, jnp.ones(2), jnp.ones(2)), [7, 7])
    assert scaled.__name__ == "scaled"
