"""Optimisers by name, and the schedules of the learning rate."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnnjax.optimize import constant, cosine
from bnnjax.optimize.optimizers import factory


@pytest.mark.parametrize("part", [0, 0.25, 0.5, 1])
def test_the_cosine_falls_to_a_tenth(part):
    # (1 + cos πp) / 2 of the way from 0.1 to 1
    way = {0: 1, 0.25: (1 + 2**-0.5) / 2, 0.5: 0.5, 1: 0}[part]
    np.testing.assert_allclose(cosine(jnp.float32(part)), 0.1 + 0.9 * way, rtol=1e-5)
    assert constant(jnp.float32(part)) == 1


@pytest.mark.parametrize(
    "name", ["adam", "sgd", "adamw", "rmsprop", "adagrad", "lion", "nadam", "adabelief", "lbfgs"]
)
def test_optimisers_of_optax_are_found_by_name(name):
    """Each descends a bowl."""
    optimizer = optax.with_extra_args_support(factory(name)(optax.constant_schedule(0.1)))

    def value(z):
        return jnp.sum((z - jnp.array([1.0, -2.0])) ** 2)

    @jax.jit
    def step(z, state):
        height, slope = jax.value_and_grad(value)(z)
        extra = {"value": height, "grad": slope, "value_fn": value}
        updates, state = optimizer.update(slope, state, z, **extra)
        return optax.apply_updates(z, updates), state

    z = jnp.zeros(2)
    state = optimizer.init(z)
    for _ in range(25):
        z, state = step(z, state)
    assert value(z) < 0.7 * value(jnp.zeros(2))


def test_an_optax_optimiser_keeps_its_own_learning_rate():
    optimizer = factory(optax.sgd(0.5))(optax.constant_schedule(99.0))
    updates, _ = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)))
    np.testing.assert_array_equal(updates, -0.5 * np.ones(3))


def test_a_function_of_optax_is_taken_as_a_name_is():
    assert factory(optax.sgd) is factory("sgd")


@pytest.mark.parametrize("choice", ["adamm", "", "no_such", "__name__", "contrib", 3, None, len])
def test_unknown_optimisers_are_refused(choice):
    with pytest.raises(ValueError, match="optimizer") as raised:
        factory(choice)
    assert len(str(raised.value).splitlines()) == 1


def test_a_typo_suggests_the_nearest_optimiser():
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        factory("adamm")


@pytest.mark.parametrize(
    "name",
    ["cosine_decay_schedule", "apply_updates", "identity", "l2_loss", "chain", "global_norm"],
)
def test_optax_functions_that_are_not_optimisers_are_refused(name):
    with pytest.raises(ValueError, match=name):
        factory(name)
