"""The objective's value in closed form, on a network that is linear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.atlas.objective import Direction, transform

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def picture(make_picture):
    return make_picture(7, 16, 24)


@pytest.mark.parametrize("power", [0, 1, 4])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_loss_is_the_response_times_the_cosines_power(linear, picture, power, sign):
    kernel = linear.variables["params"]["colors"]["kernel"]
    mean = picture.reshape(-1, 3).astype(np.float64).mean(axis=0) @ kernel
    direction = sign * (mean + 0.3 * np.arange(5))
    response = mean @ direction
    cosine = response / np.linalg.norm(mean) / np.linalg.norm(direction)
    objective = Direction(linear.architecture, "map", power)
    data = {"direction": jnp.asarray(direction, jnp.float32)}
    loss, terms = objective.loss(linear.variables, jnp.asarray(picture), data, {}, KEY)
    np.testing.assert_allclose(terms["cosine"], cosine, rtol=1e-4)
    np.testing.assert_allclose(terms["response"], response, rtol=1e-4)
    np.testing.assert_allclose(loss, -response * max(0.1, cosine) ** power, rtol=1e-4)


@pytest.mark.slow
def test_a_picture_that_activates_nothing_has_a_finite_gradient(linear):
    objective = Direction(linear.architecture, "map")
    data = {"direction": jnp.ones(5)}
    black = jnp.zeros((8, 8, 3))
    gradient = jax.grad(lambda x: objective.loss(linear.variables, x, data, {}, KEY)[0])(black)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_without_jitter_and_zoom_nothing_moves(picture):
    moved = transform(jnp.asarray(picture), KEY, jitter=0, zoom=0.0)
    np.testing.assert_array_equal(moved, picture)


@pytest.mark.slow
def test_a_ramp_stays_a_ramp_at_a_scale_and_shift_within_the_limits():
    """A linear ramp resampled linearly is a ramp, whose slope and middle give scale and shift."""
    ramp = np.broadcast_to(np.arange(64)[:, None, None] / 64, (64, 64, 3)).astype(np.float32)
    scales, shifts = [], []
    for seed in range(60):
        moved = transform(jnp.asarray(ramp), jax.random.key(seed), jitter=5, zoom=0.2)
        inside = np.asarray(moved)[14:50, 32, 0].astype(np.float64)
        slope, start = np.polyfit(np.arange(14, 50), inside, 1)
        np.testing.assert_allclose(inside, start + slope * np.arange(14, 50), atol=1e-5)
        scale = 1 / 64 / slope
        scales.append(scale)
        # The centre of the picture, 31.5 in indices, has the value 31.5 / 64.
        shifts.append((31.5 / 64 - start) / slope - 31.5)
    assert 1 / 1.2 - 1e-3 < min(scales) < 0.9
    assert 1.1 < max(scales) < 1.2 + 1e-3
    assert -5.01 < min(shifts) < -3
    assert 3 < max(shifts) < 5.01


@pytest.mark.slow
def test_what_comes_into_view_is_grey():
    white = jnp.ones((16, 16, 3))
    moved = [transform(white, jax.random.key(s), jitter=8, zoom=0.0) for s in range(10)]
    assert all(
        set(np.unique(np.asarray(m))) <= set(np.unique(np.asarray(m).clip(0.5, 1))) for m in moved
    )
    assert any(np.asarray(m).min() == 0.5 for m in moved)
