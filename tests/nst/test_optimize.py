"""Steps of the optimisation against a loop written out here, and the choice of optimisers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from bnnjax.nst.objective import TERMS, Objective, Targets
from hypothesis import given
from hypothesis import strategies as st

from bnnjax.nst import objective as objectives
from bnnjax.nst import optimize
from bnnjax.nst.config import LossWeights

STILL = jnp.zeros((1, 2), int)  # no shift


def make_objective(network, optimizer):
    """The quickest to compile: style at the first tap alone."""
    return Objective(
        architecture=network.architecture,
        style_taps=("stem",),
        content_taps=(),
        statistics="moments",
        tv="squared",
        parametrization="pixels",
        optimizer=optimizer,
    )


@pytest.fixture(scope="module")
def pictures(make_picture):
    """Two photographs, and the paintings that they are to look like."""
    photographs = jnp.stack([make_picture(seed, 32, 32) for seed in (0, 1)])
    return photographs, jnp.stack([make_picture(seed, 32, 32) for seed in (2, 3)])


@pytest.fixture(scope="module")
def start(toy, pictures):
    """A function optimizer → (objective, state, targets) of the two pictures."""

    def make(optimizer):
        objective = make_objective(toy, optimizer)
        each = [
            Targets(*objectives.style_targets(objective, toy.variables, painting), {})
            for painting in pictures[1]
        ]
        targets = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
        return objective, optimize.start(objective, pictures[0]), targets

    return make


def weights_of(**changes):
    spread = LossWeights(**changes).for_pictures(2, taps=1)
    return jax.tree.map(jnp.asarray, spread)


def run(toy, objective, state, targets, weights, steps):
    key = jax.random.key(0)
    return optimize.run_chunk(
        objective, toy.variables, state, targets, weights, STILL, key, optimize.Steps(*steps)
    )


# --- schedule and choice -------------------------------------------------------------------


@given(
    rate=st.floats(1e-4, 10), total=st.integers(1, 10_000), part=st.sampled_from([0, 0.25, 0.5, 1])
)
def test_the_learning_rate_falls_to_a_tenth_along_half_a_cosine(rate, total, part):
    found = optimize.cosine_schedule(jnp.asarray(rate), total)(part * total)
    # (1 + cos πp)/2 of the way from a tenth up to the whole
    way = {0: 1, 0.25: (1 + 2**-0.5) / 2, 0.5: 0.5, 1: 0}[part]
    np.testing.assert_allclose(found, rate * (0.1 + 0.9 * way), rtol=1e-4)


def test_the_learning_rate_never_rises():
    rates = [float(optimize.cosine_schedule(jnp.asarray(1.0), 50)(k)) for k in range(51)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    "name", ["adam", "sgd", "adamw", "rmsprop", "adagrad", "lion", "nadam", "adabelief", "lbfgs"]
)
def test_optimisers_of_optax_are_made_by_name(name):
    """Each finds its way down a bowl."""
    optimizer = optimize.make_optimizer(name, optax.constant_schedule(0.1))

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


def test_an_optimiser_of_optax_is_taken_as_it_is():
    optimizer = optimize.make_optimizer(optax.sgd(0.5), optax.constant_schedule(99.0))
    updates, _ = optimizer.update(jnp.ones(3), optimizer.init(jnp.ones(3)), value=0.0)
    np.testing.assert_array_equal(updates, -0.5 * np.ones(3))


@pytest.mark.parametrize("choice", ["adamm", "", "no_such", "__name__", "contrib", 3, None, len])
def test_unknown_optimisers_are_refused(choice):
    with pytest.raises(ValueError, match="optimizer"):
        optimize.make_optimizer(choice, lambda count: 0.0)


@pytest.mark.parametrize(
    "name",
    ["cosine_decay_schedule", "apply_updates", "identity", "l2_loss", "chain", "global_norm"],
)
def test_functions_of_optax_that_are_no_optimisers_are_refused(name):
    with pytest.raises(ValueError, match=name):
        optimize.make_optimizer(name, lambda count: 0.0)


# --- steps ---------------------------------------------------------------------------------


def test_steps_agree_with_gradient_descent_written_out(toy, pictures, start):
    """z ← clip(z − rate · ∇loss), the rate along its cosine, for each picture by itself."""
    objective, state, targets = start("sgd")
    weights = weights_of(style_weight=[1.0, 2.0], learning_rate=[0.2, 0.05], tv_weight=[0.5, 4.0])
    state, terms = run(toy, objective, state, targets, weights, (0, 4, 10))
    loss = partial(objectives.loss, objective, toy.variables)
    gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
    for place in range(2):
        one = jax.tree.map(lambda leaf, place=place: leaf[place], (targets, weights))
        z, rate = pictures[0][place], float(weights.learning_rate[place])
        for k in range(4):
            (total, _), slope = gradient(z, *one, STILL[0], jnp.asarray(0))
            np.testing.assert_allclose(terms["total"][k, place], total, rtol=1e-3)
            z = jnp.clip(z - rate * (0.55 + 0.45 * np.cos(np.pi * k / 10)) * slope, 0, 1)
        np.testing.assert_allclose(state.z[0][place], z, atol=2e-4)
        assert np.abs(z - pictures[0][place]).max() > 0.01


@pytest.fixture(scope="module")
def adam(start):
    return start("adam")


def test_the_first_step_of_adam_is_as_long_as_the_learning_rate(toy, pictures, adam):
    weights = weights_of(learning_rate=[0.004, 0.001])
    state, _ = run(toy, *adam, weights, (0, 1, 10))
    moved = np.abs(np.asarray(state.z[0] - pictures[0]))
    inside = (np.asarray(state.z[0]) > 0) & (np.asarray(state.z[0]) < 1)
    for place, rate in enumerate((0.004, 0.001)):
        lengths = moved[place][inside[place]]
        assert lengths.max() <= rate * 1.001
        assert np.median(lengths) > 0.99 * rate


def test_a_chunk_makes_as_many_steps_as_it_is_told(toy, adam):
    before = adam[1]
    after, terms = run(toy, *adam, weights_of(), (0, 3, 10))
    assert terms.keys() == set(TERMS)
    for name, values in terms.items():
        assert values.shape == (optimize.CHUNK, 2), name
        assert np.isfinite(values[:3]).all(), name
        assert np.isnan(values[3:]).all(), name
    unchanged, terms = run(toy, *adam, weights_of(), (0, 0, 10))
    assert np.isnan(terms["total"]).all()
    np.testing.assert_array_equal(unchanged.z[0], before.z[0])
    assert (after.z[0] != before.z[0]).any()


def test_chunks_are_only_a_way_to_count(toy, adam):
    objective, state, targets = adam
    whole, terms = run(toy, objective, state, targets, weights_of(), (0, 5, 9))
    first, terms1 = run(toy, objective, state, targets, weights_of(), (0, 2, 9))
    second, terms2 = run(toy, objective, first, targets, weights_of(), (2, 3, 9))
    jax.tree.map(np.testing.assert_array_equal, second, whole)
    for name in TERMS:
        joined = np.concatenate([terms1[name][:2], terms2[name][:3]])
        np.testing.assert_array_equal(joined, terms[name][:5])


def test_the_total_is_the_weighted_sum_of_its_terms(toy, adam):
    weights = {"style_weight": 3.0, "tv_weight": 0.5, "color_weight": [0.25, 2.0]}
    _, terms = run(toy, *adam, weights_of(**weights), (0, 4, 4))
    total = 3 * terms["style"] + 0.5 * terms["tv"] + np.array([0.25, 2]) * terms["color"]
    np.testing.assert_allclose(terms["total"][:4], total[:4], rtol=1e-5)


def test_the_loss_falls(toy, adam):
    _, terms = run(toy, *adam, weights_of(), (0, 25, 25))
    assert (terms["total"][-1] < 0.5 * terms["total"][0]).all()


def test_other_numbers_do_not_compile_again(toy, adam):
    run(toy, *adam, weights_of(), (0, 1, 10))
    compiled = optimize.run_chunk._cache_size()
    weights = weights_of(content_weight=7.0, learning_rate=[0.1, 0.5], style_tap_weights=[2.0])
    run(toy, *adam, weights, (17, 4, 99))
    assert optimize.run_chunk._cache_size() == compiled


def test_lbfgs_descends(toy, start):
    objective, state, targets = start("lbfgs")
    weights = weights_of(learning_rate=0.0)  # which its line search does not ask for
    _, terms = run(toy, objective, state, targets, weights, (0, 8, 8))
    total = np.asarray(terms["total"])
    assert (total[7] < 0.5 * total[0]).all()
