"""Parametrizations: they preserve pictures, respect bounds, and are reused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnjax.optimize import ball, fourier, laplacian, pixels, pyramid

sides = st.integers(5, 70)


def picture_of(seed, height, width, low=0.02, high=0.98):
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (height, width, 3)).astype(np.float32)


@pytest.mark.slow  # each shape is compiled
@pytest.mark.parametrize("make", [pixels, pyramid, fourier])
@given(seed=st.integers(0, 99), height=sides, width=sides)
def test_a_picture_comes_back_as_it_was(make, seed, height, width):
    width += width % 2  # which Fourier coefficients need
    picture = picture_of(seed, height, width)
    found = make().decode(make().encode(jnp.asarray(picture), {}), {})
    np.testing.assert_allclose(found, picture, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("make", [pyramid, fourier])
def test_logits_clip_the_ends_of_the_range(make):
    ends = jnp.stack([jnp.zeros((8, 8, 3)), jnp.ones((8, 8, 3))])
    for picture, value in zip(ends, (0.02, 0.98), strict=True):
        found = make().decode(make().encode(picture, {}), {})
        np.testing.assert_allclose(found, value, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("make", [pixels, pyramid, fourier])
def test_every_optimiser_returns_valid_pictures(make):
    """After any step and the projection, values lie in [0, 1]."""
    params = make().encode(jnp.asarray(picture_of(0, 16, 16)), {})
    far = jax.tree.map(lambda leaf: 50 * jax.random.normal(jax.random.key(0), leaf.shape), params)
    found = make().decode(make().project(far, {}), {})
    assert found.shape == (16, 16, 3)
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.slow
def test_pyramids_are_linear_and_their_levels_halve():
    a, b = (picture_of(seed, 57, 90) for seed in (0, 1))
    levels = laplacian.split(jnp.asarray(2 * a - b))
    parts = zip(laplacian.split(jnp.asarray(a)), laplacian.split(jnp.asarray(b)), strict=True)
    for level, (of_a, of_b) in zip(levels, parts, strict=True):
        np.testing.assert_allclose(level, 2 * of_a - of_b, atol=1e-5)
    assert [level.shape[:2] for level in levels] == [(57, 90), (29, 45), (15, 23)]


@pytest.mark.slow
def test_levels_are_doubled_bilinearly():
    """The result equals that of `jax.image.resize`."""
    coarse = jnp.asarray(picture_of(0, 7, 9))
    zero = jnp.zeros((14, 18, 3))
    found = laplacian.merge([zero, coarse])
    np.testing.assert_allclose(found, jax.image.resize(coarse, (14, 18, 3), "linear"), atol=1e-6)


@pytest.mark.slow
def test_around_the_edges_levels_roll_with_the_picture():
    levels = [np.random.default_rng(n).normal(size=(n, n, 3)) for n in (64, 32, 16)]
    rolled = [
        np.roll(level, (shift, -shift), (0, 1))
        for level, shift in zip(levels, (8, 4, 2), strict=True)
    ]
    for around in (True, False):
        picture = laplacian.merge(levels, around=around)
        moved = np.roll(picture, (8, -8), (0, 1))
        same = np.allclose(laplacian.merge(rolled, around=around), moved, atol=1e-5)
        assert same == around


@pytest.mark.slow
def test_fourier_coefficients_are_those_of_numpy():
    """Every colour axis of a grey picture is the logits' spectrum divided by 1 / frequency."""
    grey = np.repeat(picture_of(3, 12, 10)[..., :1], 3, axis=2)
    params = np.asarray(fourier().encode(jnp.asarray(grey), {}))
    spectrum = np.fft.rfft2(np.log(grey / (1 - grey))[..., 0], norm="ortho")
    frequency = np.hypot(np.fft.fftfreq(12)[:, None], np.fft.rfftfreq(10))
    expected = spectrum * np.maximum(frequency, 1 / 12)
    # Grey has the same proportions on the three axes at every frequency.
    shares = (params[0] + 1j * params[1]) / expected[..., None]
    np.testing.assert_allclose(shares, np.broadcast_to(shares[0, 0], shares.shape), atol=2e-3)


def test_an_odd_width_has_no_fourier_form():
    with pytest.raises(ValueError, match="11 px wide, needs an even width"):
        fourier().encode(jnp.zeros((8, 11, 3)), {})


@pytest.mark.slow
@given(seed=st.integers(0, 99), radius=st.floats(1e-3, 3), norm=st.sampled_from(["linf", "l2"]))
def test_pictures_never_leave_the_ball(seed, radius, norm):
    center, far = picture_of(seed, 6, 8, 0, 1), 3 * picture_of(seed + 1, 6, 8) - 1
    data = {"center": jnp.asarray(center), "radius": jnp.float32(radius)}
    found = np.asarray(ball(norm).project(jnp.asarray(far), data))
    change = found - center
    size = np.abs(change).max() if norm == "linf" else np.sqrt((change**2).sum())
    assert size <= radius * (1 + 1e-5) + 1e-6
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_points_within_a_ball_are_unchanged(norm):
    center = picture_of(0, 6, 8)
    near = np.clip(center + 1e-3, 0, 1)
    data = {"center": jnp.asarray(center), "radius": jnp.float32(0.5)}
    np.testing.assert_allclose(ball(norm).project(jnp.asarray(near), data), near, atol=1e-6)


def test_unknown_norms_are_refused():
    with pytest.raises(ValueError, match="norm is 'l1', needs 'linf' or 'l2'"):
        ball("l1")


def test_the_same_parametrisation_is_the_same_object():
    """Otherwise a step would be compiled again."""
    for make in (pixels, pyramid, fourier, lambda: ball("l2"), lambda: fourier(decay=0.5)):
        assert make() is make()
    assert hash(pyramid()) != hash(pixels())
