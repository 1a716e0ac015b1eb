"""Schedules in closed form, and Bop against the formula of ``larq/optimizers.py`` in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bnnjax.train.optimizers import bop, cosine, inverse_time, optimizer

FLOATS = st.integers(-128, 128).map(lambda number: number / 64)  # their products are exact
KERNELS = arrays.arrays(np.float32, (3, 4), elements=FLOATS)


def test_cosine_rises_to_its_peak_and_falls_to_a_hundredth():
    schedule = cosine(peak=0.4, steps=1100, warmup_steps=100)
    assert schedule(0) == 0
    np.testing.assert_allclose(schedule(25), 0.1, rtol=1e-6)
    np.testing.assert_allclose(schedule(100), 0.4, rtol=1e-6)
    np.testing.assert_allclose(schedule(600), (0.4 + 0.004) / 2, rtol=1e-5)  # half-way down
    np.testing.assert_allclose(schedule(1100), 0.004, rtol=1e-5)


def test_cosine_without_warmup_starts_at_its_peak():
    np.testing.assert_allclose(cosine(peak=0.4, steps=10, warmup_steps=0)(0), 0.4, rtol=1e-6)


def test_inverse_time_halves_after_the_inverse_of_the_decay():
    schedule = inverse_time(0.01, 1e-4)
    assert schedule(0) == 0.01
    assert schedule(10_000) == pytest.approx(0.005)
    assert schedule(40_000) == pytest.approx(0.002)


# --- Bop -----------------------------------------------------------------------------------


def larq_sign(x):
    """``larq.math.sign``: +1 at 0."""
    return np.sign(np.sign(x) + 0.1).astype(np.float32)


def larq_bop(weight, mean, gradient, threshold, gamma):
    """``Bop._resource_apply_dense``."""
    mean = mean + np.float32(gamma) * (gradient - mean)
    return larq_sign(-np.sign(weight * mean - np.float32(threshold)) * weight), mean


@pytest.mark.slow
@settings(deadline=None)
@given(KERNELS, st.lists(KERNELS, min_size=1, max_size=5), st.sampled_from([0.0, 0.03125, 0.25]))
def test_bop_agrees_with_larq(weights, gradients, threshold):
    transformation = bop(threshold, 0.5)
    ours, state = jnp.asarray(weights), transformation.init(jnp.asarray(weights))
    theirs, mean = weights, np.zeros_like(weights)
    for gradient in gradients:
        update, state = transformation.update(jnp.asarray(gradient), state, ours)
        ours = optax.apply_updates(ours, update)
        theirs, mean = larq_bop(theirs, mean, gradient, threshold, 0.5)
        np.testing.assert_array_equal(state.mean, mean)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("weight", "gradient", "expected"),
    [
        (1, 0.5, -1),  # w · m above τ: the weight flips
        (-1, -0.5, 1),
        (1, -0.5, 1),  # the other way: it stays
        (-1, 0.5, -1),
        (1, 0.125, 1),  # below τ: it stays
        (-1, -0.125, -1),
        (1, 0.25, 1),  # w · m = τ: the sign of zero is +1, whatever the weight was
        (-1, -0.25, 1),
        (0.5, 0.0, 1),  # latent weights become their signs
        (-0.5, 0.0, -1),
        (0.0, 0.0, 1),
    ],
)
def test_bop_at_and_around_its_threshold(weight, gradient, expected):
    transformation = bop(0.25, 1.0)
    weight = jnp.float32(weight)
    update, _ = transformation.update(jnp.float32(gradient), transformation.init(weight), weight)
    assert weight + update == expected


def test_the_mean_of_bop_is_an_exponential_moving_average():
    transformation, ones = bop(1e-8, 0.1), jnp.ones(3)
    state = transformation.init(ones)
    for _ in range(7):
        _, state = transformation.update(2 * ones, state, ones)
    np.testing.assert_allclose(state.mean, 2 * (1 - 0.9**7), rtol=1e-6)


@pytest.mark.slow
def test_bop_updates_binary_kernels_and_adam_the_rest():
    params = {
        "binary": {"kernel": jnp.array([0.3, -0.2])},
        "float": {"kernel": jnp.array([0.3, -0.2]), "bias": jnp.zeros(2)},
    }
    gradient = jax.tree.map(lambda leaf: jnp.array([1.0, -1.0]), params)
    clips = {"binary": {"kernel": jnp.float32(1)}}
    made = optimizer("bop", lambda _: 0.01, clips, threshold=0.5, gamma=1.0)
    update, _ = made.update(gradient, made.init(params), params)
    after = optax.apply_updates(params, update)
    # w · m is 0.3 and 0.2, below τ, so the signs stay.
    np.testing.assert_allclose(after["binary"]["kernel"], [1, -1], rtol=1e-6)
    # Adam's first step is minus the learning rate times the gradient's sign.
    np.testing.assert_allclose(after["float"]["kernel"], [0.29, -0.19], rtol=1e-4)
    np.testing.assert_allclose(after["float"]["bias"], [-0.01, 0.01], rtol=1e-4)


def test_adam_updates_all_parameters():
    params, clips = {"binary": {"kernel": jnp.ones(2)}}, {"binary": {"kernel": jnp.float32(1)}}
    made = optimizer("adam", lambda _: 0.01, clips)
    update, _ = made.update(params, made.init(params), params)
    np.testing.assert_allclose(update["binary"]["kernel"], -0.01, rtol=1e-4)


def test_other_names_are_refused():
    with pytest.raises(ValueError, match=r"'sgd'.*'adam', 'bop'"):
        optimizer("sgd", lambda _: 0.1, {})
