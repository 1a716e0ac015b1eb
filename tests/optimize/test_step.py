"""Steps against an explicit loop."""

import jax
import numpy as np
import pytest

from bnnjax.optimize import cosine, pixels
from bnnjax.optimize.optimizers import factory
from bnnjax.optimize.step import CHUNK, Problem, Steps, run_chunk, start
from tests.optimize.bowl import VARIABLES, Bowl


@pytest.fixture
def run(goals, grey):
    """A function (steps, …) → (state, history) of two pictures."""

    def make(first, number, total, *, state=None, optimizer="sgd", rates=(0.5, 2.0), noise=0.0):
        problem = Problem(Bowl(noise), pixels(), factory(optimizer), cosine)
        data = {"goal": goals[:2]}
        state = start(problem, grey[:2], data) if state is None else state
        weights = {"distance": np.float32([3, 5]), "brightness": np.float32([0.25, 1])}
        steps = Steps(*map(np.int32, (first, number, total)))
        rates = np.float32(rates)
        key = jax.random.key(0)
        return run_chunk(problem, VARIABLES, state, data, weights, rates, key, steps)

    return make


@pytest.mark.slow
def test_steps_are_those_of_gradient_descent_written_out(run, goals, grey):
    """z ← clip(z − rate · ∇loss) with a rate that follows its cosine, for each picture alone."""
    state, history = run(0, 4, 10)
    for place, (distance_weight, brightness_weight, rate) in enumerate([(3, 0.25, 0.5), (5, 1, 2)]):
        z, goal = grey[place].astype(np.float64), goals[place]
        for k in range(4):
            distance = np.mean((2 * (z - goal)) ** 2)
            total = distance_weight * distance + brightness_weight * z.mean()
            np.testing.assert_allclose(history["total"][k, place], total, rtol=1e-4)
            np.testing.assert_allclose(history["distance"][k, place], distance, rtol=1e-4)
            slope = (distance_weight * 8 * (z - goal) + brightness_weight) / z.size
            z = np.clip(z - rate * (0.55 + 0.45 * np.cos(np.pi * k / 10)) * slope, 0, 1)
        np.testing.assert_allclose(state.params[place], z, atol=1e-6)
        assert np.abs(z - grey[place]).max() > 1e-3


@pytest.mark.slow
def test_the_first_step_of_adam_is_as_long_as_the_learning_rate(run, grey):
    rates = (0.004, 0.001)
    state, _ = run(0, 1, 10, optimizer="adam", rates=rates)
    for place, rate in enumerate(rates):
        moved = np.abs(np.asarray(state.params[place]) - grey[place])
        np.testing.assert_allclose(moved, rate, rtol=1e-2)


@pytest.mark.slow
def test_a_chunk_runs_the_requested_number_of_steps(run, grey):
    _, history = run(0, 3, 10)
    assert history.keys() == {"total", "distance", "brightness"}
    for values in history.values():
        assert values.shape == (CHUNK, 2)
        assert (values[:3] != 0).all()
        assert (values[3:] == 0).all()  # without a NaN, at which jax_debug_nans would stop
    unchanged, _ = run(0, 0, 10)
    np.testing.assert_array_equal(unchanged.params, grey[:2])


@pytest.mark.slow
def test_chunks_are_only_a_way_to_count(run):
    whole, history = run(0, 5, 9, noise=0.1)
    first, before = run(0, 2, 9, noise=0.1)
    second, after = run(2, 3, 9, state=first, noise=0.1)
    jax.tree.map(np.testing.assert_array_equal, second, whole)
    for name, values in history.items():
        np.testing.assert_array_equal(
            np.concatenate([before[name][:2], after[name][:3]]), values[:5]
        )


@pytest.mark.slow
def test_the_best_params_are_those_of_the_lowest_loss(run, goals):
    state, history = run(0, 20, 20, noise=0.5)  # under which the loss goes up and down
    lowest = np.asarray(history["total"][:20]).argmin(axis=0)
    assert (lowest < 19).any()
    for place, step in enumerate(lowest):
        then, _ = run(0, int(step), 20, noise=0.5)
        np.testing.assert_array_equal(state.best[place], then.params[place])


def test_other_numbers_do_not_compile_again(run):
    run(0, 1, 10)
    compiled = run_chunk._cache_size()
    run(17, 4, 99, rates=(0.1, 0.2))
    assert run_chunk._cache_size() == compiled
